package providertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/sse"
	"github.com/berrygate/berry/internal/complexitytest"
)

// FuzzStream holds what is true of the translation of any stream: however the bytes are split into reads, the events are the
// same; what is written is JSON, unless it came as something else; and it ends once.
func FuzzStream(f *testing.F, d adapter.Translator) {
	seeds, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range seeds {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range a.Files {
			if s.Name == "provider answer.sse" {
				f.Add(s.Data, uint8(len(s.Data)))
			}
		}
	}
	request := []byte(`{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi!"}]}`)
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		read := func(src io.Reader) []byte {
			_, a, err := d.Translate(t.Context(), Call(request), request)
			if err != nil {
				t.Fatal(err)
			}
			return Stream(t, a, src)
		}
		var whole []byte
		complexitytest.BoundedAllocs(t, len(stream), func() { whole = read(bytes.NewReader(stream)) })
		if split := read(&splitter{bytes.NewReader(stream), int(size) + 1}); !bytes.Equal(whole, split) {
			t.Errorf("at once\n%s\nby %d bytes\n%s", whole, int(size)+1, split)
		}
		_, before := look(t, stream)
		terminals, after := look(t, whole)
		if terminals > 1 || before != after {
			t.Errorf("%d terminals; %d events that are no JSON, %d before:\n%s", terminals, after, before, whole)
		}
	})
}

// look counts the terminals of a stream, and the events that are no JSON.
func look(t *testing.T, stream []byte) (terminals, malformed int) {
	events := sse.NewReader(bytes.NewReader(stream), limit)
	for {
		event, err := events.Next()
		if errors.Is(err, io.EOF) {
			return terminals, malformed
		}
		if err != nil {
			t.Fatal(err)
		}
		switch data := bytes.TrimSpace(sse.Data(event)); {
		case string(data) == "[DONE]":
			terminals++
		case len(sse.Data(event)) > 0 && !json.Valid(data):
			malformed++
		}
	}
}

// FuzzRequest holds that no request and no answer makes the translator panic, and that what it asks is JSON.
func FuzzRequest(f *testing.F, d adapter.Translator) {
	seeds, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range seeds {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		answer := section(a.Files, "provider answer.json")
		f.Add(section(a.Files, "client request.json"), answer)
	}
	f.Fuzz(func(t *testing.T, request, reply []byte) {
		if !json.Valid(request) { // the gateway has seen to it
			return
		}
		var body []byte
		var a adapter.ResponseTranslator
		var err error
		complexitytest.BoundedAllocs(t, len(request), func() { body, a, err = d.Translate(t.Context(), Call(request), request) })
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Errorf("no JSON: %s", body)
		}
		var out []byte
		complexitytest.BoundedAllocs(t, len(reply), func() { out, err = a.Body(reply) })
		if err == nil && !json.Valid(out) {
			t.Errorf("no JSON: %s", out)
		}
		if out := a.TranslateError(500, reply).Body; len(out) > 0 && !json.Valid(out) {
			t.Errorf("no JSON: %s", out)
		}
	})
}

// A splitter reads at most so many bytes at once.
type splitter struct {
	src  io.Reader
	size int
}

func (s *splitter) Read(p []byte) (int, error) { return s.src.Read(p[:min(len(p), s.size)]) }
