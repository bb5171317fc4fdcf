package upstream

// A table holds what leases share: each value for as long as one of them names its key.
type table[K comparable, V any] map[K]*entry[V]

type entry[V any] struct {
	value V
	names int
}

// take returns the key's value, which build makes if nobody names it yet, and counts one name more.
func (t table[K, V]) take(key K, build func() V) V {
	e := t[key]
	if e == nil {
		e = &entry[V]{value: build()}
		t[key] = e
	}
	e.names++
	return e.value
}

// give takes one name back. It returns true with the last one, and the value is gone from the table.
func (t table[K, V]) give(key K) bool {
	e := t[key]
	e.names--
	if e.names > 0 {
		return false
	}
	delete(t, key)
	return true
}
