package core

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Secrets are the secrets of requests to a provider, such as its API key. They are immutable and safe for concurrent use; the zero value has
// none.
type Secrets struct {
	shortest int // bytes; a shorter text has none of them
	plain    [][]byte
	encoded  [][]byte // in base64, at each of the three offsets in a group of three bytes
}

// NewSecrets returns the secrets. Empty ones are ignored.
func NewSecrets(all ...string) Secrets {
	var s Secrets
	for _, secret := range all {
		if secret == "" {
			continue
		}
		if s.shortest == 0 || len(secret) < s.shortest {
			s.shortest = len(secret)
		}
		s.plain = append(s.plain, []byte(secret))
		for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
			if escaped != secret {
				s.plain = append(s.plain, []byte(escaped), lowerEscapes(escaped))
			}
		}
		for before := range 3 {
			padded := append(make([]byte, before), secret...)
			whole := len(padded) / 3 * 4 // characters that do not depend on the following text
			first := (before*8 + 5) / 6  // the first that does not depend on the preceding text
			text := base64.RawStdEncoding.EncodeToString(padded)
			s.encoded = append(s.encoded, []byte(text[first:whole]))
		}
	}
	return s
}

// In reports whether the text contains one of the secrets, plain or as parsers of JSON, URLs or base64 would read it. Its time grows with
// the text's length, and it may copy the text a few times.
func (s Secrets) In(text []byte) bool {
	if len(text) < s.shortest || s.shortest == 0 {
		return false // no encoding is shorter than the secret
	}
	const layers = 3 // of JSON within JSON's strings
	for range layers {
		if containsAny(text, s.plain) {
			return true
		}
		if bytes.IndexByte(text, '\\') < 0 {
			break
		}
		text = unescape(text)
	}
	if containsAny(text, s.plain) {
		return true
	}
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("-"), []byte("+")), []byte("_"), []byte("/")) // base64url
	return containsAny(text, s.encoded)
}

// lowerEscapes returns a URL's text with escapes in lower case: %2b for %2B.
func lowerEscapes(escaped string) []byte {
	out := []byte(escaped)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], bytes.ToLower(out[i+1:i+3]))
		}
	}
	return out
}

func containsAny(text []byte, all [][]byte) bool {
	for _, s := range all {
		if bytes.Contains(text, s) {
			return true
		}
	}
	return false
}

// unescape returns the text with JSON's escapes (RFC 8259, section 7) decoded. Invalid ones stay.
func unescape(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		at := bytes.IndexByte(text, '\\')
		if at < 0 || at+1 == len(text) {
			break
		}
		out = append(out, text[:at]...)
		c, rest := text[at+1], text[at+2:]
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n := escapedRune(text[at:])
			if n == 0 {
				out = append(out, text[at:at+2]...)
				break
			}
			out, rest = utf8.AppendRune(out, r), text[at+n:]
		default: // a quote, a slash, a backslash
			out = append(out, c)
		}
		text = rest
	}
	return append(out, text...)
}

// escapedRune returns the character of an escape that begins with \u, and the length of the escape, or of two for a surrogate pair; 0 if it
// is invalid.
func escapedRune(text []byte) (r rune, n int) {
	unit := func(text []byte) (rune, bool) {
		if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(text[2:6]), 16, 16)
		return rune(u), err == nil
	}
	r, ok := unit(text)
	if !ok {
		return 0, 0
	}
	if second, ok := unit(text[6:]); ok && utf16.IsSurrogate(r) {
		if both := utf16.DecodeRune(r, second); both != utf8.RuneError {
			return both, 12
		}
	}
	return r, 6
}
