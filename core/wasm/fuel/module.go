package fuel

import "strings"

// The sections that are looked into, by their ids (core specification, 5.5.2).
const (
	custom    = 0
	types     = 1
	imports   = 2
	functions = 3
	tables    = 4
	memories  = 5
	globals   = 6
	exports   = 7
	start     = 8
	elements  = 9
	code      = 10
	data      = 11
	dataCount = 12
)

// order is where a section stands among the others; custom ones stand anywhere.
func order(section byte) int {
	const inOrder = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0c\x0a\x0b"
	return strings.IndexByte(inOrder, section) + 1
}

// The kinds of imports and exports.
const (
	ofFunction = iota
	ofTable
	ofMemory
	ofGlobal
)

// An arity is how many values a function or block takes and gives.
type arity struct{ params, results int }

// A rewriter copies a module section by section.
type rewriter struct {
	in     reader
	out    []byte
	start  int64
	global string

	arities   []arity // of each type
	widest    int     // the most results of a type
	declared  []int   // the type of each function that the module defines
	bodies    int     // that there is code for
	locals    int64   // of all functions so far
	paths     int64   // of all functions so far
	branches  int     // of the function that is read: blocks and branches
	globals   int     // imported and defined, without the fuel: which gets this index
	wroteFuel bool
	exported  bool
}

func (w *rewriter) rewrite() {
	if string(w.in.bytes(8)) != "\x00asm\x01\x00\x00\x00" {
		w.in.at = 0
		w.in.fail(`it does not begin as a core module does ("\0asm", version 1); a text (.wat) must be compiled, and a component is none`)
		return
	}
	w.out = append(make([]byte, 0, len(w.in.b)*3/2), w.in.b[:8]...)
	last := 0
	for w.in.err == nil && w.in.left() > 0 {
		id := w.in.byte()
		size := int(w.in.u32())
		end := w.in.at + size
		if size > w.in.left() {
			w.in.fail("section %d of %d bytes is cut off", id, size)
			return
		}
		if id == custom {
			w.custom(end)
			continue
		}
		place := order(id)
		switch {
		case place == 0:
			w.in.fail("section %d is not supported", id)
			return
		case place <= last:
			w.in.fail("section %d stands behind one that it must precede", id)
			return
		}
		last = place
		w.supply(place)
		whole := w.in
		w.in.b = w.in.b[:end]
		w.section(id, end)
		if w.in.err == nil && w.in.at != end {
			w.in.fail("section %d has %d bytes too many", id, end-w.in.at)
		}
		w.in.b = whole.b
	}
	if w.bodies != len(w.declared) {
		w.in.fail("%d functions are declared and %d have code", len(w.declared), w.bodies)
	}
	w.supply(order(code) + 1)
}

// supply writes the sections that the fuel needs and the module lacks, before the section at the place is written.
func (w *rewriter) supply(place int) {
	if place > order(globals) && !w.wroteFuel {
		w.write(globals, w.fuel([]byte{1}))
	}
	if place > order(exports) && !w.exported {
		w.write(exports, w.export([]byte{1}, nil))
	}
}

// custom copies a custom section, unless it tells where in the code something is.
func (w *rewriter) custom(end int) {
	begin := w.in.at
	name := w.in.name()
	if w.in.at > end {
		w.in.fail("a custom section's name is longer than the section")
	}
	if w.in.err != nil {
		return
	}
	content := w.in.b[w.in.at:end]
	w.in.at = end
	switch {
	case strings.HasPrefix(name, ".debug_"), strings.HasPrefix(name, "metadata.code."), name == "sourceMappingURL":
	case name == "name" && !wellFormed(content):
	default:
		w.write(custom, w.in.b[begin:end])
	}
}

// wellFormed tells whether the content of a name section (7.4.1) has the sizes that it claims: a malformed custom section is to
// be ignored, and wazero would read on in the next one.
func wellFormed(content []byte) bool {
	in := &reader{b: content}
	for in.err == nil && in.left() > 0 {
		id := in.byte()
		sub := &reader{b: in.bytes(int(in.u32()))}
		switch id {
		case 0: // the module
			sub.name()
		case 1: // functions
			sub.names()
		case 2: // locals
			for range sub.items() {
				sub.u32()
				sub.names()
			}
		default:
			sub.at = len(sub.b)
		}
		if sub.err != nil || sub.left() > 0 {
			return false
		}
	}
	return in.err == nil
}

func (w *rewriter) write(id byte, content []byte) {
	w.out = appendU32(append(w.out, id), uint32(len(content)))
	w.out = append(w.out, content...)
}

// section reads the section that ends at end, and writes it.
func (w *rewriter) section(id byte, end int) {
	content := w.in.b[w.in.at:end]
	switch id {
	case types:
		w.types()
	case imports:
		w.imports()
	case functions:
		w.functions()
	case tables:
		content = w.tables()
	case globals:
		content = w.defined()
	case exports:
		content = w.exports()
	case elements:
		w.elements()
	case code:
		content = w.code()
	case data:
		w.data()
	case memories:
		for range w.in.count() {
			w.limits()
		}
	case start, dataCount: // nothing in them takes part
		w.in.at = end
	}
	if w.in.err == nil {
		w.write(id, content)
	}
}
