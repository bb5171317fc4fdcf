package gateway

import (
	"maps"
	"slices"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/responseid"
)

// storedKey returns the key that signs the ids of the provider's stored responses. It is derived from the account, above all its API key,
// which no client knows; without an API key, from the tokens of all users, since no user knows all of them. (RATIONALE.md, "Why does another
// API key make stored responses unknown?")
func storedKey(c *config.Config, p *config.Provider) responseid.Key {
	parts := [][]byte{[]byte(p.Type), []byte(p.BaseURL), []byte(p.APIKey.Reveal())}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		parts = append(parts, []byte(name), []byte(p.Headers[name].Reveal()))
	}
	if p.APIKey.Reveal() == "" {
		for _, id := range slices.Sorted(maps.Keys(c.Users)) {
			for _, d := range c.Users[id].Digests() {
				parts = append(parts, d[:])
			}
		}
	}
	return responseid.NewKey(parts...)
}
