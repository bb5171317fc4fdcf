package jsonx

import "unicode/utf8"

// Truncate returns the first bytes of s, at most n, without a part of a character at the end.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n = max(n, 0); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n]
}
