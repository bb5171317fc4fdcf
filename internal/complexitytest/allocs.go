package complexitytest

import (
	"runtime/metrics"
	"testing"
)

// BoundedAllocs calls f and fails the test if f allocates more than 2 MiB and 1000 bytes per byte of its input, whose size is given. The factor
// allows for small stream events that become complete chunks and small elements that become structs. Code that trusts a size, an index or a
// name from the input exceeds it.
func BoundedAllocs(t *testing.T, size int, f func()) {
	t.Helper()
	const fixed, perByte = 2 << 20, 1000
	before := allocated()
	f()
	if took := allocated() - before; took > uint64(fixed+perByte*size) {
		t.Errorf("allocated %d bytes for an input of %d bytes", took, size)
	}
}

// allocated returns the number of bytes that the process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
