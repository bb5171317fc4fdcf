package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// startArchives runs the built binary before two archives, "p" and "q", and returns its base URL.
func startArchives(t *testing.T) string {
	t.Helper()
	toml := gatewaytest.Config(
		gatewaytest.Provider("p", gatewaytest.Serve(t, &filesProvider{key: "sk-p"})), gatewaytest.Provider("q", gatewaytest.Serve(t, &filesProvider{key: "sk-q"})),
		gatewaytest.Model("m", "failover", "p"))
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return "http://" + start(t, freePorts(), "serve", "--config", file).address(t) + "/v1"
}

// clientNaming returns a client that names the provider; "" is none.
func clientNaming(base, provider string) openai.Client {
	o := []option.RequestOption{option.WithBaseURL(base), option.WithAPIKey(gatewaytest.Token), option.WithMaxRetries(0)}
	if provider != "" {
		o = append(o, option.WithHeader("X-Berry-Provider", provider))
	}
	return openai.NewClient(o...)
}

// code returns the status and the code of a refusal.
func code(err error) string {
	var refused *openai.Error
	if errors.As(err, &refused) {
		return fmt.Sprint(refused.StatusCode, " ", refused.Code)
	}
	return fmt.Sprint(err)
}

// OpenAI's own client for Go keeps files, has batches made of them and reads what came of it, at the provider that it names.
func TestFilesGo(t *testing.T) {
	base := startArchives(t)
	ctx := t.Context()
	input := strings.Repeat(`{"body":"ask"}`+"\n", 100_000)
	params := openai.FileNewParams{File: named{strings.NewReader(input), "input.jsonl"}, Purpose: openai.FilePurposeBatch}
	unnamed := clientNaming(base, "")
	if _, err := unnamed.Files.New(ctx, params); code(err) != "400 ambiguous_provider" {
		t.Error(code(err))
	}
	q := clientNaming(base, "q")
	params.File = named{strings.NewReader(input), "input.jsonl"}
	file, err := q.Files.New(ctx, params)
	if err != nil || file.Bytes != int64(len(input)) || file.Filename != "input.jsonl" {
		t.Fatalf("%+v, %v", file, err)
	}
	batchGo(t, q, file.ID, strings.ReplaceAll(input, "ask", "answer"))
	seen := ""
	files := q.Files.ListAutoPaging(ctx, openai.FileListParams{Limit: openai.Int(1)})
	for files.Next() {
		seen += files.Current().Filename + " "
	}
	if files.Err() != nil || seen != "input.jsonl output.jsonl " {
		t.Errorf("%q, %v", seen, files.Err())
	}
	if d, err := q.Files.Delete(ctx, file.ID); err != nil || !d.Deleted {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := q.Files.Get(ctx, file.ID); !strings.HasPrefix(code(err), "404 ") {
		t.Error(code(err))
	}
	p := clientNaming(base, "p")
	if l, err := p.Files.List(ctx, openai.FileListParams{}); err != nil || len(l.Data) != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

// batchGo makes a batch of the file, and wants the output of it.
func batchGo(t *testing.T, q openai.Client, input, output string) {
	ctx := t.Context()
	batch, err := q.Batches.New(ctx, openai.BatchNewParams{InputFileID: input, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions, CompletionWindow: openai.BatchNewParamsCompletionWindow24h})
	if err != nil || batch.Endpoint != "/v1/chat/completions" {
		t.Fatalf("%+v, %v", batch, err)
	}
	if b, err := q.Batches.Get(ctx, batch.ID); err != nil || b.RawJSON() != batch.RawJSON() {
		t.Error(err)
	}
	if _, err := q.Batches.Cancel(ctx, batch.ID); !strings.HasPrefix(code(err), "409 ") {
		t.Error(code(err))
	}
	if b, err := q.Batches.List(ctx, openai.BatchListParams{Limit: openai.Int(5)}); err != nil || len(b.Data) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	content, err := q.Files.Content(ctx, batch.OutputFileID)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Body.Close()
	if b, err := io.ReadAll(content.Body); err != nil || string(b) != output {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// OpenAI's own client for Node.js does the same.
func TestFilesNode(t *testing.T) {
	const folder = "testdata/openai-node"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node: install Node.js 20 or later with npm, and run make node")
	}
	c := exec.CommandContext(t.Context(), node, "files.mjs")
	c.Dir, c.Env = folder, append(os.Environ(), "OPENAI_BASE_URL="+startArchives(t), "OPENAI_API_KEY="+gatewaytest.Token)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
