package fuel

import "fmt"

// A reader reads the binary format. After the first error it returns zeroes, and keeps the error.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %#x: %s", r.at, fmt.Sprintf(format, args...))
		r.at = len(r.b)
	}
}

func (r *reader) left() int { return len(r.b) - r.at }

func (r *reader) byte() byte {
	if r.left() == 0 {
		r.fail("it ends too early")
		return 0
	}
	b := r.b[r.at]
	r.at++
	return b
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > r.left() {
		r.fail("it ends too early: %d bytes are missing", n-r.left())
		return nil
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	return b
}

// u32 reads an unsigned number in LEB128.
func (r *reader) u32() uint32 {
	var n uint32
	for shift := 0; ; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			r.fail("a number is too large")
			return 0
		}
		n |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

// signed reads a signed number of so many bits in LEB128.
func (r *reader) signed(bits int) int64 {
	var n int64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				n |= -1 << (shift + 7)
			}
			return n
		}
		if shift+7 >= bits {
			r.fail("a number is too large")
			return 0
		}
	}
}

// count reads how many items follow, each of at least one byte.
func (r *reader) count() int {
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.fail("%d items are announced in %d bytes", n, r.left())
		return 0
	}
	return int(n)
}

// items reads how many items of a kind follow.
func (r *reader) items() int {
	n := r.count()
	if n > maxItems {
		r.fail("%d items of a kind; there may be at most %d", n, maxItems)
		return 0
	}
	return n
}

func (r *reader) name() string { return string(r.bytes(int(r.u32()))) }

// names reads a map of names by indices.
func (r *reader) names() {
	for range r.items() {
		r.u32()
		r.name()
	}
}

func appendU32(b []byte, n uint32) []byte {
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func appendS64(b []byte, n int64) []byte {
	for {
		low := byte(n) & 0x7f
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
