package config

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// point gives problems, sorted by their offsets in the text, their lines and columns, and what may be shown of the lines. isTOML
// says that the text can be parsed.
func point(text []byte, sorted []*Problem, isTOML bool) {
	r := lineReader{text: text}
	more := r.next()
	for _, p := range sorted {
		if p.offset < 0 {
			continue
		}
		for more && p.offset > r.end {
			more = r.next()
		}
		line := text[r.start:r.end]
		before := min(max(p.offset-r.start, 0), len(line))
		p.Line, p.Column = r.number, utf8.RuneCount(line[:before])+1
		p.shown, p.caret = r.show(string(line), before, isTOML)
	}
}

// A lineReader reads a file's lines, and knows of each what it stands in, even if the file is no TOML.
type lineReader struct {
	text       []byte
	number     int    // of the line, from 1
	start, end int    // of the line, without its end
	within     string // the quotes of the string that the line begins in; "" if it begins in none
	after      string // … that the next one begins in
	section    []string
	started    bool
}

func (r *lineReader) next() bool {
	if r.started {
		if r.end == len(r.text) {
			return false
		}
		r.start = r.end + 1
	}
	r.started = true
	r.end = len(r.text)
	if n := bytes.IndexByte(r.text[r.start:], '\n'); n >= 0 {
		r.end = r.start + n
	}
	r.number++
	line := r.text[r.start:r.end]
	r.within = r.after
	if m := header.FindSubmatch(line); m != nil && r.within == "" {
		r.section = keysOf(string(m[1]))
	}
	r.after = openString(line, r.within)
	return true
}

// header is a table's header; its name may be wrong.
var header = regexp.MustCompile(`^[ \t]*\[\[?([^\]=#\r]*)\]{0,2}`)

// keysOf takes a dotted key apart, roughly: what has quotes keeps its dots.
func keysOf(dotted string) []string {
	var keys []string
	for _, k := range regexp.MustCompile(`"[^"]*"|'[^']*'|[^."']+`).FindAllString(dotted, -1) {
		if k = strings.Trim(k, " \t\"'"); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// openString returns the quotes of the string of several lines that is open at the end of a line which begins within one, or none.
func openString(line []byte, within string) string {
	for i := 0; i < len(line); {
		rest := line[i:]
		switch {
		case within != "" && bytes.HasPrefix(rest, []byte(within)):
			i += len(rest) - len(bytes.TrimLeft(rest, within[:1])) // up to two quotes more belong to the string
			within = ""
		case within == `"""` && rest[0] == '\\':
			i += 2
		case within != "":
			i++
		case rest[0] == '#':
			return ""
		case bytes.HasPrefix(rest, []byte(`"""`)) || bytes.HasPrefix(rest, []byte(`'''`)):
			within = string(rest[:3])
			i += 3
		case rest[0] == '"' || rest[0] == '\'':
			n := closing(rest)
			if n < 0 {
				return ""
			}
			i += n + 1
		default:
			i++
		}
	}
	return within
}

// closing returns the index of the quote that ends the string at the start of a line; -1 if it does not end in it.
func closing(line []byte) int {
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == line[0]:
			return i
		case line[i] == '\\' && line[0] == '"':
			i++
		}
	}
	return -1
}

// show returns the line as far as nothing in it can be secret, and … for what is hidden; caret is moved there if need be.
func (r *lineReader) show(line string, caret int, isTOML bool) (string, int) {
	n := r.harmless(line, isTOML)
	shown := strings.TrimRight(line[:n], " \t\r")
	rest := strings.TrimSpace(line[n:])
	if rest != "" && rest[0] != '#' || caret > len(shown) && rest != "" {
		shown = line[:n] + "…"
	}
	visible := func(r rune) rune {
		if r != '\t' && !unicode.IsGraphic(r) {
			return utf8.RuneError
		}
		return r
	}
	before := strings.Map(visible, line[:min(caret, n)])
	return strings.Map(visible, shown), len(before)
}

// The forms of lines: a key with what stands between it and its value, or what somebody took for that; and values that may be shown.
var (
	keyed   = regexp.MustCompile(`^[ \t]*((?:[\w-]+|"[^"=]*"|'[^'=]*')(?:[ \t]*\.[ \t]*(?:[\w-]+|"[^"=]*"|'[^'=]*'))*)[ \t]*(:?=+>?|:|->|)[ \t]*`)
	entry   = `(?:"[^"=#{}]*"|'[^'=#{}]*'|["']?[“”„‘’«»][^“”„‘’«»"'=#{}]*["“”„‘’«»']?|"[^"\s=#{}]*|'[^'\s=#{}]*|[\w./:*+-]+)[ \t]*,?[ \t]*`
	text    = regexp.MustCompile(`^(?:\[[ \t]*(?:` + entry + `)*\]?|` + entry + `)`)
	number  = regexp.MustCompile(`^(?:[-+]?[0-9.][0-9._,eExX+-]{0,30}\w{0,2}%?|"[0-9.]{0,9}\w?"|(?i:[-+]?inf|[-+]?nan|true|false|yes|no|on|off|null|nil|none)\b|)`)
	address = regexp.MustCompile(`^["']?(?:(?:https?|unix|wss?|grpc)://?|[a-z0-9-]+\.|localhost)[a-z0-9./:_-]*["']?(?:\s|$)`)
)

// harmless returns how many bytes at the start of a line cannot be secret. All that it lets pass is of the forms above, under a key
// that it knows: whoever misspells "token" shall not see the token in a log.
func (r *lineReader) harmless(line string, isTOML bool) int {
	if r.within != "" || strings.TrimSpace(line) == "" {
		return 0
	}
	config := reflect.TypeFor[Config]()
	if m := header.FindStringSubmatchIndex(line); m != nil {
		if len(r.section) > 0 && (isTOML || nearest(r.section[0], keysIn(config)) != "") {
			return m[1]
		}
		return len(line) - len(strings.TrimLeft(line, " \t["))
	}
	m := keyed.FindStringSubmatchIndex(line)
	if m == nil || m[4] == m[5] && !isTOML { // a line without = may be the end of a key that somebody has broken in two
		return 0
	}
	section, keys := r.section, keysOf(line[m[2]:m[3]])
	if len(keys) == 0 {
		return 0
	}
	table := typeAt(config, append(section[:len(section):len(section)], keys[:len(keys)-1]...))
	last := keys[len(keys)-1]
	value, known := keyIn(table, last)
	if !isTOML && table != nil && table.Kind() == reflect.Map { // any text could be a key there
		return 0
	}
	if !known {
		if isTOML || table != nil && nearest(last, keysIn(table)) != "" {
			return m[1]
		}
		return 0
	}
	form := number
	switch base := elem(value); {
	case last == "base_url":
		form = address
	case base == reflect.TypeFor[Secret]() || base.Kind() == reflect.Interface || base.Kind() == reflect.Struct || last == "token_sha256":
		return m[1]
	case base.Kind() == reflect.String:
		form = text
	}
	return m[1] + len(form.FindString(line[m[1]:]))
}

// typeAt returns the type of the table that the keys lead to; nil if there is none.
func typeAt(t reflect.Type, keys []string) reflect.Type {
	for _, k := range keys {
		next, ok := keyIn(t, k)
		if !ok {
			return nil
		}
		t = elem(next)
	}
	return t
}

// keyIn returns the type of a table's key, and whether it has that.
func keyIn(t reflect.Type, key string) (reflect.Type, bool) {
	switch {
	case t == nil:
	case t.Kind() == reflect.Map:
		return t.Elem(), true
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("koanf") == key && key != "-" {
				return f.Type, true
			}
		}
	}
	return nil, false
}

// keysIn returns the keys that a table can have.
func keysIn(t reflect.Type) []string {
	var keys []string
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("koanf"); key != "-" && key != "" {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// elem returns what a pointer points to and a list is of.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// clip returns what a terminal's line takes of a line around the caret, and what puts a caret below it.
func clip(line string, caret int) (shown, before string) {
	const left, right = 60, 60
	runes, at := []rune(line), utf8.RuneCountInString(line[:min(caret, len(line))])
	if len(runes) > at+right {
		runes = append(runes[:at+right:at+right], '…')
	}
	if at > left {
		runes = append([]rune{'…'}, runes[at-left:]...)
		at = left + 1
	}
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(runes[:min(at, len(runes))]))
	return string(runes), blank
}
