package config

import (
	"maps"
	"slices"
	"strconv"
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

// Settle is how long a file must not have changed before a reload applies a config that shrinks.
const Settle = time.Second

// keys are the paths of a file's keys. Tables in a list are counted.
type keys map[string]bool

// add adds the keys of a value at the path.
func (k keys) add(path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			k.add(path+delim+name, inner)
		}
	case []any:
		k[path] = true
		for i, inner := range v {
			if table, ok := inner.(map[string]any); ok {
				k.add(path+delim+strconv.Itoa(i), table)
			}
		}
	default:
		k[path] = true
	}
}

// Shrinks reports whether a key of the file before is missing in c's, or a user may use all models who could not before. A half-written file looks
// the same, and may be valid: without its last lines a disabled user is enabled, and admin_token is not set.
func (c *Config) Shrinks(before *Config) bool {
	for key := range before.keys {
		if !c.keys[key] {
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
