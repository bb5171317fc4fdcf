package responseid

import (
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	k := NewKey([]byte("secret"))
	o := Origin{Upstream: 1<<63 + 5, Model: 7, ID: "resp_68a1f"}
	id, ok := k.Mint(o, "alice")
	if !ok || !strings.HasPrefix(id, "resp_") || strings.Contains(id, "68a1f") {
		t.Fatalf("%q, %v", id, ok)
	}
	s, ok := Parse(id)
	if !ok || s.Origin != o || !k.Confirms(s, "alice") {
		t.Errorf("%+v, %v", s, ok)
	}
	if k.Confirms(s, "bob") || k.Confirms(s, "") {
		t.Error("it is confirmed for another user")
	}
	if NewKey([]byte("secre"), []byte("t")).Confirms(s, "alice") || NewKey().Confirms(s, "alice") {
		t.Error("it is confirmed by another key")
	}
	for i := len("resp_"); i < len(id); i++ { // whatever is changed
		other := id[:i] + string("AB"[min(1, strings.Count(id[i:i+1], "A"))]) + id[i+1:]
		if s, ok := Parse(other); ok && k.Confirms(s, "alice") {
			t.Errorf("%s is confirmed", other)
		}
	}
	for _, id := range []string{"", "resp_", "resp_68a1f", id[5:], id + "A", id + "=", id[:len(id)-1], "resp_" + strings.Repeat("A", 4000), " " + id} {
		if s, ok := Parse(id); ok && k.Confirms(s, "alice") {
			t.Errorf("%q is confirmed", id)
		}
	}
}

// What would mean something else in a URL gets no id.
func TestUnfitIDs(t *testing.T) {
	for _, id := range []string{"", ".", "..", "a/b", "a?b", "a%2fb", "a b", "é", strings.Repeat("a", 600)} {
		if got, ok := NewKey().Mint(Origin{ID: id}, "u"); ok {
			t.Errorf("%q became %q", id, got)
		}
	}
}

// Whatever opens was minted: minting it again gives the same id. Nothing else is confirmed.
func FuzzParse(f *testing.F) {
	k := NewKey([]byte("secret"))
	id, _ := k.Mint(Origin{1, 2, "resp_1"}, "alice")
	for _, seed := range []string{id, "resp_1", "", id[:20]} {
		f.Add(seed, "alice")
	}
	f.Fuzz(func(t *testing.T, id, user string) {
		s, ok := Parse(id)
		if !ok {
			return
		}
		again, ok := k.Mint(s.Origin, user)
		if !ok {
			t.Fatalf("%q opens, but cannot be minted", id)
		}
		if k.Confirms(s, user) != (again == id) {
			t.Fatalf("%q is confirmed: %v; minted it is %q", id, k.Confirms(s, user), again)
		}
		if p, ok := Parse(again); !ok || p.Origin != s.Origin || !k.Confirms(p, user) {
			t.Fatalf("%q does not open", again)
		}
	})
}
