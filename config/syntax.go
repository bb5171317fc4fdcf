package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// decodeText returns a file's text without a byte order mark, or why it cannot be read: it is not in UTF-8.
func decodeText(raw []byte) ([]byte, string) {
	const saveAs = "save it as UTF-8"
	zeros := func(first int) bool { // is every other of the first bytes 0?
		head := raw[:min(len(raw), 64)&^1]
		for i := first; i < len(head); i += 2 {
			if head[i] != 0 || head[i^1] == 0 {
				return false
			}
		}
		return len(head) > 0
	}
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || zeros(1):
		return nil, "the file is in UTF-16 (little-endian), as some Windows programs and PowerShell's > write; " + saveAs
	case bytes.HasPrefix(raw, []byte{0xfe, 0xff}) || zeros(0):
		return nil, "the file is in UTF-16 (big-endian); " + saveAs
	case bytes.HasPrefix(raw, []byte{0x1f, 0x8b}):
		return nil, "the file is compressed with gzip; unpack it"
	}
	return bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), ""
}

// syntax says why the text is no TOML, and where: as an offset. What it says quotes no value, which may be a secret.
func syntax(text []byte, err error) (message string, offset int) {
	var d *toml.DecodeError
	if !errors.As(err, &d) {
		return "it is not TOML", 0
	}
	row, column := d.Position()
	r := lineReader{text: text}
	for r.next() && r.number < row {
		continue
	}
	offset = min(r.start+column-1, len(text))
	said := strings.TrimPrefix(d.Error(), "toml: ")
	if bytes.Contains([]byte(said), []byte("not terminated by")) { // it is where the text ends; the mistake is where it begins
		if start := lastOpening(text); start >= 0 {
			quotes := string(text[start : start+3])
			return fmt.Sprintf("the string that begins here with %s never ends; close it with %s", quotes, quotes), start
		}
	}
	m := mistake{line: strings.TrimSuffix(string(text[r.start:r.end]), "\r"), column: offset - r.start, said: said, first: firstLine(text)}
	m.column = min(m.column, len(m.line))
	if strings.TrimSpace(m.line[:m.column]) == "" { // the line before it is the one to mend
		switch {
		case unclosedList(said):
			return "the list before this line has no end, or no comma between two entries; close it with ], or write a comma", offset
		case unclosedTable(said):
			return "the table in { } before this line has no end, or no comma between two keys; close it with }, or write a comma", offset
		}
	}
	for _, rule := range rules() {
		if message, shift := rule(m); message != "" {
			return message, r.start + m.column + shift
		}
	}
	return "it is not TOML: " + unquoted(said), offset
}

// lastOpening returns where the string of several lines begins that is still open at the end of the text; -1 if none is.
func lastOpening(text []byte) int {
	r, opened := lineReader{text: text}, -1
	for r.next() {
		if r.after != "" && r.within == "" {
			opened = r.start + bytes.LastIndex(text[r.start:r.end], []byte(r.after))
		}
	}
	if r.after == "" {
		return -1
	}
	return opened
}

// firstLine returns the first line with something in it that is no comment.
func firstLine(text []byte) string {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return string(line)
		}
	}
	return ""
}

func unclosedList(said string) bool {
	return strings.Contains(said, "array") && !strings.Contains(said, "array table")
}

func unclosedTable(said string) bool { return strings.Contains(said, "inline table") }

// unquoted returns the parser's words without what they quote of the file, which may be a secret.
func unquoted(said string) string {
	return regexp.MustCompile("\"[^\"]*\"|`[^`]*`|U\\+[0-9A-F]+( '.+')?").ReplaceAllString(said, "…")
}

// A mistake is what the rules know of a place where the text stops being TOML.
type mistake struct {
	line   string
	column int    // where in the line, in bytes
	said   string // by the parser
	first  string // the file's first line
}

// at returns the character at the place; 0 at the line's end.
func (m mistake) at() rune {
	if m.column >= len(m.line) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(m.line[m.column:])
	return r
}

// rest returns the line from the place on.
func (m mistake) rest() string { return m.line[m.column:] }
