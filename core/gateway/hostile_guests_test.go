package gateway_test

import (
	"cmp"
	"strconv"
	"strings"
)

// A hostile is a malicious guest in WebAssembly's text format: its additions to the module, and its differences from a strategy that picks the
// first candidate. It behaves correctly during the self-check.
type hostile struct {
	name  string
	does  string // for the table in strategies/README.md
	shows string // what status calls its last fault; or, of one that is refused, a part of the error; "" if nothing is amiss

	fields    string // of the module
	sel       string // before berry_select returns 0; $len is the block's length, the block is at 1024
	buffer    string // what berry_buffer returns for $size; the candidates of the test make it 800 or more
	configure string // what berry_configure returns
	abi       string
	module    func(good []byte) []byte // instead of all that
}

// text returns the guest's source text.
func (h hostile) text() string {
	text := `(module
  (import "berry" "log" (func $log (param i32 i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  FIELDS
  (func (export "berry_abi") (result i32) ABI)
  (func (export "berry_buffer") (param $size i32) (result i32) BUFFER)
  (func (export "berry_configure") (param $len i32) (result i32) CONFIGURE)
  (func (export "berry_select") (param $len i32) (result i32)
    (if (i32.eq (i32.load (i32.const 1096)) (i32.const 10)) ;; the model is called "self-check"
      (then (return (i32.const 0))))
    SELECT
    (i32.const 0)))
`
	return strings.NewReplacer("FIELDS", h.fields, "ABI", cmp.Or(h.abi, "(i32.const 1)"), "BUFFER", cmp.Or(h.buffer, "(i32.const 1024)"),
		"CONFIGURE", cmp.Or(h.configure, "(i32.const 0)"), "SELECT", h.sel).Replace(text)
}

// large is what berry_buffer returns for blocks that are larger than the self-check's.
func large(address string) string {
	return `(if (result i32) (i32.gt_u (local.get $size) (i32.const 800)) (then ` + address + `) (else (i32.const 1024)))`
}

// atWork are guests that pass loading and misbehave in calls.
func atWork() []hostile {
	return []hostile{
		{name: "endless loop", does: "loops for ever", shows: "fuel", sel: `(loop $l (br $l))`},
		{name: "endless loop with work", does: "loops for ever over its memory", shows: "fuel",
			sel: `(loop $l (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1))) (br $l))`},
		{name: "mutual recursion", does: "two functions call each other", shows: "fuel",
			fields: `(func $f (call $g)) (func $g (call $f))`, sel: `(call $f)`},
		{name: "deep frames", does: "calls itself with a frame of 2,000 values", shows: "fuel",
			fields: `(func $f (param i32) (result i32) (local ` + strings.Repeat("i64 ", 2000) + `) (i32.add (call $f (local.get 0)) (local.get 0)))`, sel: `(drop (call $f (i32.const 1)))`},
		{name: "exponential calls", does: "a tree of 2⁴⁰ calls without a loop", shows: "fuel", fields: tree(40), sel: `(call $f40)`},
		{name: "growing memory", does: "asks for memory until it gets none, each time", shows: "",
			sel: `(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (drop (memory.grow (i32.const 65535)))`},
		{name: "filling memory", does: "fills its whole memory, again and again", shows: "fuel",
			sel: `(drop (memory.grow (i32.const 100))) (loop $l (memory.fill (i32.const 0) (i32.const 255) (i32.shl (memory.size) (i32.const 16))) (br $l))`},
		{name: "growing table", does: "grows a table for ever", shows: "fuel",
			fields: `(table $t 0 funcref)`, sel: `(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l))`},
		{name: "trap", does: "traps on every call", shows: "trap", sel: `unreachable`},
		{name: "seventh call", does: "traps on every seventh call", shows: "trap", fields: `(global $n (mut i32) (i32.const 0))`,
			sel: `(global.set $n (i32.add (global.get $n) (i32.const 1))) (if (i32.eqz (i32.rem_u (global.get $n) (i32.const 7))) (then unreachable))`},
		{name: "division", does: "divides by zero", shows: "trap", sel: `(drop (i32.div_u (i32.const 1) (i32.const 0)))`},
		{name: "index out of range", does: "picks one behind the last", shows: "index", sel: `(return (i32.load (i32.const 1032)))`},
		{name: "negative index", does: "picks -2", shows: "index", sel: `(return (i32.const -2))`},
		{name: "huge index", does: "picks 2³¹-1", shows: "index", sel: `(return (i32.const 0x7fffffff))`},
		{name: "exit", does: "calls proc_exit(0)", shows: "exit", sel: `(call $proc_exit (i32.const 0))`},
		{name: "no buffer", does: "refuses a buffer for larger blocks", shows: "buffer", buffer: large(`(i32.const 0)`)},
		{name: "buffer past the end", does: "its buffer begins behind its memory", shows: "buffer", buffer: large(`(i32.const 131072)`)},
		{name: "buffer at the last bytes", does: "its buffer goes on behind its memory", shows: "buffer", buffer: large(`(i32.const 131064)`)},
		{name: "buffer near 2³²", does: "address and length overflow", shows: "buffer", buffer: large(`(i32.const 0xfffffff8)`)},
		{name: "buffer at 8", does: "its buffer lies on its own data", shows: "", buffer: large(`(i32.const 8)`), fields: `(data (i32.const 8) "mine")`},
		{name: "overwritten header", does: "overwrites the block, its counts and sizes", shows: "",
			sel: `(memory.fill (i32.const 1024) (i32.const 255) (local.get $len))`},
		{name: "endless logging", does: "logs for ever", shows: "fuel", sel: `(loop $l (call $log (i32.const 3) (i32.const 0) (i32.const 1024)) (br $l))`},
		{name: "logging without end", does: "logs text that is 4 GiB long", shows: "trap", sel: `(call $log (i32.const 3) (i32.const 131000) (i32.const -1))`},
		{name: "printing", does: "prints 8,192 empty vectors, again and again", shows: "fuel",
			sel: `(loop $l (drop (call $fd_write (i32.const 1) (i32.const 65536) (i32.const 8192) (i32.const 0))) (br $l))`},
		{name: "files and sockets", does: "opens files, sockets and what was preopened; traps if any of it works", shows: "",
			sel: `(if (i32.ne (call $path_open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16)) (i32.const 8)) (then unreachable))
    (if (i32.ne (call $fd_prestat_get (i32.const 3) (i32.const 16)) (i32.const 8)) (then unreachable))
    (if (i32.eqz (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 16))) (then unreachable))`},
		{name: "sleeping", does: "sleeps an hour", shows: "", sel: `(i64.store (i32.const 8216) (i64.const 3600000000000)) (i32.store (i32.const 8208) (i32.const 1))
    (drop (call $poll_oneoff (i32.const 8192) (i32.const 8320) (i32.const 1) (i32.const 8400)))`},
		{name: "sleeping for ever", does: "sleeps, again and again", shows: "fuel", sel: `(i64.store (i32.const 8216) (i64.const 3600000000000)) (i32.store (i32.const 8208) (i32.const 1))
    (loop $l (drop (call $poll_oneoff (i32.const 8192) (i32.const 8320) (i32.const 1) (i32.const 8400))) (br $l))`},
		{name: "long paths", does: "opens files whose names are 100,000 bytes long, again and again", shows: "fuel",
			sel: `(loop $l (drop (call $path_open (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 100000) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16))) (br $l))`},
		{name: "empty lines", does: "prints 60,000 empty lines, again and again", shows: "fuel",
			sel: `(memory.fill (i32.const 4096) (i32.const 10) (i32.const 60000)) (i32.store (i32.const 65536) (i32.const 4096)) (i32.store (i32.const 65540) (i32.const 60000))
    (loop $l (drop (call $fd_write (i32.const 1) (i32.const 65536) (i32.const 1) (i32.const 0))) (br $l))`},
		{name: "wide loops", does: "moves 120 values with each pass of a loop", shows: "fuel",
			fields: `(type $t (func (param ` + strings.Repeat("i64 ", 120) + `) (result ` + strings.Repeat("i64 ", 120) + `)))`,
			sel:    strings.Repeat("(i64.const 1) ", 120) + ` (loop $l (type $t) (br $l)) ` + strings.Repeat("drop ", 120)},
		{name: "random bytes", does: "asks for random bytes for ever", shows: "fuel", sel: `(loop $l (drop (call $random_get (i32.const 8192) (i32.const 65536))) (br $l))`},
	}
}

// tree returns functions that each call the previous one twice.
func tree(height int) string {
	var b strings.Builder
	b.WriteString("(func $f0)")
	for i := 1; i <= height; i++ {
		before, this := "$f"+strconv.Itoa(i-1), "$f"+strconv.Itoa(i)
		b.WriteString("(func " + this + " (call " + before + ") (call " + before + "))")
	}
	return b.String()
}

// atTheDoor are modules that loading rejects, so that the current strategy keeps serving.
func atTheDoor() []hostile {
	return []hostile{
		{name: "no Wasm", does: "a text", shows: "it does not begin as a core module does", module: func([]byte) []byte { return []byte("let me in") }},
		{name: "truncated", does: "half a module", shows: "malformed or unsupported WebAssembly", module: func(b []byte) []byte { return b[:len(b)/2] }},
		{name: "component", does: "a component", shows: "a component is none", module: func([]byte) []byte { return []byte("\x00asm\x0d\x00\x01\x00") }},
		{name: "64 MiB", does: "a module of 64 MiB", shows: "bytes; at most 16777216 are taken", module: func([]byte) []byte { return append([]byte("\x00asm\x01\x00\x00\x00"), make([]byte, 64<<20-8)...) }},
		{name: "missing export", does: "exports no berry_select", shows: "it exports no function berry_select",
			module: func(b []byte) []byte { return []byte(strings.Replace(string(b), "berry_select", "berry_SELECT", 1)) }},
		{name: "mistyped export", does: "its berry_observe returns something", shows: "its berry_observe is () -> i32", fields: `(func (export "berry_observe") (result i32) (i32.const 0))`},
		{name: "ABI version 2", does: "speaks another version of the ABI", shows: "it speaks ABI version 2", abi: `(i32.const 2)`},
		{name: "foreign import", does: "imports env.thing", shows: "it imports env.thing",
			module: func(b []byte) []byte {
				return []byte(strings.Replace(string(b), "\x05berry\x03log", "\x03env\x05thing", 1))
			}},
		{name: "start traps", does: "a start function that traps", shows: "unreachable", fields: `(func $s unreachable) (start $s)`},
		{name: "start without end", does: "a start function that never ends", shows: "or it takes more fuel to start than", fields: `(func $s (loop $l (br $l))) (start $s)`},
		{name: "initialize without end", does: "_initialize never ends", shows: "_initialize: out of fuel", fields: `(func (export "_initialize") (loop $l (br $l)))`},
		{name: "configure without end", does: "berry_configure never ends", shows: "berry_configure: out of fuel", configure: `(loop $l (br $l)) (i32.const 0)`},
		{name: "configure refuses", does: "berry_configure refuses, and says why", shows: "refuses its config: not like this",
			fields: `(data (i32.const 2048) "not like this")`, configure: `(memory.copy (i32.const 1024) (i32.const 2048) (i32.const 13)) (i32.const 13)`},
		{name: "configure lies", does: "berry_configure says that its reason is 2 GiB long", shows: "refuses its config", configure: `(i32.const 0x7fffffff)`},
		{name: "too much memory", does: "begins with 80 MiB of memory", shows: "it begins with 80 MiB of memory; its memory_mb allows 16", fields: `(func (export "x"))`,
			module: func(b []byte) []byte {
				return []byte(strings.Replace(string(b), "\x05\x03\x01\x00\x02", "\x05\x04\x01\x00\x80\x0a", 1))
			}},
		{name: "data past memory", does: "a data segment behind its memory", shows: "out of bounds memory access", fields: `(data (i32.const 131070) "12345")`},
		{name: "compile bomb", does: "20 kB of loops and locals that take a compiler long", shows: "blocks and branches, times locals",
			fields: `(func (local ` + strings.Repeat("i64 ", 2000) + `) ` + strings.Repeat("(loop ", 1000) + strings.Repeat(")", 1000) + `)`},
		{name: "references", does: "makes references to functions, for each of which the runtime keeps memory", shows: "instruction 0xd2 is not supported",
			fields: `(func $r (drop (ref.func $r))) (elem declare func $r)`},
		{name: "huge table", does: "a table of 100 million elements", shows: "a table of 100000000 elements is too large", fields: `(table 100000000 funcref)`},
	}
}
