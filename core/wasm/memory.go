package wasm

import (
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

// A linearMemory is the memory of one instance. Its maximum is reserved at once, as addresses without pages: growing copies nothing, and
// closing the instance returns everything to the system.
type linearMemory struct{ reserved []byte }

var (
	_ experimental.MemoryAllocator = (*linearMemory)(nil)
	_ experimental.LinearMemory    = (*linearMemory)(nil)
)

func newLinearMemory(limit int) (*linearMemory, error) {
	b, err := reserve(limit)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of memory: %w", limit, err)
	}
	return &linearMemory{b}, nil
}

// Allocate returns m, which is for one instance.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate returns the first size bytes, or nil above the limit; then the guest's memory.grow returns -1.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.reserved)) {
		return nil
	}
	return m.reserved[:size]
}

// Free does nothing: wazero calls it when a guest exits, within a call. close is called afterwards.
func (m *linearMemory) Free() {}

func (m *linearMemory) close() error {
	if m.reserved == nil {
		return errors.New("memory closed twice")
	}
	err := release(m.reserved)
	m.reserved = nil
	return err
}
