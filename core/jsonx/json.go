// Package jsonx has helpers for JSON text: validation, keys that must be unique, and a scanner for the events of streams.
package jsonx

import (
	"bytes"
	"encoding/json"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Valid reports whether b is one JSON value, nested at most 10,000 deep. gjson recurses without a limit, and Go aborts a process whose stack
// is too large; so text with many brackets is checked by encoding/json, which is slower.
func Valid(b []byte) bool {
	const depth = 10_000
	if bytes.Count(b, []byte{'['})+bytes.Count(b, []byte{'{'}) > depth {
		return json.Valid(b)
	}
	return gjson.ValidBytes(b)
}

// View returns the JSON value in b without copying it. b must not change while the value, or a string read from it, is in use.
func View(b []byte) gjson.Result { return gjson.Parse(unsafe.String(unsafe.SliceData(b), len(b))) }
