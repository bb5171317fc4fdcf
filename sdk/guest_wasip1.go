package sdk

import (
	"unsafe"

	"github.com/berrygate/berry/sdk/abi"
)

// The guest's end of the ABI: what the host calls. The guest owns the buffer, which holds the configuration first, then
// one block after another.
var (
	buffer []uint64 // 8-byte elements keep it aligned
	query  Query    // the view handed to pick; reused, so that a pick allocates nothing
)

func held(size int32) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&buffer[0])), size)
}

//go:wasmexport berry_abi
func exportABI() int32 {
	if registered.pick == nil {
		panic("sdk: no strategy: call sdk.Register from an init function; a guest's main never runs")
	}
	if registered.observe != nil {
		return abi.Version | abi.FlagStateful
	}
	return abi.Version
}

//go:wasmexport berry_buffer
func exportBuffer(size int32) int32 {
	if size < 0 {
		return 0
	}
	if words := (int(size) + 7) / 8; words > len(buffer) || len(buffer) == 0 {
		buffer = make([]uint64, max(words, 512))
	}
	return int32(uintptr(unsafe.Pointer(&buffer[0])))
}

//go:wasmexport berry_configure
func exportConfigure(length int32) int32 {
	config := held(length)
	var refusal string
	switch {
	case registered.configure != nil:
		if err := registered.configure(append([]byte(nil), config...)); err != nil {
			refusal = err.Error()
			if refusal == "" {
				refusal = "refused"
			}
		}
	case string(config) != "{}":
		refusal = "this strategy takes no config"
	}
	if refusal == "" {
		return 0
	}
	n := min(len(refusal), len(buffer)*8)
	return int32(copy(held(int32(n)), refusal))
}

//go:wasmexport berry_select
func exportSelect(length int32) int32 {
	query = view(held(length))
	return int32(registered.pick(&query))
}

//go:wasmexport berry_observe
func exportObserve(length int32) {
	if registered.observe == nil {
		return
	}
	o, err := abi.DecodeOutcome(held(length))
	if err != nil {
		panic(err.Error())
	}
	registered.observe(&o)
}

//go:wasmimport berry log
//go:noescape
func hostLog(level int32, text unsafe.Pointer, length int32)

// Log writes a line to the gateway's log under the strategy's name. Natively it does nothing.
func Log(level Level, text string) {
	hostLog(int32(level), unsafe.Pointer(unsafe.StringData(text)), int32(len(text)))
}

// WebAssembly loads little-endian numbers from any address. Go compiles binary.LittleEndian.Uint64 to eight loads of a byte
// there, which took most of a pick's fuel.

func load32(b []byte) uint32 { return *(*uint32)(unsafe.Pointer(&b[0])) }
func load64(b []byte) uint64 { return *(*uint64)(unsafe.Pointer(&b[0])) }

// loadTiming copies a timing; the struct has the block's layout, which a test of package abi checks.
func loadTiming(b []byte) Timing { return *(*Timing)(unsafe.Pointer(&b[0])) }
