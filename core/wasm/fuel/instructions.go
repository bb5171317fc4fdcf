package fuel

// blockType reads the type of a block: none, one result, or a type's index. It returns how many values the block takes and
// gives, if that is a type's: to branch moves them.
func (w *rewriter) blockType() int64 {
	switch t := w.in.signed(33); {
	case 0 <= t && t < int64(len(w.arities)):
		return int64(w.arities[t].params + w.arities[t].results)
	case t == -64, -5 <= t && t < 0, t == -16, t == -17:
	default:
		w.in.fail("block type %d is not supported", t)
	}
	return 0
}

// memoryArgument reads an alignment and an offset.
func (w *rewriter) memoryArgument() {
	if align := w.in.u32(); align > 31 {
		w.in.fail("memory argument %#x is not supported: a module has one memory", align)
	}
	w.in.u32()
}

// plain reads the rest of an instruction that needs no more than to be stepped over.
func (w *rewriter) plain(op byte) {
	switch {
	case op <= 0x01, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1: // unreachable, nop, return, drop, select, ref.is_null
	case op == 0x0c, op == 0x0d: // br, br_if
		w.branches++
		w.in.u32()
	case op == 0x10, op == 0x12, op == 0x25, op == 0x26: // call, return_call, table.get, table.set
		w.in.u32()
	case op == 0x11, op == 0x13: // call_indirect, return_call_indirect
		w.in.u32()
		w.in.u32()
	case op == 0x0e: // br_table
		n := w.in.count()
		w.branches += n
		for range n {
			w.in.u32()
		}
		w.in.u32()
	case op == 0x1c: // select with a type
		w.valueTypes(w.in.count())
	case 0x28 <= op && op <= 0x3e: // loads and stores
		w.memoryArgument()
	case op == 0x3f: // memory.size
		w.in.u32()
	case op == opI32Const:
		w.in.signed(32)
	case op == opI64Const:
		w.in.signed(64)
	case op == opF32Const:
		w.in.bytes(4)
	case op == opF64Const:
		w.in.bytes(8)
	case 0x45 <= op && op <= 0xc4: // of numbers
	case op == opRefNull:
		w.heapType()
	case op == opVector:
		w.vector()
	default:
		w.in.fail("instruction %#x is not supported", op)
	}
}

// misc reads the rest of an instruction behind the prefix 0xfc. It returns by how many bits the number on the stack is to be
// shifted to give its price, 0 if it has none; and what it costs besides.
func (w *rewriter) misc() (shift byte, more int64) {
	const byBytes, byElements = 4, 1
	switch op := w.in.u32(); op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating truncation
	case 8, 10: // memory.init, memory.copy
		w.in.u32()
		w.in.u32()
		return byBytes, 0
	case 11: // memory.fill
		w.in.u32()
		return byBytes, 0
	case 9, 13, 16: // data.drop, elem.drop, table.size
		w.in.u32()
	case 12, 14: // table.init, table.copy
		w.in.u32()
		w.in.u32()
		return byElements, 0
	case 15: // table.grow
		w.in.u32()
		return byElements, growFuel
	case 17: // table.fill
		w.in.u32()
		return byElements, 0
	default:
		w.in.fail("instruction 0xfc %#x is not supported", op)
	}
	return 0, 0
}

// vector reads the rest of an instruction behind the prefix 0xfd. Its number has one byte, or two of which the second is 1;
// wazero takes that one for a nop, so that a number in any other form would be something else to it.
func (w *rewriter) vector() {
	op := w.in.byte()
	if op >= 0x80 && w.in.byte() != 1 {
		w.in.fail("instruction 0xfd %#x is not supported", op)
	}
	switch {
	case op <= 11, op == 92, op == 93: // loads and stores
		w.memoryArgument()
	case op == vecConst, op == 13: // v128.const, i8x16.shuffle
		w.in.bytes(16)
	case 21 <= op && op <= 34: // of a lane
		w.in.byte()
	case 84 <= op && op <= 91: // loads and stores of a lane
		w.memoryArgument()
		w.in.byte()
	}
}
