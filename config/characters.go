package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// badCharacter says which character of a key or token nobody can mean or send, and where it is, but nothing else of the secret; "" if none is.
// Only visible ASCII is a key, and of that not what excluded names.
func badCharacter(secret, excluded string) string {
	if !utf8.ValidString(secret) {
		return "it holds bytes that are no text"
	}
	for i, r := range []rune(secret) {
		name := oddCharacter(r)
		switch {
		case name != "":
		case r == ' ':
			name = "a space"
		case r == ',' && strings.ContainsRune(excluded, r):
			name = "a comma"
		case r > unicode.MaxASCII:
			name = fmt.Sprintf("%q (U+%04X), not ASCII", r, r)
		default:
			continue
		}
		return fmt.Sprintf("its %s character is %s", ordinal(i+1), name)
	}
	return ""
}

// oddCharacter names a character that nobody sees, or that is no text; "" if it is an ordinary one.
func oddCharacter(r rune) string {
	switch {
	case r == 0xFEFF:
		return "a byte order mark (U+FEFF)"
	case r == 0xA0 || r == 0x202F || r == 0x2007:
		return fmt.Sprintf("a no-break space (U+%04X)", r)
	case r == 0x200B || r == 0x200C || r == 0x200D || r == 0x2060:
		return fmt.Sprintf("a zero-width character (U+%04X)", r)
	case unicode.Is(unicode.Cf, r):
		return fmt.Sprintf("an invisible character (U+%04X)", r)
	case r == '\n' || r == '\r':
		return "a line break"
	case r == '\t':
		return "a tab"
	case unicode.IsControl(r):
		return fmt.Sprintf("a control character (U+%04X)", r)
	case r != ' ' && unicode.IsSpace(r):
		return fmt.Sprintf("a blank that is no ordinary one (U+%04X)", r)
	}
	return ""
}
