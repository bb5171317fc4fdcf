package gateway

import (
	"maps"
	"slices"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/responseid"
)

// storedKey returns the key of the ids of responses that the provider stores: of what its account is known by, its API key above
// all, which no client knows. A provider without one has the tokens of all users instead, of which none knows those of the
// others. (RATIONALE.md, "Why does another API key make stored responses unknown?")
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
