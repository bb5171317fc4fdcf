package config

import (
	"maps"
	"slices"
)

// Widened returns a warning for each user who could use some models by the config before, and can use all by c, without allow_all_models: a
// list that somebody has emptied by mistake looks the same.
func (c *Config) Widened(before *Config) []Problem {
	var ps problems
	for _, id := range slices.Sorted(maps.Keys(c.Users)) {
		u, was := c.Users[id], before.Users[id]
		if was != nil && len(was.AllowedModels) > 0 && len(u.AllowedModels) == 0 && u.AllowAll == nil {
			ps.warn(join("users", id, "allowed_models"), "it is empty now, so this user may use all models; if that is meant, set allow_all_models = true")
		}
	}
	return ps.warnings
}
