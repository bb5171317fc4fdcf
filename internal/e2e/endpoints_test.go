package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// startMediaProvider runs the built binary before a mediaProvider, whose model "one" clients call "m".
func startMediaProvider(t *testing.T, maxBody int) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	toml := strings.Replace(gatewaytest.Config("[settings]\nrequest_timeout_seconds = 300", gatewaytest.Provider("p", gatewaytest.Serve(t, mediaProvider{"sk-p"})), gatewaytest.Model("m", "failover", "p")),
		"[server]\n", fmt.Sprintf("[server]\nmax_body_bytes = %d\n", maxBody), 1)
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, freePorts(), "serve", "--config", file)
}

// named is a file with a name, as OpenAI's client sends it.
type named struct {
	io.Reader
	name string
}

func (n named) Filename() string    { return n.name }
func (n named) ContentType() string { return "application/octet-stream" }

// OpenAI's client for Go uses images, speech, transcriptions and moderations through the built binary.
func TestEndpointsGo(t *testing.T) {
	base := "http://" + startMediaProvider(t, 32<<20).address(t) + "/v1"
	client := openai.NewClient(option.WithBaseURL(base), option.WithAPIKey(gatewaytest.Token), option.WithMaxRetries(0))
	sound := func() io.Reader { return named{strings.NewReader(strings.Repeat("x", 100_000)), "a.mp3"} }
	decoded := func(s string) string {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	t.Run("moderation", func(t *testing.T) {
		m, err := client.Moderations.New(t.Context(), openai.ModerationNewParams{Model: "m", Input: openai.ModerationNewParamsInputUnion{OfString: openai.String("x")}})
		if err != nil || len(m.Results) != 1 || !m.Results[0].Categories.Violence {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("image", func(t *testing.T) {
		i, err := client.Images.Generate(t.Context(), openai.ImageGenerateParams{Model: "m", Prompt: "an ant"})
		if err != nil || len(i.Data) != 1 || decoded(i.Data[0].B64JSON) != "an ant|" || i.Usage.TotalTokens != 5 {
			t.Errorf("%+v, %v", i, err)
		}
	})
	t.Run("image as events", func(t *testing.T) {
		s := client.Images.GenerateStreaming(t.Context(), openai.ImageGenerateParams{Model: "m", Prompt: "an ant"})
		types := ""
		for s.Next() {
			types += s.Current().Type + " "
		}
		if s.Err() != nil || types != "image_generation.partial_image image_generation.completed " {
			t.Errorf("%s, %v", types, s.Err())
		}
	})
	t.Run("edit", func(t *testing.T) {
		i, err := client.Images.Edit(t.Context(), openai.ImageEditParams{
			Model: "m", Prompt: "red", Image: openai.ImageEditParamsImageUnion{OfFileArray: []io.Reader{named{strings.NewReader("123"), "a.png"}, named{strings.NewReader("1234"), "b.png"}}},
		})
		if err != nil || decoded(i.Data[0].B64JSON) != "red|a.png 3, b.png 4" {
			t.Errorf("%+v, %v", i, err)
		}
	})
	t.Run("speech", func(t *testing.T) {
		r, err := client.Audio.Speech.New(t.Context(), openai.AudioSpeechNewParams{Model: "m", Input: "1000000", Voice: openai.AudioSpeechNewParamsVoiceUnion{OfString: openai.String("alloy")}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if n, err := io.Copy(io.Discard, r.Body); n != 1_000_000 || err != nil || r.Header.Get("Content-Type") != "audio/mpeg" {
			t.Errorf("%d, %v, %v", n, err, r.Header)
		}
	})
	t.Run("transcription", func(t *testing.T) {
		a, err := client.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{Model: "m", File: sound()})
		if err != nil || a.Text != "a.mp3 100000" {
			t.Errorf("%+v, %v", a, err)
		}
	})
	t.Run("transcription as events", func(t *testing.T) {
		s := client.Audio.Transcriptions.NewStreaming(t.Context(), openai.AudioTranscriptionNewParams{Model: "m", File: sound()})
		last := ""
		for s.Next() {
			last = s.Current().Text
		}
		if s.Err() != nil || last != "a.mp3 100000" {
			t.Errorf("%s, %v", last, s.Err())
		}
	})
}

// OpenAI's client for Node.js does the same.
func TestEndpointsNode(t *testing.T) {
	const folder = "testdata/openai-node"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node: install Node.js 20 or later with npm, and run make node")
	}
	c := exec.CommandContext(t.Context(), node, "endpoints.mjs")
	c.Dir, c.Env = folder, append(os.Environ(), "OPENAI_BASE_URL=http://"+startMediaProvider(t, 32<<20).address(t)+"/v1", "OPENAI_API_KEY="+gatewaytest.Token)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The gateway buffers a bounded part of a file or a speech response of any size, also of a file that precedes the model in its form.
// (BERRY_SOAK=1 sends 200 MB, and gets 100.)
func TestLargeFilesAreBounded(t *testing.T) {
	upload, speech := 60<<20, 60<<20
	if os.Getenv("BERRY_SOAK") != "" {
		upload, speech = 200<<20, 100<<20
	}
	p := startMediaProvider(t, upload+1<<20)
	at, admin := p.address(t), p.wait(t, `"admin":"([^"]+)"`)[1]
	send := func(path, kind string, body io.Reader) int {
		r, err := http.NewRequest(http.MethodPost, "http://"+at+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		r.Header.Set("Content-Type", kind)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		n, err := io.Copy(io.Discard, response.Body)
		if err != nil || response.StatusCode != 200 {
			t.Errorf("%d, %v", response.StatusCode, err)
		}
		return int(n)
	}
	const kind = "multipart/form-data; boundary=b0und"
	model := "--b0und\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
	file := func() io.Reader {
		return io.MultiReader(strings.NewReader("--b0und\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n"), io.LimitReader(endless('x'), int64(upload)), strings.NewReader("\r\n"))
	}
	end := strings.NewReader
	send("/v1/audio/speech", "application/json", strings.NewReader(`{"model":"m","input":"1000"}`))
	before := p.resident(t, admin)
	more := func(what string) {
		peak := int(p.status(t).VmHWM) - before
		t.Logf("%s: at most %d MiB more than before", what, peak>>20)
		if peak > 20<<20 {
			t.Error("that is too much")
		}
	}
	send("/v1/audio/transcriptions", kind, io.MultiReader(strings.NewReader(model), file(), end("--b0und--\r\n")))
	more("a file after its model")
	send("/v1/audio/transcriptions", kind, io.MultiReader(file(), strings.NewReader(model), end("--b0und--\r\n")))
	more("a file before its model")
	if n := send("/v1/audio/speech", "application/json", strings.NewReader(fmt.Sprintf(`{"model":"m","input":"%d"}`, speech))); n != speech {
		t.Errorf("%d bytes of speech", n)
	}
	more("speech")
}

// endless is a reader that repeats one byte.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}
