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

func (w *rewriter) types() {
	for range w.in.items() {
		if form := w.in.byte(); form != 0x60 {
			w.in.fail("type form %#x is not supported", form)
			return
		}
		var t arity
		t.params = w.in.count()
		w.valueTypes(t.params)
		t.results = w.in.count()
		w.valueTypes(t.results)
		if most := max(t.params, t.results); most > maxArity {
			w.in.fail("a type of %d values; it may have at most %d", most, maxArity)
			return
		}
		w.arities = append(w.arities, t)
		w.widest = max(w.widest, t.results)
	}
}

func (w *rewriter) valueTypes(n int) {
	for range n {
		w.valueType()
	}
}

// valueType reads a number, vector or reference type.
func (w *rewriter) valueType() {
	switch t := w.in.byte(); t {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f:
	default:
		w.in.fail("value type %#x is not supported", t)
	}
}

func (w *rewriter) imports() {
	for range w.in.items() {
		w.in.name()
		w.in.name()
		switch kind := w.in.byte(); kind {
		case ofFunction:
			w.in.u32()
		case ofTable:
			w.valueType()
			w.limits()
		case ofMemory:
			w.limits()
		case ofGlobal:
			w.valueType()
			w.in.byte()
			w.globals++
		default:
			w.in.fail("import kind %#x is not supported", kind)
		}
	}
}

// limits reads the limits of a table or memory.
func (w *rewriter) limits() (least, most uint32, bounded bool) {
	switch flags := w.in.byte(); flags {
	case 0:
		least = w.in.u32()
	case 1:
		least, most, bounded = w.in.u32(), w.in.u32(), true
	default:
		w.in.fail("limits %#x are not supported: a shared or 64-bit memory or table", flags)
	}
	return least, most, bounded
}

func (w *rewriter) functions() {
	for range w.in.items() {
		t := int(w.in.u32())
		if t >= len(w.arities) {
			w.in.fail("a function has type %d of %d", t, len(w.arities))
			return
		}
		w.declared = append(w.declared, t)
	}
}

// tables copies the tables with their growth bounded.
func (w *rewriter) tables() []byte {
	n := w.in.items()
	content := appendU32(nil, uint32(n))
	for range n {
		begin := w.in.at
		w.valueType()
		content = append(content, w.in.b[begin:w.in.at]...)
		least, most, bounded := w.limits()
		room := uint32(maxElements / n)
		if least > room {
			w.in.fail("a table of %d elements is too large; the module's %d may have %d each", least, n, room)
			return nil
		}
		if bounded && most < least {
			w.in.fail("a table's least size is above its greatest")
			return nil
		}
		if !bounded || most > room {
			most = room
		}
		content = appendU32(appendU32(append(content, 1), least), most)
	}
	return content
}

// defined copies the globals, with the fuel behind them.
func (w *rewriter) defined() []byte {
	n := w.in.items()
	begin := w.in.at
	w.globals += n
	for range n {
		w.valueType()
		w.in.byte()
		w.constant()
	}
	return w.fuel(append(appendU32(nil, uint32(n)+1), w.in.b[begin:w.in.at]...))
}

// fuel appends the global that holds the fuel.
func (w *rewriter) fuel(content []byte) []byte {
	w.wroteFuel = true
	content = append(content, 0x7e, 1, opI64Const) // a mutable i64
	return append(appendS64(content, w.start), opEnd)
}

func (w *rewriter) exports() []byte {
	n := w.in.items()
	begin := w.in.at
	taken := map[string]bool{}
	for range n {
		taken[w.in.name()] = true
		kind, index := w.in.byte(), w.in.u32()
		if kind == ofGlobal {
			w.knowsGlobal(index)
		}
	}
	return w.export(append(appendU32(nil, uint32(n)+1), w.in.b[begin:w.in.at]...), taken)
}

// export appends the export of the fuel, under a name that is not taken.
func (w *rewriter) export(content []byte, taken map[string]bool) []byte {
	w.exported = true
	w.global = "berry_fuel"
	for taken[w.global] {
		w.global += "_"
	}
	content = appendU32(content, uint32(len(w.global)))
	content = append(append(content, w.global...), ofGlobal)
	return appendU32(content, uint32(w.globals))
}

// knowsGlobal fails if the module has no such global: the fuel, which is the next, is none of its own.
func (w *rewriter) knowsGlobal(index uint32) {
	if int64(index) >= int64(w.globals) {
		w.in.fail("it names global %d; there are %d", index, w.globals)
	}
}

// constant reads a constant expression.
func (w *rewriter) constant() {
	for w.in.err == nil {
		switch op := w.in.byte(); op {
		case opEnd:
			return
		case opI32Const:
			w.in.signed(32)
		case opI64Const:
			w.in.signed(64)
		case opF32Const:
			w.in.bytes(4)
		case opF64Const:
			w.in.bytes(8)
		case opGlobalGet:
			w.knowsGlobal(w.in.u32())
		case opRefNull:
			w.heapType()
		case opRefFunc:
			w.in.u32()
		case opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul: // extended constant expressions
		case opVector:
			if w.in.u32() != vecConst {
				w.in.fail("a constant expression has a vector instruction")
			}
			w.in.bytes(16)
		default:
			w.in.fail("instruction %#x in a constant expression is not supported", op)
		}
	}
}

func (w *rewriter) heapType() {
	switch t := w.in.byte(); t {
	case 0x70, 0x6f:
	default:
		w.in.fail("heap type %#x is not supported", t)
	}
}

// elements reads the element segments (5.5.12), whose expressions may name globals.
func (w *rewriter) elements() {
	all := 0
	for range w.in.items() {
		flags := w.in.u32()
		if flags > 7 {
			w.in.fail("element segment %#x is not supported", flags)
			return
		}
		active, explicit, expressions := flags&1 == 0, flags&2 != 0, flags&4 != 0
		if active {
			if explicit {
				w.in.u32() // the table
			}
			w.constant()
		}
		switch {
		case !expressions && (!active || explicit):
			w.in.byte() // the kind
		case expressions && (!active || explicit):
			w.valueType()
		}
		n := w.in.count()
		if all += n; all > maxElements {
			w.in.fail("%d elements; there may be at most %d", all, maxElements)
			return
		}
		for range n {
			if expressions {
				w.constant()
			} else {
				w.in.u32()
			}
		}
	}
}

// data reads the data segments (5.5.14).
func (w *rewriter) data() {
	for range w.in.items() {
		flags := w.in.u32()
		switch flags {
		case 0, 1, 2:
		default:
			w.in.fail("data segment %#x is not supported", flags)
			return
		}
		if flags == 2 {
			w.in.u32() // the memory
		}
		if flags != 1 {
			w.constant()
		}
		w.in.bytes(int(w.in.u32()))
	}
}
