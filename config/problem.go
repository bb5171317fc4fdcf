package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// A Problem is one thing wrong with a config.
type Problem struct {
	Path    string // in TOML's notation, such as models.gpt_4.backends[1].provider; "" is the whole file
	Message string // what is wrong and what to do

	File         string // that has it; "" if it is not about one
	Line, Column int    // in the file, counted from 1, the column in characters; 0 if it is in no line
	Variable     string // that has it, instead of the file: an environment variable, which overrides the key

	onKey  bool   // the key is wrong, not its value
	offset int    // in the file's text, of a mistake that the path does not lead to; -1 if that does
	shown  string // the line, without anything that may be secret
	caret  int    // the place in shown, in bytes
}

// String returns one line, which begins with the place as editors know it: "berry.toml:14:10: path: message".
func (p Problem) String() string {
	parts := []string{p.Message}
	if p.Path != "" {
		parts = []string{inWords(p.Path), p.Message}
	}
	switch {
	case p.Variable != "":
		parts = slices.Insert(parts, 0, "environment variable "+p.Variable)
	case p.Line > 0:
		parts = slices.Insert(parts, 0, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column))
	case p.File != "":
		parts = slices.Insert(parts, 0, p.File)
	}
	return strings.Join(parts, ": ")
}

// Picture returns String, and below it the line with a caret at the place, if there is one. What may be secret is hidden in it.
func (p Problem) Picture() string {
	if p.Line == 0 {
		return p.String()
	}
	line, before := clip(p.shown, p.caret)
	return fmt.Sprintf("%s\n%5d | %s\n      | %s^", p, p.Line, line, before)
}

// An Error is all that is wrong with a config.
type Error struct {
	File     string
	Problems []Problem // at least one; in the order of their places
	More     int       // problems beyond those
}

// Error returns a line for each problem.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "config: " + e.Problems[0].String()
	}
	return e.print("", Problem.String)
}

// Picture returns the error as a terminal shows it, with the lines that have the problems.
func (e *Error) Picture() string { return e.print("\n", Problem.Picture) }

func (e *Error) print(gap string, problem func(Problem) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "config: %s has %s:\n", e.File, Count(len(e.Problems)+e.More, "error"))
	for _, p := range e.Problems {
		b.WriteString(gap + problem(p) + "\n")
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "%sand %d more\n", gap, e.More)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Count returns the number with the noun, such as "1 error" or "2 errors".
func Count(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// Explain returns what a person at a terminal is shown of an error: an Error with its lines, any other as it is.
func Explain(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Picture()
	}
	return err.Error()
}

// problems gathers what is wrong: errors, with which a file cannot be used, and warnings.
type problems struct {
	errors, warnings []Problem
	failed           map[string]bool   // paths of errors
	variables        map[string]string // by path, the environment variables that override keys
	unreadable       bool              // the text is no TOML, so that nothing is known of its keys
}

// fail adds an error. Of a key it keeps the first: what follows from that would only distract. ("" is the file, no key.)
func (ps *problems) fail(path, format string, args ...any) {
	ps.add(Problem{Path: path, Message: fmt.Sprintf(format, args...), offset: -1})
}

// failKey adds an error about the key itself, not about its value.
func (ps *problems) failKey(path, format string, args ...any) {
	ps.add(Problem{Path: path, Message: fmt.Sprintf(format, args...), offset: -1, onKey: true})
}

func (ps *problems) add(p Problem) {
	if p.Path != "" && ps.failed[p.Path] {
		return
	}
	if ps.failed == nil {
		ps.failed = map[string]bool{}
	}
	ps.failed[p.Path] = true
	ps.errors = append(ps.errors, p)
}

func (ps *problems) warn(path, format string, args ...any) {
	ps.warnings = append(ps.warnings, Problem{Path: path, Message: fmt.Sprintf(format, args...), offset: -1})
}

// place gives the problems their places in the file's text, and puts them in order.
func (ps *problems) place(file string, text []byte) {
	root := &spot{}
	var all []*Problem
	ways := map[*Problem][]*spot{}
	for _, list := range [][]Problem{ps.errors, ps.warnings} {
		for i := range list {
			p := &list[i]
			p.File, p.Variable = file, cmp.Or(p.Variable, ps.variables[p.Path])
			if p.Variable == "" {
				all = append(all, p)
				ways[p] = root.want(p.Path)
			}
		}
	}
	locate(text, root)
	for _, p := range all {
		if p.offset < 0 {
			p.offset = offsetOf(ways[p], p.onKey)
		}
	}
	slices.SortStableFunc(all, func(a, b *Problem) int { return cmp.Compare(a.offset, b.offset) })
	point(text, all, !ps.unreadable)
	order := func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	}
	slices.SortStableFunc(ps.errors, order)
	slices.SortStableFunc(ps.warnings, order)
}

// offsetOf returns where the last of a way is, or the table that it is missing in; -1 if neither is in the file.
func offsetOf(way []*spot, onKey bool) int {
	last := way[len(way)-1]
	switch {
	case len(way) > 1 && last.found && !onKey:
		return last.value
	case len(way) > 1 && last.found:
		return last.key
	case len(way) > 2 && way[len(way)-2].found:
		return way[len(way)-2].key
	default:
		return -1
	}
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
	message := fmt.Sprintf("no %s %q", what, shorten(name))
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

// shorten returns the beginning of a name that is too long for a message.
func shorten(name string) string {
	const most = 100
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

// nearest returns the one of have that name is most likely a misspelling of; "" if none is close.
func nearest(name string, have []string) string {
	const longest = 200 // the distance of longer ones takes long, and says nothing
	best, least := "", max(2, len(name)/3)+1
	if len(name) > longest {
		return ""
	}
	for _, h := range have {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(h)); d < least {
			best, least = h, d
		}
	}
	return best
}
