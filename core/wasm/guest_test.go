package wasm

// A guest assembles a WebAssembly module by hand, byte by byte as the core specification's section 5 has it, so that tests
// can be wrong in one way at a time. All types are i32.
type guest struct {
	imports  []imported
	funcs    []function
	noMemory bool
}

type imported struct {
	module, name    string
	params, results int
}

type function struct {
	export          string
	params, results int
	code            []byte // instructions without the final end
}

// good returns a guest that picks candidate 0 and takes no config.
func good() *guest {
	return &guest{funcs: []function{
		{"berry_abi", 0, 1, i32(1)},
		{"berry_buffer", 1, 1, i32(1024)},
		{"berry_select", 1, 1, i32(0)},
	}}
}

// with returns the guest with a function put in place of the one of that name, or added.
func (g *guest) with(f function) *guest {
	for i := range g.funcs {
		if g.funcs[i].export == f.export {
			g.funcs[i] = f
			return g
		}
	}
	g.funcs = append(g.funcs, f)
	return g
}

// without returns the guest without the function.
func (g *guest) without(export string) *guest {
	for i := range g.funcs {
		if g.funcs[i].export == export {
			g.funcs = append(g.funcs[:i], g.funcs[i+1:]...)
			break
		}
	}
	return g
}

// i32 is the instruction i32.const.
func i32(n int32) []byte {
	out := []byte{0x41}
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

var unreachable = []byte{0x00}

func u32(n int) []byte {
	var out []byte
	for ; n > 0x7f; n >>= 7 {
		out = append(out, byte(n&0x7f|0x80))
	}
	return append(out, byte(n))
}

func name(s string) []byte { return append(u32(len(s)), s...) }

func vec(items [][]byte) []byte {
	out := u32(len(items))
	for _, i := range items {
		out = append(out, i...)
	}
	return out
}

func section(id byte, content []byte) []byte {
	return append(append([]byte{id}, u32(len(content))...), content...)
}

func typ(params, results int) []byte {
	out := append([]byte{0x60}, u32(params)...)
	for range params {
		out = append(out, 0x7f)
	}
	out = append(out, u32(results)...)
	for range results {
		out = append(out, 0x7f)
	}
	return out
}

// bytes returns the module: one type for each import and function, in their order, and 17 pages of memory.
func (g *guest) bytes() []byte {
	var types, imports, funcs, exports, codes [][]byte
	for _, i := range g.imports {
		imports = append(imports, append(append(append(name(i.module), name(i.name)...), 0x00), u32(len(types))...))
		types = append(types, typ(i.params, i.results))
	}
	for i, f := range g.funcs {
		funcs = append(funcs, u32(len(types)))
		types = append(types, typ(f.params, f.results))
		exports = append(exports, append(append(name(f.export), 0x00), u32(len(g.imports)+i)...))
		body := append([]byte{0x00}, append(f.code, 0x0b)...)
		codes = append(codes, append(u32(len(body)), body...))
	}
	out := append([]byte("\x00asm"), 1, 0, 0, 0)
	out = append(out, section(1, vec(types))...)
	out = append(out, section(2, vec(imports))...)
	out = append(out, section(3, vec(funcs))...)
	if !g.noMemory {
		out = append(out, section(5, vec([][]byte{{0x00, 17}}))...)
		exports = append(exports, append(name("memory"), 0x02, 0x00))
	}
	out = append(out, section(7, vec(exports))...)
	return append(out, section(10, vec(codes))...)
}
