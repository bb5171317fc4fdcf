package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// A mediaProvider is a provider of images, sound and moderations, as OpenAI's API has them. It tells what it was asked in what it answers, and
// holds no file.
type mediaProvider struct{ key string }

// What a request to the mediaProvider asks for.
type mediaRequest struct {
	Model        string
	Input        string // so many bytes of speech, if it is a number
	Prompt       string
	Stream       bool
	StreamFormat string `json:"stream_format"`
	format       string
	files        []string // names and sizes
}

func (s mediaProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := readMediaRequest(r)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+s.key:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil || c.Model != "one":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"message":"model %q, %v","type":"invalid_request_error"}}`, c.Model, err)
		return
	}
	saw := strings.Join(c.files, ", ")
	image := fmt.Sprintf(`"b64_json":%q`, base64.StdEncoding.EncodeToString([]byte(c.Prompt+"|"+saw)))
	const usage = `"usage":{"input_tokens":2,"output_tokens":3,"total_tokens":5,"input_tokens_details":{"text_tokens":2,"image_tokens":0}}`
	switch path := strings.TrimPrefix(r.URL.Path, "/v1"); path {
	case "/moderations":
		whole(w, `{"id":"modr-1","model":"one","results":[{"flagged":true,"categories":{"violence":true},"category_scores":{"violence":0.9}}]}`)
	case "/images/generations", "/images/edits", "/images/variations":
		kind := map[string]string{"/images/generations": "image_generation", "/images/edits": "image_edit"}[path]
		if c.Stream {
			sendEvents(w, kind+".partial_image", `"partial_image_index":0,`+image, kind+".completed", image+","+usage)
		} else {
			whole(w, `{"created":1,"data":[{`+image+`}],`+usage+`}`)
		}
	case "/audio/speech":
		speak(w, c)
	case "/audio/transcriptions", "/audio/translations":
		switch {
		case c.Stream:
			sendEvents(w, "transcript.text.delta", fmt.Sprintf(`"delta":%q`, saw), "transcript.text.done", fmt.Sprintf(`"text":%q,%s`, saw, usage))
		case c.format == "text":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, saw)
		default:
			whole(w, fmt.Sprintf(`{"text":%q,"usage":{"type":"tokens","input_tokens":2,"output_tokens":3,"total_tokens":5}}`, saw))
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// readMediaRequest reads a request's JSON or its form.
func readMediaRequest(r *http.Request) (mediaRequest, error) {
	var c mediaRequest
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return c, json.NewDecoder(r.Body).Decode(&c)
	}
	form, err := r.MultipartReader()
	if err != nil {
		return c, err
	}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		if err := c.take(part); err != nil {
			return c, err
		}
	}
}

// take reads a part of a form.
func (c *mediaRequest) take(part *multipart.Part) error {
	if part.FileName() != "" {
		n, err := io.Copy(io.Discard, part)
		c.files = append(c.files, fmt.Sprintf("%s %d", part.FileName(), n))
		return err
	}
	value, err := io.ReadAll(part)
	switch text := string(value); part.FormName() {
	case "model":
		c.Model = text
	case "prompt":
		c.Prompt = text
	case "response_format":
		c.format = text
	case "stream":
		c.Stream = text == "true"
	}
	return err
}

// speak says as much as it is asked for.
func speak(w http.ResponseWriter, c mediaRequest) {
	if c.StreamFormat == "sse" {
		sendEvents(w, "speech.audio.delta", `"audio":"c291bmQ="`, "speech.audio.done", `"usage":{"input_tokens":2,"output_tokens":3,"total_tokens":5}`)
		return
	}
	w.Header().Set("Content-Type", "audio/mpeg")
	piece := []byte(strings.Repeat("ID3\x00", 8<<10))
	n, _ := strconv.Atoi(c.Input)
	for n > 0 {
		m, err := w.Write(piece[:min(n, len(piece))])
		if err != nil {
			return
		}
		n -= m
	}
}

func whole(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

// sendEvents sends events: types, and what else they say.
func sendEvents(w http.ResponseWriter, pairs ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q,%s}\n\n", pairs[i], pairs[i], pairs[i+1])
		_ = http.NewResponseController(w).Flush()
	}
}
