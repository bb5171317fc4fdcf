package fuel

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
		case opGlobalGet:
			w.knowsGlobal(w.in.u32())
		case opRefFunc:
			w.in.u32()
		case opI32Const, opI64Const, opF32Const, opF64Const, opRefNull,
			opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul: // these in extended constant expressions
			w.plain(op)
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
