package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// A Problem is one thing wrong with a file.
type Problem struct {
	Path    string // in TOML's notation, such as models.gpt_4.backends[1].provider; "" is the whole file
	Message string // what is wrong and what to do
}

// String returns "path: message".
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// An Error is all that is wrong with a file.
type Error struct {
	File     string
	Problems []Problem // at least one; in the order of their paths
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "config: %s has %d errors:", e.File, len(e.Problems))
	if len(e.Problems) == 1 {
		return fmt.Sprintf("config: %s: %s", e.File, e.Problems[0])
	}
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// problems gathers what is wrong: errors, with which a file cannot be used, and warnings.
type problems struct{ errors, warnings []Problem }

// fail adds an error. Of a key it keeps the first: what follows from that would only distract. ("" is the file, no key.)
func (ps *problems) fail(path, format string, args ...any) {
	if path == "" || !slices.ContainsFunc(ps.errors, func(p Problem) bool { return p.Path == path }) {
		ps.errors = append(ps.errors, Problem{path, fmt.Sprintf(format, args...)})
	}
}

func (ps *problems) warn(path, format string, args ...any) {
	ps.warnings = append(ps.warnings, Problem{path, fmt.Sprintf(format, args...)})
}

// join appends keys to a path, quoting those that TOML would.
func join(path string, keys ...string) string {
	for _, k := range keys {
		if !bareKey.MatchString(k) {
			k = strconv.Quote(k)
		}
		if path != "" {
			path += "."
		}
		path += k
	}
	return path
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// at appends an index to a path.
func at(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }

// unknown says that there is no such thing, what there is, and which of it may have been meant.
func unknown(what, name string, have []string) string {
	message := fmt.Sprintf("no %s %q", what, name)
	if meant := nearest(name, have); meant != "" {
		return message + fmt.Sprintf("; did you mean %q?", meant)
	}
	if len(have) == 0 {
		return message + "; there is none"
	}
	slices.Sort(have)
	const most = 12
	if len(have) > most {
		have = append(have[:most:most], "…")
	}
	return message + "; there is " + strings.Join(have, ", ")
}

// nearest returns the one of have that name is most likely a misspelling of; "" if none is close.
func nearest(name string, have []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, h := range have {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(h)); d < least {
			best, least = h, d
		}
	}
	return best
}
