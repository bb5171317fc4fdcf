// Package responseid makes the ids by which clients name stored responses. An id carries who made the response, and is
// authenticated together with whose it is, so that nothing needs to be stored: what was not made here, for this user, does not
// open. It is pure, and names no provider: an upstream and a model stand in it as hashes.
package responseid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// A Key authenticates ids. It is a secret.
type Key [sha256.Size]byte

// NewKey returns the key that the secrets make; the same secrets in the same order make the same one.
func NewKey(secrets ...[]byte) Key {
	h := hmac.New(sha256.New, []byte("berry response id 1"))
	for _, s := range secrets {
		part(h, s)
	}
	return Key(h.Sum(nil))
}

// An Origin is what an id says of its response.
type Origin struct {
	Upstream uint64 // that made it: its id as strategies see it
	Model    uint64 // the hash of the name under which the client asked
	ID       string // the provider's
}

// An id is the prefix and, in base64, the format's version, the authentication, the upstream, the model and the provider's id.
const (
	prefix  = "resp_"
	version = 1
	macSize = 16
	head    = 1 + macSize + 8 + 8
	longest = 512 // bytes of a provider's id
)

// Mint returns the id of the user's response. Its text is safe within a URL and a JSON string. It returns false if the provider's
// id is none that could be sent back in a URL as it is.
func (k Key) Mint(o Origin, user string) (string, bool) {
	if !plain(o.ID) {
		return "", false
	}
	b := make([]byte, head, head+len(o.ID))
	b[0] = version
	binary.BigEndian.PutUint64(b[1+macSize:], o.Upstream)
	binary.BigEndian.PutUint64(b[1+macSize+8:], o.Model)
	b = append(b, o.ID...)
	copy(b[1:], k.mac(b, user))
	return prefix + encoding.EncodeToString(b), true
}

// A Sealed is what an id claims until its key has confirmed it.
type Sealed struct {
	Origin
	raw []byte
}

// Parse returns what the id claims; false if it has not an id's form. The claim's Upstream and Model say whose key confirms it.
func Parse(id string) (Sealed, bool) {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok || len(text) > encoding.EncodedLen(head+longest) || strings.ContainsAny(text, "\r\n") { // which base64 would overlook
		return Sealed{}, false
	}
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) <= head || b[0] != version || !plain(string(b[head:])) {
		return Sealed{}, false
	}
	return Sealed{Origin{
		Upstream: binary.BigEndian.Uint64(b[1+macSize:]), Model: binary.BigEndian.Uint64(b[1+macSize+8:]), ID: string(b[head:]),
	}, b}, true
}

// Confirms tells whether the id was minted with the key, for the user.
func (k Key) Confirms(s Sealed, user string) bool {
	return len(s.raw) > head && hmac.Equal(s.raw[1:1+macSize], k.mac(s.raw, user))
}

// mac authenticates all of b but the place of the authentication itself.
func (k Key) mac(b []byte, user string) []byte {
	h := hmac.New(sha256.New, k[:])
	part(h, []byte(user))
	part(h, b[:1])
	part(h, b[1+macSize:])
	return h.Sum(nil)[:macSize]
}

// part writes b so that it cannot be taken for another division of the same bytes.
func part(w interface{ Write(p []byte) (int, error) }, b []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(b)))
	_, _ = w.Write(length[:]) // a hash takes everything
	_, _ = w.Write(b)
}

// encoding gives each id one spelling.
var encoding = base64.RawURLEncoding.Strict()

// plain tells whether a provider's id means itself in a URL's path: RFC 3986's unreserved characters, no dot at its beginning.
func plain(id string) bool {
	if id == "" || len(id) > longest || id[0] == '.' {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~", c) < 0 {
			return false
		}
	}
	return true
}
