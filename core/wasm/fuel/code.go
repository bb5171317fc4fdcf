package fuel

// The instructions that the rewriter tells from others, by their opcodes (core specification, 5.4).
const (
	opUnreachable = 0x00
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opF32Const    = 0x43
	opF64Const    = 0x44
	opI64LtS      = 0x53
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32Mul      = 0x6c
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64Mul      = 0x7e
	opI64ShrU     = 0x88
	opI64ExtendU  = 0xad
	opRefNull     = 0xd0
	opRefFunc     = 0xd2
	opMisc        = 0xfc
	opVector      = 0xfd

	vecConst   = 12
	emptyBlock = 0x40
	i32Type    = 0x7f
	i64Type    = 0x7e
)

// A charge is where a function pays: a fixed price, or one by the number on the stack.
type charge struct {
	at    int // in the module: before which byte
	price int64
	shift byte // of the number on the stack; 0: the price is fixed
	into  int  // which toll, passed before, pays for this one if that is cheaper; none: a loop's, or the function's own
}

const none = -1

// worthwhile is the price from which a toll is levied that another could pay for. With 8, guests pay less for what is jumped
// over, and take 1.25 times their time unmetered; with 24, 1.1 times. Without such tolls a standard-Go guest, whose functions
// are one loop around all of their code, would pay twice as much.
const worthwhile = 24

// growFuel is what it costs to ask the host for more memory or table, whether it gives any.
const growFuel = 100

func (w *rewriter) code() []byte {
	n := w.in.count()
	if w.bodies = n; n > len(w.declared) {
		w.in.fail("%d functions are declared and %d have code", len(w.declared), n)
	}
	content := appendU32(make([]byte, 0, w.in.left()*3/2), uint32(n))
	var tolls []charge
	for i := range n {
		size := int(w.in.u32())
		switch {
		case size > w.in.left():
			w.in.fail("a function of %d bytes is cut off", size)
		case size > maxBody:
			w.in.fail("a function of %d bytes; it may have at most %d", size, maxBody)
		}
		if w.in.err != nil {
			return nil
		}
		whole := w.in.b
		w.in.b = whole[:w.in.at+size]
		var body []byte
		body, tolls = w.function(w.arities[w.declared[i]], tolls[:0])
		content = appendU32(content, uint32(len(body)))
		content = append(content, body...)
		w.in.b = whole
	}
	return content
}

// function reads a function to its end and returns it with its tolls, which it collects in room.
func (w *rewriter) function(t arity, room []charge) ([]byte, []charge) {
	groups := w.in.at
	n, locals := w.in.count(), int64(0)
	declarations := w.in.at
	for range n {
		locals += int64(w.in.u32())
		w.valueType()
		if locals > maxLocals {
			w.in.fail("a function has more than %d locals", maxLocals)
		}
	}
	begin := w.in.at
	if w.locals += locals; w.locals > maxAllLocals {
		w.in.fail("%d locals; there may be at most %d in all", w.locals, maxAllLocals)
	}
	all := int64(t.params) + locals
	tolls, measures := w.body(all, append(room, charge{at: begin, price: all + int64(t.results), into: none}))
	paths := int64(w.branches) * (all + int64(w.widest))
	if w.branches, w.paths = 0, w.paths+paths; paths > maxPaths || w.paths > maxAllPaths {
		w.in.fail("blocks and branches, times locals: %d in a function, %d so far; there may be at most %d and %d", paths, w.paths, maxPaths, maxAllPaths)
	}
	if w.in.err != nil {
		return nil, tolls
	}
	merge(tolls)
	out := make([]byte, 0, (w.in.at-groups)*3/2+16*len(tolls))
	if measures { // by a number on the stack, which needs a local to be looked at
		out = append(appendU32(out, uint32(n)+2), w.in.b[declarations:begin]...)
		out = append(out, 1, i64Type, 1, i32Type)
	} else {
		out = append(appendU32(out, uint32(n)+1), w.in.b[declarations:begin]...)
		out = append(out, 1, i64Type)
	}
	at := begin
	for _, t := range tolls {
		if t.price == 0 && t.shift == 0 {
			continue
		}
		out = append(out, w.in.b[at:t.at]...)
		out = w.pay(out, t, uint32(all))
		at = t.at
	}
	return append(out, w.in.b[at:w.in.at]...), tolls
}

// merge leaves the tolls that are worthwhile. Each stands behind the one that it may be merged into.
func merge(tolls []charge) {
	for i := len(tolls) - 1; i > 0; i-- {
		if t := &tolls[i]; t.into != none && t.price < worthwhile {
			tolls[t.into].price += t.price
			t.price = 0
		}
	}
}

// body reads the instructions of a function with so many locals, and finds where it pays how much. measured tells whether it
// pays by a number on the stack somewhere.
//
// What follows a block, and either side of an if, can only be reached through its first instruction: there it may pay for
// itself, or be paid for by whatever leads there.
func (w *rewriter) body(locals int64, tolls []charge) (_ []charge, measured bool) {
	open := []int{0} // for each block that is open, the toll that pays for what stands in it just now
	levy := func(into int) int {
		tolls = append(tolls, charge{at: w.in.at, into: into})
		return len(tolls) - 1
	}
	for len(open) > 0 {
		if w.in.err != nil {
			return tolls, false
		}
		at, top := w.in.at, len(open)-1
		tolls[open[top]].price++
		switch op := w.in.byte(); op {
		case opBlock:
			tolls[open[top]].price += w.blockType()
			w.branches++
			open = append(open, open[top])
		case opLoop:
			values := w.blockType()
			w.branches++
			open = append(open, levy(none))
			tolls[len(tolls)-1].price += values
		case opIf:
			tolls[open[top]].price += w.blockType()
			w.branches++
			open = append(open, levy(open[top]))
		case opElse:
			if top == 0 {
				w.in.fail("an else stands in no if")
				return tolls, false
			}
			open[top] = levy(open[top-1])
		case opEnd:
			open = open[:top]
			if top > 0 {
				open[top-1] = levy(open[top-1])
			}
		case opMemoryGrow:
			w.in.u32()
			tolls[open[top]].price += growFuel
		case opMisc:
			shift, more := w.misc()
			tolls[open[top]].price += more
			if shift > 0 {
				tolls, measured = append(tolls, charge{at: at, shift: shift, into: none}), true
			}
		case opLocalGet, opLocalSet, opLocalSet + 1:
			if index := w.in.u32(); int64(index) >= locals {
				w.in.fail("it names local %d; there are %d", index, locals)
			}
		case opGlobalGet, opGlobalSet:
			w.knowsGlobal(w.in.u32())
		default:
			w.plain(op)
		}
	}
	if w.in.err == nil && w.in.left() > 0 {
		w.in.fail("a function goes on behind its end")
	}
	return tolls, measured
}

// pay appends the code that takes the toll. The local may be written to; the one behind it takes the number on the stack.
func (w *rewriter) pay(out []byte, t charge, local uint32) []byte {
	fuel := uint32(w.globals)
	if t.shift > 0 {
		out = appendU32(append(out, opLocalSet), local+1)
	}
	out = appendU32(append(out, opGlobalGet), fuel)
	if t.shift > 0 {
		out = appendU32(append(out, opLocalGet), local+1)
		out = append(out, opI64ExtendU, opI64Const, t.shift, opI64ShrU)
	} else {
		out = appendS64(append(out, opI64Const), t.price)
	}
	out = appendU32(append(out, opI64Sub, opLocalTee), local)
	out = appendU32(append(out, opGlobalSet), fuel)
	out = appendU32(append(out, opLocalGet), local)
	out = append(out, opI64Const, 0, opI64LtS, opIf, emptyBlock, opUnreachable, opEnd)
	if t.shift > 0 {
		out = appendU32(append(out, opLocalGet), local+1)
	}
	return out
}
