// Package multipartscan finds the model in a multipart/form-data body (RFC 7578) while that passes, however it is split. It holds a part's
// header and the values that it looks for, never a file. What parsers read in different ways it refuses, since a provider must not
// find another model than the one that was allowed.
package multipartscan

import (
	"bytes"
	"errors"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what is held, in bytes.
const (
	maxHeader = 16 << 10 // of a part
	maxValue  = 1 << 10  // of a value that is looked for
	maxTail   = 16       // of white space after the last delimiter
)

// Why a form is refused; the words follow "The form ".
var (
	ErrTwoModels = errors.New(`has more than one part that reads as "model"; send one`)
	ErrModel     = errors.New(`has a "model" that is no plain text of at most 1,024 bytes; send its name alone`)
	ErrRefused   = errors.New("has a part that can have other models asked, and your API key may use some models only; leave it out")
	ErrStream    = errors.New(`has more than one part that reads as "stream", or one that is no plain text; send one`)
	ErrHeader    = errors.New("has a part whose header is above 16 KiB, or is not one Content-Disposition: form-data with a plain name")
	ErrBoundary  = errors.New("has its boundary where no part begins or ends; choose one that the parts do not contain")
	ErrCut       = errors.New("ends before its last boundary; is it complete?")
	ErrType      = errors.New("has no Content-Type: multipart/form-data with a boundary")
)

// A Value is a part's value that was looked for.
type Value struct {
	Text       string
	Begin, End int64 // where it stands in the body
}

// A Scanner is given a body piece by piece. It is not safe for concurrent use.
type Scanner struct {
	Model  Value // its Text is "" until its part has ended
	Stream bool  // a part "stream" asks for one
	User   string
	InFile bool // what comes next belongs to a file
	Done   bool // the last delimiter has passed

	Refuses func(name string) bool // is asked for each part's name up to a bracket; nil refuses none

	delimiter []byte // two dashes and the boundary
	held      []byte // what was not understood yet
	offset    int64  // of held in the body
	step      func() (more bool, err error)
	name      string // of the part that is looked at
	begin     int64  // of its value
	models    int
	streams   int
}

// New returns the scanner of a body with the Content-Type, and that in its plainest form. It fails with ErrType.
func New(contentType string) (s *Scanner, plain string, err error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	boundary := parameters["boundary"]
	if err != nil || kind != "multipart/form-data" || !isBoundary(boundary) {
		return nil, "", ErrType
	}
	s = &Scanner{delimiter: []byte("--" + boundary)}
	s.step = s.first
	return s, mime.FormatMediaType(kind, map[string]string{"boundary": boundary}), nil
}

// isBoundary tells whether s is a boundary by RFC 2046, section 5.1.1.
func isBoundary(s string) bool {
	const longest = 70
	if s == "" || len(s) > longest || strings.HasSuffix(s, " ") {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("'()+_,-./:=? ", r) {
			return false
		}
	}
	return true
}

// Fits tells whether the text can be a part's value: it does not hold the delimiter.
func (s *Scanner) Fits(text string) bool { return !bytes.Contains([]byte(text), s.delimiter) }

// Write looks at the next piece of the body, of which it keeps nothing. It fails with one of this package's errors; then the piece
// must not go anywhere.
func (s *Scanner) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	for {
		more, err := s.step()
		if err != nil {
			return 0, err
		}
		if !more {
			return len(p), nil
		}
	}
}

// Close tells that the body has ended. It fails with ErrCut if it should not have.
func (s *Scanner) Close() error {
	if !s.Done {
		return ErrCut
	}
	return nil
}

// drop forgets the first n bytes that are held.
func (s *Scanner) drop(n int) {
	s.held = append(s.held[:0], s.held[n:]...)
	s.offset += int64(n)
}

// first wants the first delimiter, with which the body begins.
func (s *Scanner) first() (bool, error) {
	n := min(len(s.held), len(s.delimiter))
	if !bytes.Equal(s.held[:n], s.delimiter[:n]) {
		return false, ErrBoundary
	}
	if len(s.held) < len(s.delimiter)+2 {
		return false, nil
	}
	return s.pass(0)
}

// pass passes the delimiter at i, of which all and two bytes more are held.
func (s *Scanner) pass(i int) (bool, error) {
	end := i + len(s.delimiter)
	switch string(s.held[end : end+2]) {
	case "\r\n":
		s.step = s.header
	case "--":
		s.step = s.tail
		s.Done = true
	default:
		return false, ErrBoundary
	}
	s.drop(end + 2)
	return true, nil
}

// header wants a part's header.
func (s *Scanner) header() (bool, error) {
	end := bytes.Index(s.held, []byte("\r\n\r\n"))
	switch {
	case end > maxHeader, end < 0 && len(s.held) > maxHeader, bytes.HasPrefix(s.held, []byte("\r\n")):
		return false, ErrHeader
	case end < 0:
		return false, nil
	case bytes.Contains(s.held[:end], s.delimiter):
		return false, ErrBoundary
	}
	part, err := parseHeader(string(s.held[:end]))
	if err != nil {
		return false, err
	}
	switch name, _, _ := strings.Cut(part.name, "["); { // some take model[] for model
	case strings.EqualFold(name, "model"):
		s.models++
		switch {
		case s.models > 1:
			return false, ErrTwoModels
		case part.file || part.encoded || part.name != "model":
			return false, ErrModel
		}
	case strings.EqualFold(name, "stream"):
		if s.streams++; s.streams > 1 || part.file || part.encoded || part.name != "stream" {
			return false, ErrStream
		}
	case s.Refuses != nil && s.Refuses(name):
		return false, ErrRefused
	}
	s.name, s.InFile = part.name, part.file
	s.drop(end + len("\r\n\r\n"))
	s.begin = s.offset
	s.step = s.content
	return true, nil
}

// wanted tells whether the part's value is looked for.
func (s *Scanner) wanted() bool {
	return !s.InFile && (s.name == "model" || s.name == "stream" || s.name == "user")
}

// content wants the end of a part's content.
func (s *Scanner) content() (bool, error) {
	i := bytes.Index(s.held, s.delimiter)
	if i < 0 || len(s.held) < i+len(s.delimiter)+2 {
		keep := len(s.delimiter) + len("\r\n") // of what may be the beginning of the end
		switch {
		case i >= 0: // only what follows the delimiter is not here yet
		case s.wanted() && len(s.held) > maxValue+keep:
			if s.name == "model" {
				return false, ErrModel
			}
			s.name = "" // nobody wants that much
		case !s.wanted() && len(s.held) > keep:
			s.drop(len(s.held) - keep)
		}
		return false, nil
	}
	if i < 2 || string(s.held[i-2:i]) != "\r\n" {
		return false, ErrBoundary
	}
	if s.wanted() {
		if err := s.take(s.held[:i-2]); err != nil {
			return false, err
		}
	}
	s.InFile = false
	return s.pass(i)
}

// take notes a value that was looked for.
func (s *Scanner) take(value []byte) error {
	switch {
	case s.name != "model" && len(value) > maxValue: // nobody wants that much
	case s.name == "model":
		if len(value) == 0 || len(value) > maxValue || !utf8.Valid(value) {
			return ErrModel
		}
		s.Model = Value{string(value), s.begin, s.begin + int64(len(value))}
	case s.name == "stream":
		on, err := strconv.ParseBool(strings.ToLower(string(value)))
		s.Stream = on || err != nil && len(value) > 0 // a server may take "yes" for it; if it does not, nothing is lost
	case s.name == "user":
		s.User = string(value)
	}
	return nil
}

// tail wants nothing but white space.
func (s *Scanner) tail() (bool, error) {
	if len(s.held) > maxTail || len(bytes.TrimSpace(s.held)) > 0 {
		return false, ErrBoundary
	}
	return false, nil
}
