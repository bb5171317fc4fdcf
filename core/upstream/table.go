package upstream

// A table stores reference-counted values.
type table[K comparable, V any] map[K]*entry[V]

type entry[V any] struct {
	value V
	names int
}

// take returns the key's value, which build makes if there is none, and adds a reference.
func (t table[K, V]) take(key K, build func() V) V {
	e := t[key]
	if e == nil {
		e = &entry[V]{value: build()}
		t[key] = e
	}
	e.names++
	return e.value
}

// give removes a reference. It returns true for the last one, and removes the value.
func (t table[K, V]) give(key K) bool {
	e := t[key]
	e.names--
	if e.names > 0 {
		return false
	}
	delete(t, key)
	return true
}
