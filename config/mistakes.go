package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A rule names a mistake that it knows, "" if it is another, and how far from its place the caret belongs.
type rule func(mistake) (message string, shift int)

// rules returns the rules in their order: the first that knows the mistake names it.
func rules() []rule {
	return []rule{
		encoding, typographic, invisible, otherLanguage, conflict, tableHeader, duplicate, separator, unclosed, escape,
		missingValue, trailingComma, bareValue, numbers, leftOver, keyName, list,
	}
}

func encoding(m mistake) (string, int) {
	if strings.Contains(m.said, "UTF-8") || m.column < len(m.line) && m.at() == utf8.RuneError {
		return "this character is not UTF-8; save the file as UTF-8", 0
	}
	return "", 0
}

const typographicQuotes = "“”„‟‘’‚‛«»‹›″′＂＇`´"

func typographic(m mistake) (string, int) {
	const say = "this is a typographic quote (U+%04X), which word processors and chats make; write a plain \" or '"
	if r := m.at(); r != 0 && strings.ContainsRune(typographicQuotes, r) {
		return fmt.Sprintf(say, r), 0
	}
	if isUnclosed(m.said) {
		begins := opening(m)
		if i := strings.LastIndexAny(m.line[begins:], typographicQuotes); i >= 0 {
			r, _ := utf8.DecodeRuneInString(m.line[begins+i:])
			return fmt.Sprintf(say, r), begins + i - m.column
		}
	}
	return "", 0
}

// opening returns where the string begins that does not end in the line.
func opening(m mistake) int {
	for i := 0; i < len(m.line); i++ {
		if m.line[i] == '"' || m.line[i] == '\'' {
			n := closing([]byte(m.line[i:]))
			if n < 0 {
				return i
			}
			i += n
		}
	}
	return 0
}

func isUnclosed(said string) bool {
	return strings.Contains(said, "cannot have new lines") || strings.Contains(said, "unterminated") || strings.Contains(said, "new line")
}

func invisible(m mistake) (string, int) {
	r := m.at()
	if name := oddCharacter(r); name != "" && m.column < len(m.line) && r != '\t' {
		return "this is " + name + "; delete it", 0
	}
	return "", 0
}

var (
	yamlKey  = regexp.MustCompile(`^(---|- |[\w-]+:( [^/]|$))`)
	keyColon = regexp.MustCompile(`^[ \t]*(-[ \t]+)?("[^"]*"|'[^']*'|[\w.-]+)[ \t]*:([^=]|$)`)
)

func otherLanguage(m mistake) (string, int) {
	switch {
	case strings.HasPrefix(m.first, "{"):
		return "the file looks like JSON; Berry reads TOML, in which a table is [section] and a key is key = \"value\"", 0
	case yamlKey.MatchString(m.first) && keyColon.MatchString(m.line) || m.first == "---":
		return "the file looks like YAML; Berry reads TOML, in which a table is [section] and a key is key = \"value\"", 0
	case strings.HasPrefix(strings.TrimSpace(m.line), "export "):
		return "this is a shell's line; a key is key = \"value\", without export", 0
	case regexp.MustCompile(`^\s*(//|/\*|;|--)`).MatchString(m.rest()):
		return "a comment begins with #", 0
	}
	return "", 0
}

func conflict(m mistake) (string, int) {
	for _, mark := range []string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
		if strings.HasPrefix(m.line, mark) {
			return "this line is git's mark of a merge conflict; decide for one of the versions", 0
		}
	}
	return "", 0
}

// tableHeader knows the mistakes in the header of a table.
func tableHeader(m mistake) (string, int) {
	line := strings.TrimSpace(m.line)
	if !strings.HasPrefix(line, "[") || strings.Contains(m.said, "already") {
		return "", 0
	}
	isList := strings.HasPrefix(line, "[[")
	switch {
	case isList && strings.Contains(m.said, "to close array table"):
		return "the header of a list's entry ends with ]]", 0
	case !isList && strings.Contains(m.said, "expected newline") && m.at() == ']':
		return "this header begins with one [ and ends with two ]; an entry of a list, such as a backend, has two of each", 0
	case strings.HasPrefix(line, "[]") || strings.HasPrefix(line, "[[]]"):
		return "the header has no name; write one, such as [server]", 0
	case strings.Contains(m.said, "to close table name") && strings.TrimSpace(m.rest()) == "":
		return "the header of a table ends with ]", 0
	case strings.Contains(m.said, "expected newline"):
		return "a key stands on a line of its own, below the header", 0
	case m.column > 0 && (strings.Contains(m.said, "to close table name") || strings.Contains(m.said, "start of key")):
		if m.at() == '.' || m.at() == ']' {
			return "a part of the name is missing beside the dot", 0
		}
		return "a name has letters, digits, - and _ only; put another into quotes, such as [models.\"gpt 4\"]", 0
	}
	return "", 0
}

func duplicate(m mistake) (string, int) {
	switch {
	case strings.Contains(m.said, "already exists as an array"), strings.Contains(m.said, "should be an array table"):
		return "the same name has one bracket here and two elsewhere; an entry of a list, such as [[models.NAME.backends]], has two everywhere", 0
	case strings.HasPrefix(m.said, "table ") && strings.Contains(m.said, "already"):
		return "this table stands in the file twice; put its keys together, or, if it is an entry of a list such as a backend, write [[…]]", 0
	case strings.Contains(m.said, "already"):
		return "this key stands in its table twice; delete one of them", 0
	case strings.Contains(m.said, "should be a table"):
		return "this is the name of a key that has a value already; it cannot be a table, too", 0
	}
	return "", 0
}

// separator knows what people write instead of =.
func separator(m mistake) (string, int) {
	if !strings.Contains(m.said, "'=' after key") {
		for _, wrong := range []string{"==", "=>"} {
			if m.column > 0 && strings.HasPrefix(m.line[m.column-1:], wrong) {
				return "write a single = between a key and its value", 0
			}
		}
		return "", 0
	}
	switch {
	case m.at() == ':':
		return "write = between a key and its value, not :", 0
	case m.column >= len(m.line), bareKey.MatchString(m.rest()): // the parser points at the last character of a file that ends too early
		return "there is no = in this line; a line is key = \"value\", a [header], or a comment after #", 0
	case m.at() == ']':
		return "this ] closes nothing; a table's header begins with [", 0
	case m.at() > unicode.MaxASCII:
		return "a key has letters, digits, - and _ only; put another into quotes", 0
	default:
		return "write = between a key and its value; a key with other characters than letters, digits, - and _ stands in quotes", 0
	}
}

func unclosed(m mistake) (string, int) {
	if !isUnclosed(m.said) {
		return "", 0
	}
	begins := opening(m)
	quote := m.line[begins : begins+1]
	if begins > 0 && strings.ContainsAny(m.line[begins-1:begins], `"'`) || strings.TrimSpace(m.line[begins:]) == quote && begins > 0 {
		return fmt.Sprintf("this quote is one too many, or the string that it begins has no %s at its end", quote), begins - m.column
	}
	return fmt.Sprintf("the string that begins here has no %s at its end; a string ends in the line that it begins in", quote), begins - m.column
}

func escape(m mistake) (string, int) {
	switch {
	case strings.Contains(m.said, "escape"):
		shift := strings.LastIndexByte(m.line[:min(m.column+1, len(m.line))], '\\') - m.column
		if shift < -m.column {
			shift = 0
		}
		return `\ begins an escape in "…"; write the text in '…', which has none, or \\ for the character itself`, shift
	case strings.Contains(m.said, `need a character after \`):
		return `\ begins an escape in "…"; write \\ for the character itself`, 0
	}
	return "", 0
}

func missingValue(m mistake) (string, int) {
	before := strings.TrimSpace(m.line[:m.column])
	if strings.HasSuffix(before, "=") && (m.column >= len(m.line) || m.at() == '#' || m.at() == '\r') {
		return "the value is missing after =; write one, or delete the key to have its default", 0
	}
	return "", 0
}

var (
	duration = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d|sec|seconds|min)\b`)
	sizes    = regexp.MustCompile(`(?i)^[0-9]+ ?([kmg]i?b?|b)\b`)
)

// value returns where in the line the value begins that the place is in, and whether it is one.
func (m mistake) value() (start int, ok bool) {
	start = m.column
	for start > 0 && !strings.ContainsAny(m.line[start-1:start], " \t=,[{") {
		start--
	}
	before := strings.TrimRight(m.line[:start], " \t")
	return start, before != "" && strings.ContainsAny(before[len(before)-1:], "=,[{") && strings.TrimSpace(m.line[start:]) != ""
}

func trailingComma(m mistake) (string, int) {
	if rest := strings.TrimSpace(m.rest()); strings.Contains(m.said, "expected newline") && (rest == "," || strings.HasPrefix(rest, ", #")) {
		return "a key's line does not end with a comma; delete it", 0
	}
	return "", 0
}

// bareValue knows the values that other languages write without quotes.
func bareValue(m mistake) (string, int) {
	start, ok := m.value()
	if !ok {
		return "", 0
	}
	word := m.line[start:]
	if end := strings.IndexAny(word, " \t,]}#"); end >= 0 {
		word = word[:end]
	}
	shift := start - m.column
	switch lower := strings.ToLower(word); lower {
	case "true", "false":
		return "write " + lower + " in small letters", shift
	case "yes", "on", "no", "off":
		return "this is no value of TOML; write true or false", shift
	case "null", "nil", "none", "undefined":
		return "TOML has no null; delete the key to have its default", shift
	}
	r, _ := utf8.DecodeRuneInString(m.line[start:])
	switch {
	case r == '$':
		return "put the reference into quotes: \"${NAME}\"", shift
	case unicode.IsLetter(r) || strings.ContainsRune("/~.*@<_:%(", r):
		if r == '.' && len(word) > 1 && unicode.IsDigit(rune(word[1])) {
			return "a number has a digit before its point, such as 0.5", shift
		}
		return "put the text into quotes", shift
	}
	return "", 0
}

func numbers(m mistake) (string, int) {
	start, ok := m.value()
	if !ok {
		return "", 0
	}
	value := m.line[start:]
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(value, "+-"))
	if !unicode.IsDigit(r) && r != '.' {
		return "", 0
	}
	shift := start - m.column
	switch {
	case strings.Contains(m.said, "too large"):
		return "the number is too large; if it is a text, put it into quotes", shift
	case duration.MatchString(value):
		return "write the number without a unit; a key that ends in _seconds takes seconds", shift
	case sizes.MatchString(value):
		return "write the number without a unit; sizes are in bytes", shift
	case strings.HasPrefix(strings.TrimLeft(value, "0123456789."), "%"):
		return "write the number without %; a ratio is from 0 to 1", shift
	case regexp.MustCompile(`^[+-]?0[0-9]`).MatchString(value):
		return "a number does not begin with 0; if it is a text, put it into quotes", shift
	case regexp.MustCompile(`^[0-9]+\.([0-9]+\.|[0-9]+:)`).MatchString(value):
		return "put the text into quotes", shift
	case regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]*[eE,_.]?[^\w]`).MatchString(value+" ") || strings.Contains(m.said, "digit"):
		return "this is no number; it has digits on both sides of its point, and no commas", shift
	default:
		return "this is no number; if it is a text, put it into quotes", shift
	}
}

func leftOver(m mistake) (string, int) {
	if !strings.Contains(m.said, "expected newline") {
		return "", 0
	}
	switch {
	case strings.ContainsRune("]})", m.at()):
		return fmt.Sprintf("this %c closes nothing; delete it", m.at()), 0
	case !strings.Contains(m.rest(), "=") && regexp.MustCompile(`["'] *$`).MatchString(m.line[:m.column]) && strings.ContainsAny(m.rest(), "\"'"):
		return "the string ends before this, at a quote; one that has quotes in it is written in the others, '…' or \"…\"", 0
	default:
		return "the value ends before this; write one key in each line, and # before a comment", 0
	}
}

func keyName(m mistake) (string, int) {
	if !strings.Contains(m.said, "start of key") && !strings.Contains(m.said, "expected key") {
		return "", 0
	}
	switch {
	case m.at() == '=':
		return "the key is missing before =", 0
	case strings.ContainsRune("}])", m.at()):
		return fmt.Sprintf("this %c closes nothing; delete it, or a comma or key is missing before it", m.at()), 0
	case m.at() == '{':
		return "a table begins with its header, such as [server]; { } stands after key = only", 0
	case m.at() == '-':
		return "a list is key = [\"a\", \"b\"], not lines that begin with -", 0
	case strings.TrimSpace(m.line[:m.column]) == "":
		return "a line begins with a key, [ or #; a key has letters, digits, - and _ only, or stands in quotes", 0
	default:
		return "a key has letters, digits, - and _ only; put another into quotes", 0
	}
}

func list(m mistake) (string, int) {
	switch {
	case unclosedTable(m.said):
		return "the table in { } has no } at its end, or no comma between two keys", 0
	case unclosedList(m.said):
		return "the list has no ] at its end, or no comma between two entries", 0
	case strings.Contains(m.said, "end of input") || strings.Contains(m.said, "unexpected character"):
		return "there is no value here; a text stands in quotes, a list in [ ]", 0
	}
	return "", 0
}
