package costly

import (
	"runtime/metrics"
	"testing"
)

// Bounded calls f and fails if that allocates more than its input of size bytes accounts for: a stream's tiny events become whole chunks, each of
// them with its head; a request's tiny elements become structs. A foreign size, index or name that is believed takes more.
func Bounded(t *testing.T, size int, f func()) {
	t.Helper()
	const fixed, perByte = 2 << 20, 1000
	before := allocated()
	f()
	if took := allocated() - before; took > uint64(fixed+perByte*size) {
		t.Errorf("%d bytes were allocated for an input of %d", took, size)
	}
}

// allocated returns how many bytes the process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
