package sse_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/sse"
)

// A Reader reads what was written.
func TestAppend(t *testing.T) {
	var stream []byte
	stream = sse.Append(stream, "", []byte(`{"a":1}`))
	stream = sse.Comment(stream, "alive")
	stream = sse.Append(stream, "error", []byte(`{"b":2}`))
	if want := "data: {\"a\":1}\n\n: alive\n\nevent: error\ndata: {\"b\":2}\n\n"; string(stream) != want {
		t.Fatalf("got %q, want %q", stream, want)
	}
	r := sse.NewReader(strings.NewReader(string(stream)), 1<<10)
	for _, want := range []string{`{"a":1}`, "", `{"b":2}`} {
		event, err := r.Next()
		if err != nil || string(sse.Data(event)) != want {
			t.Errorf("got %q, %v, want %q", sse.Data(event), err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
}
