package form

import (
	"mime"
	"strings"
)

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
			if err := p.disposition(value); err != nil {
				return part{}, err
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

func (p *part) disposition(value string) error {
	kind, parameters, err := mime.ParseMediaType(value)
	name, named := parameters["name"]
	_, p.file = parameters["filename"]
	p.name = name
	plain := strings.ReplaceAll(strings.ToLower(value), "filename*", "") // RFC 2231's form of a name, which few parsers know
	if err != nil || kind != "form-data" || !named || strings.Contains(plain, "name*") || strings.ContainsAny(name, "\\\"%") {
		return ErrHeader
	}
	return nil
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
