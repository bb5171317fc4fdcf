package config

import "testing"

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"gpt-4", "gpt-4", true}, {"gpt-4", "gpt-4o", false}, {"gpt-*", "gpt-4o", true}, {"gpt-*", "gpt-", true}, {"gpt-*", "my-gpt-4", false},
		{"*", "", true}, {"*", "any/thing", true}, {"*-mini", "gpt-4o-mini", true}, {"*-mini", "gpt-4o-mini-2", false},
		{"a*b*c", "axxbyyc", true}, {"a*b*c", "axxcyyb", false}, {"", "", true}, {"gpt-?", "gpt-4", false},
	} {
		if got := Matches(test.pattern, test.name); got != test.want {
			t.Errorf("%q %q: %v", test.pattern, test.name, got)
		}
	}
}
