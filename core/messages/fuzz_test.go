package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/providertest"
	"github.com/berrygate/berry/core/sse"
	"github.com/berrygate/berry/internal/complexitytest"
)

// sections returns the sections of golden files whose names end so.
func sections(f *testing.F, name string, folders ...string) [][]byte {
	f.Helper()
	var out [][]byte
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "testdata/*.txtar"))
		if err != nil || len(files) == 0 {
			f.Fatalf("%d golden files in %s, %v", len(files), folder, err)
		}
		for _, file := range files {
			a, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, s := range a.Files {
				if s.Name == name {
					out = append(out, s.Data)
				}
			}
		}
	}
	return out
}

// However the bytes of a stream are split into reads, the events of the message are the same; and whatever they are, what is written is
// the stream of a message: well-formed from its head to its end, or to an error, or until it breaks off.
func FuzzStream(f *testing.F) {
	for _, s := range sections(f, "provider answer.sse", ".", "../provider/gemini") {
		f.Add(s, uint8(len(s)), true)
		f.Add(s, uint8(1), false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint8, thoughts bool) {
		request := `{"stream":true,"max_tokens":9,"stop_sequences":["#"],"messages":[{"role":"user","content":"Hi!"}]`
		if thoughts {
			request += `,"thinking":{"type":"adaptive"}`
		}
		for name, d := range map[string]adapter.Translator{"chats": chats(t), "contents": contents(t)} {
			read := func(src io.Reader) []byte {
				_, a, err := d.Translate(t.Context(), providertest.Call([]byte(request+"}")), []byte(request+"}"))
				if err != nil {
					t.Fatal(err)
				}
				return providertest.Stream(t, a, src)
			}
			var whole []byte
			complexitytest.BoundedAllocs(t, len(stream), func() { whole = read(bytes.NewReader(stream)) })
			if split := read(&splitter{bytes.NewReader(stream), int(size) + 1}); !bytes.Equal(whole, split) {
				t.Errorf("%s at once\n%s\nby %d bytes\n%s", name, whole, int(size)+1, split)
			}
			if err := wellFormed(whole); err != nil {
				t.Errorf("%s: %v:\n%s", name, err, whole)
			}
		}
	})
}

// A splitter reads at most so many bytes at once.
type splitter struct {
	src  io.Reader
	size int
}

func (s *splitter) Read(p []byte) (int, error) { return s.src.Read(p[:min(len(p), s.size)]) }

// wellFormed tells what is wrong with the stream of a message as far as it goes. What is no JSON came so, and is no event of it.
func wellFormed(stream []byte) error {
	events, c := sse.NewReader(bytes.NewReader(stream), 1<<20), checker{}
	for {
		event, err := events.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if data := sse.Data(event); json.Valid(data) {
			var e said
			if err := json.Unmarshal(data, &e); err != nil {
				return err
			}
			if !c.next(&e) || !bytes.HasPrefix(event, []byte("event: "+e.Type+"\ndata: ")) {
				return errors.New(e.Type + " is out of place after " + c.before)
			}
			c.before = e.Type
		}
	}
}

type said struct {
	Type  string
	Index int
	Delta struct {
		Type       string
		StopReason *string `json:"stop_reason"`
	}
	Block struct{ Type, ID, Name string } `json:"content_block"`
	Error struct{ Type, Message string }
}

// A checker knows what may follow.
type checker struct {
	before string // the type of the event before
	open   bool   // a block is
	blocks int
}

// next tells whether the event may follow.
func (c *checker) next(e *said) bool {
	within := c.before != "" && c.before != "message_delta" && c.before != "message_stop" && c.before != "error"
	switch e.Type {
	case "message_start":
		return c.before == ""
	case "content_block_start":
		ok := within && !c.open && e.Index == c.blocks && (e.Block.Type != "tool_use" || e.Block.ID != "" && e.Block.Name != "")
		c.open, c.blocks = true, c.blocks+1
		return ok
	case "content_block_delta":
		return within && c.open && e.Index == c.blocks-1 && strings.HasSuffix(e.Delta.Type, "_delta")
	case "content_block_stop":
		ok := within && c.open && e.Index == c.blocks-1
		c.open = false
		return ok
	case "message_delta":
		return within && !c.open && e.Delta.StopReason != nil
	case "message_stop":
		return c.before == "message_delta"
	case "error":
		return c.before != "message_stop" && c.before != "error" && e.Error.Type != "" && e.Error.Message != ""
	default:
		return false
	}
}

// No request, no answer and no error makes the translation panic; what is asked is a chat that the next translator understands or
// refuses by a name, and what is answered is a message or an error.
func FuzzRequest(f *testing.F) {
	answers := append(sections(f, "provider answer.json", "."), []byte("{"))
	for i, s := range sections(f, "client request.json", ".") {
		f.Add(s, answers[i%len(answers)], uint16(429))
	}
	f.Fuzz(func(t *testing.T, request, reply []byte, status uint16) {
		if !json.Valid(request) || request[0] != '{' { // the gateway has seen to it
			return
		}
		for name, d := range map[string]adapter.Translator{"chats": chats(t), "contents": contents(t)} {
			var body []byte
			var a adapter.ResponseTranslator
			var err error
			complexitytest.BoundedAllocs(t, len(request), func() { body, a, err = d.Translate(t.Context(), providertest.Call(request), request) })
			if err != nil {
				var refused *adapter.ParamError
				if !errors.As(err, &refused) || refused.Param == "" {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if !json.Valid(body) {
				t.Errorf("%s: no JSON: %s", name, body)
			}
			var m struct{ Type string }
			var out []byte
			complexitytest.BoundedAllocs(t, len(reply), func() { out, err = a.Body(reply) })
			if err == nil && (json.Unmarshal(out, &m) != nil || m.Type != "message" && m.Type != "error") {
				t.Errorf("%s: no message: %s", name, out)
			}
			if r := a.TranslateError(400+int(status%200), reply); len(r.Body) > 0 {
				if out := Said(r.Status, r.Body, "id"); out != nil && !IsError(out) {
					t.Errorf("%s: no error: %s", name, out)
				}
			}
		}
	})
}

// A stream that breaks has no end.
func TestStreamBreaks(t *testing.T) {
	request := []byte(`{"stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]}`)
	_, a, err := chats(t).Translate(t.Context(), providertest.Call(request), request)
	if err != nil {
		t.Fatal(err)
	}
	src := io.MultiReader(strings.NewReader("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	out, err := io.ReadAll(adapter.NewReader(src, a, 1<<20, nil))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Contains(out, []byte("Hi")) || bytes.Contains(out, []byte("message_delta")) {
		t.Errorf("%s, %v", out, err)
	}
}
