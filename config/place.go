package config

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A step of a path is a key or, if the key is "" and the index is not -1, an entry of a list.
type step struct {
	key   string
	index int
}

// split takes apart what join and at have made.
func split(path string) []step {
	var steps []step
	for path != "" {
		switch path[0] {
		case '.':
			path = path[1:]
		case '[':
			number, rest, _ := strings.Cut(path[1:], "]")
			index, _ := strconv.Atoi(number)
			steps, path = append(steps, step{"", index}), rest
		case '"':
			quoted, _ := strconv.QuotedPrefix(path)
			key, _ := strconv.Unquote(quoted)
			steps, path = append(steps, step{key, -1}), path[max(len(quoted), 1):]
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			steps, path = append(steps, step{path[:end], -1}), path[end:]
		}
	}
	return steps
}

// inWords returns a path as people say it, with the entries of lists counted from 1: models.smart.backends, 2nd entry, weight.
func inWords(path string) string {
	var b strings.Builder
	separator := ""
	for _, s := range split(path) {
		if s.index >= 0 {
			fmt.Fprintf(&b, ", %s entry", ordinal(s.index+1))
			separator = ", "
			continue
		}
		b.WriteString(separator + join("", s.key))
		separator = "."
	}
	return strings.TrimPrefix(b.String(), ", ")
}

func ordinal(n int) string {
	switch {
	case n%100/10 == 1:
	case n%10 == 1:
		return strconv.Itoa(n) + "st"
	case n%10 == 2:
		return strconv.Itoa(n) + "nd"
	case n%10 == 3:
		return strconv.Itoa(n) + "rd"
	}
	return strconv.Itoa(n) + "th"
}

// A spot is a key, or an entry of a list, the place of which is wanted, and what is wanted below it. Only what is wanted is kept,
// so that a large file takes time by its size, and no memory.
type spot struct {
	keys       map[string]*spot
	items      map[int]*spot
	tables     int // [[…]] that have been seen of this list so far
	found      bool
	exact      bool // it is written out, not just part of another's name
	key, value int  // offsets in the text; of a header both are that of its bracket
}

// want returns the spot for a path below s.
func (s *spot) want(path string) []*spot {
	way := []*spot{s}
	for _, step := range split(path) {
		next := s.below(step)
		if next == nil {
			next = &spot{}
			if step.index >= 0 {
				if s.items == nil {
					s.items = map[int]*spot{}
				}
				s.items[step.index] = next
			} else {
				if s.keys == nil {
					s.keys = map[string]*spot{}
				}
				s.keys[step.key] = next
			}
		}
		s = next
		way = append(way, s)
	}
	return way
}

func (s *spot) below(step step) *spot {
	switch {
	case s == nil:
		return nil
	case step.index >= 0:
		return s.items[step.index]
	default:
		return s.keys[step.key]
	}
}

// latest returns the entry that a header such as [models.x.backends.y] means, if s is a list of tables.
func (s *spot) latest() *spot {
	if s != nil && s.tables > 0 {
		return s.items[s.tables-1]
	}
	return s
}

func (s *spot) note(key, value int, exact bool) {
	if s != nil && (!s.found || exact && !s.exact) {
		s.found, s.exact, s.key, s.value = true, exact, key, value
	}
}

// locate finds the places in the text of what is wanted below root, as far as the text is TOML.
func locate(text []byte, root *spot) {
	var p unstable.Parser
	p.Reset(text)
	table := root
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.KeyValue {
			locateValue(text, table, e)
			continue
		}
		table = root
		bracket := -1
		for keys := e.Key(); keys.Next(); {
			key := keys.Node()
			if bracket < 0 {
				before := bytes.TrimRight(text[:key.Raw.Offset], " \t")
				bracket = len(bytes.TrimSuffix(bytes.TrimSuffix(before, []byte("[")), []byte("[")))
			}
			table = table.latest().below(step{string(key.Data), -1})
			table.note(bracket, bracket, keys.IsLast())
		}
		if e.Kind == unstable.ArrayTable && table != nil {
			table.tables++
			table = table.latest()
			table.note(bracket, bracket, true)
		}
	}
}

// locateValue finds what is wanted of a key with its value, which stand in a table.
func locateValue(text []byte, table *spot, e *unstable.Node) {
	for keys := e.Key(); keys.Next() && table != nil; {
		key := keys.Node()
		table = table.below(step{string(key.Data), -1})
		after := text[key.Raw.Offset+key.Raw.Length:]
		value := len(text) - len(bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimLeft(after, " \t"), []byte("=")), " \t"))
		table.note(int(key.Raw.Offset), value, keys.IsLast())
	}
	if table != nil {
		locateWithin(text, table, e.Value())
	}
}

func locateWithin(text []byte, s *spot, value *unstable.Node) {
	index := 0
	for inner := value.Children(); inner.Next(); index++ {
		n := inner.Node()
		if value.Kind == unstable.InlineTable {
			locateValue(text, s, n)
			continue
		}
		if item := s.items[index]; item != nil {
			place := s.value
			if n.Raw.Length > 0 { // which nested lists do not have
				place = int(n.Raw.Offset)
			}
			item.note(place, place, true)
			locateWithin(text, item, n)
		}
	}
}
