package config

import (
	"maps"
	"slices"
	"time"
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

// Settle is how long a file must have been left alone before a reload believes that users or models are gone from it.
const Settle = time.Second

// Shrinks reports whether a user, a model, or a backend of a model, of the config before is gone in c, or a user may use more models than before: a
// file that is only half written looks the same, and may well be valid.
func (c *Config) Shrinks(before *Config) bool {
	for id := range before.Users {
		if c.Users[id] == nil {
			return true
		}
	}
	for key, was := range before.Models {
		if m := c.Models[key]; m == nil || len(m.Backends) < len(was.Backends) {
			return true
		}
	}
	return len(c.Widened(before)) > 0
}

// A Doubt is about a config that shrinks and has been looked at once. The zero value is none, to which a believed config returns.
type Doubt struct {
	files Files
	since time.Time
}

// Believes reports whether a config that was loaded because a file changed may replace the one before: it does not shrink, or these very files
// were found Settle ago, too. If not, the files are to be loaded again after Settle.
func (d *Doubt) Believes(l Loaded, before *Config) bool {
	switch {
	case l.Err != nil || !l.Config.Shrinks(before):
		return true
	case !maps.Equal(d.files, l.Files):
		*d = Doubt{l.Files, time.Now()}
		return false
	default:
		return time.Since(d.since) >= Settle
	}
}
