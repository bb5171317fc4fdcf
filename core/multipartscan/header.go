package multipartscan

import (
	"regexp"
	"strings"
)

// disposition is a Content-Disposition that all parsers read alike, whether they look for the first name or the last, know of quotes
// or search through them: the name comes first, is plain, and nothing but a file's name follows.
var disposition = regexp.MustCompile(`^ *(?i:form-data) *; *(?i:name)=("[\w.\[\]-]+"|[\w.-]+)` +
	` *(; *(?i:filename)=("([^"\\]|\\.)*"|[^\s";\\]*) *)?(; *(?i:filename)\*=[^\s";\\]* *)?;? *$`)

// A part is what the header of one says.
type part struct {
	name    string
	file    bool // it has a filename
	encoded bool // its content is not what it seems
}

// parseHeader reads a part's header, without the blank line at its end. There must be one way only to read the part's name.
func parseHeader(text string) (part, error) {
	var p part
	dispositions := 0
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") { // a line that continues another has a space first
			return part{}, ErrHeader
		}
		switch strings.ToLower(name) {
		case "content-disposition":
			dispositions++
			match := disposition.FindStringSubmatch(value)
			if match == nil {
				return part{}, ErrHeader
			}
			p.name, p.file = strings.Trim(match[1], `"`), match[2]+match[5] != ""
		case "content-type":
			if strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), "multipart/") {
				return part{}, ErrHeader // parts within a part, whose names some parsers take for the form's
			}
		case "content-transfer-encoding":
			p.encoded = true
		}
	}
	if dispositions != 1 {
		return part{}, ErrHeader
	}
	return p, nil
}

// isToken tells whether s is made of what a header's name may have, as far as names have it.
func isToken(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return s != ""
}
