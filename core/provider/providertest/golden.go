// Package providertest holds what the tests of all translators share: golden files and a fuzzer.
//
// A golden file is a txtar archive. Its comment says where the provider documents what the file shows; its sections are
// what the client and the provider send, in this order, as far as the file is about them:
//
//	client request.json    what the client asks
//	provider request.json  what the provider is asked for that
//	provider answer.json   what the provider answers; or .sse, a stream; or a refusal, as in "provider refusal 529.json"
//	client answer.json     what the client gets for that; likewise
//	client refusal.json    the error, where the provider cannot be asked
//
// BERRY_UPDATE=1 go test writes the sections that the translator makes.
package providertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berrygate/berry/core/provider/adapter"
)

// limit is of an event, in bytes.
const limit = 1 << 20

// Golden holds the translator against the golden files in testdata.
func Golden(t *testing.T, d adapter.Translator) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			before, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			after := &txtar.Archive{Comment: before.Comment, Files: translated(t, d, before.Files)}
			switch got, want := txtar.Format(after), txtar.Format(before); {
			case bytes.Equal(got, want):
			case os.Getenv("BERRY_UPDATE") != "":
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s is\n%s\nnot\n%s", file, got, want)
			}
		})
	}
}

// translated returns the files with what d makes of the client's request and the provider's answers.
func translated(t *testing.T, d adapter.Translator, files []txtar.File) []txtar.File {
	t.Helper()
	var out []txtar.File
	add := func(name string, b []byte) {
		if strings.HasSuffix(name, ".json") {
			b = indented(t, b)
		}
		out = append(out, txtar.File{Name: name, Data: b})
	}
	request := section(files, "client request.json")
	add("client request.json", request)
	call := Call(request)
	body, answer, err := d.Translate(t.Context(), call, request)
	var refused *adapter.ParamError
	if errors.As(err, &refused) {
		b, err := json.Marshal(map[string]string{"param": refused.Param, "code": refused.Code, "message": refused.Message})
		if err != nil {
			t.Fatal(err)
		}
		add("client refusal.json", b)
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	add("provider request.json", body)
	for _, f := range files {
		if kind, ok := strings.CutPrefix(f.Name, "provider "); ok && kind != "request.json" {
			add(f.Name, f.Data)
			add(answered(t, answer, kind, f.Data))
		}
	}
	return out
}

// answered returns what the client gets of a provider's answer of the kind, and the name of its section.
func answered(t *testing.T, a adapter.ResponseTranslator, kind string, data []byte) (name string, body []byte) {
	t.Helper()
	if status, ok := strings.CutPrefix(kind, "refusal "); ok {
		n, err := strconv.Atoi(status[:strings.Index(status+".", ".")])
		if err != nil {
			t.Fatal(kind)
		}
		refused := a.TranslateError(n, data)
		name := fmt.Sprintf("client refusal %d", refused.Status)
		if refused.Page {
			name += ", a page"
		}
		if refused.RetryAfter != 0 {
			name += fmt.Sprintf(", Retry-After %v", refused.RetryAfter)
		}
		if len(refused.Body) > 0 && !json.Valid(refused.Body) {
			return name + ".txt", refused.Body
		}
		return name + ".json", refused.Body
	}
	if kind == "answer.sse" {
		return "client answer.sse", Stream(t, a, bytes.NewReader(data))
	}
	b, err := a.Body(data)
	if err != nil {
		t.Fatal(err)
	}
	return "client answer.json", b
}

// Call returns the call of a request: what the gateway knows of it.
func Call(request []byte) adapter.Call {
	var r struct {
		Model  string
		Stream bool
		Input  any // of embeddings
	}
	_ = json.Unmarshal(request, &r)
	c := adapter.Call{ID: "exchange-1", Path: "/chat/completions", Model: r.Model, Stream: r.Stream, Began: time.Unix(1_700_000_000, 0)}
	if r.Input != nil {
		c.Path = "/embeddings"
	}
	return c
}

// Stream returns the client's stream for the provider's.
func Stream(t testing.TB, a adapter.ResponseTranslator, src io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(adapter.NewReader(src, a, limit, nil))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func section(files []txtar.File, name string) []byte {
	i := slices.IndexFunc(files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return files[i].Data
}

func indented(t *testing.T, b []byte) []byte {
	t.Helper()
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(b), "", "  "); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	out.WriteByte('\n')
	return out.Bytes()
}
