// Package body reads the bodies of clients' requests: JSON into memory, forms and files while they pass to a provider. It bounds their size and
// their time.
package body

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/sdk/abi"
)

// A Body is a request's JSON body and the fields that routing reads. Its bytes are never changed, so that any number of attempts can send
// them. A body of another kind is an Upload; then Bytes is nil.
type Body struct {
	Upload    *Upload
	Bytes     []byte
	Model     string
	Stream    bool
	User      string // the client's own end user; "" if not set
	MaxTokens uint32 // 0: not set

	SpeechEvents bool // stream_format is sse: speech as events
	at, end      int  // the model's value in Bytes
}

// Parse parses b, which the Body keeps. It fails with an invalid_request_error if b is not a JSON object, names no model, or names it in a
// way that a provider could read differently: a parser that ignores case reads "Model" as a second name, and of two names some parsers use
// the last. The same holds for "stream", which must be a boolean.
func Parse(b []byte) (Body, error) {
	if !utf8.Valid(b) || !jsonx.Valid(b) { // RFC 8259, section 8.1; parsers read other encodings differently
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, "", "The request body is not valid JSON; send one JSON object.")
	}
	root := jsonx.View(b)
	if !root.IsObject() {
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, "", "The request body is JSON but not an object; send one JSON object.")
	}
	body := Body{Bytes: b}
	models, streams := jsonx.NewUniqueKey("model"), jsonx.NewUniqueKey("stream")
	root.ForEach(func(key, value gjson.Result) bool {
		models.See(key, value)
		streams.See(key, value)
		switch key.Str {
		case "stream_format":
			body.SpeechEvents = value.Str == "sse"
		case "user":
			body.User = strings.Clone(value.Str)
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			body.MaxTokens = uint32(min(max(value.Num, 0), 1<<31))
		}
		return true
	})
	model, stream := models.Value(), streams.Value()
	switch {
	case models.Repeats():
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidModel, "model",
			`The request body has more than one key that reads as "model"; send one.`)
	case !models.OK():
		return Body{}, apierror.Ambiguous(http.StatusBadRequest, apierror.CodeMissingModel, "model")
	case !model.Exists():
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeMissingModel, "model",
			`The request body names no model; set "model" to one that GET /v1/models lists.`)
	case model.Type != gjson.String:
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidModel, "model", `"model" must be a string.`)
	case model.Str == "":
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeMissingModel, "model",
			`"model" is empty; set it to one that GET /v1/models lists.`)
	case !streams.OK() || stream.Exists() && !isBoolean(stream):
		return Body{}, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidValue, "stream",
			`"stream" must be true or false, and stand in the request body once: a provider may read anything else differently.`)
	}
	body.Stream = stream.Type == gjson.True
	body.Model = strings.Clone(model.Str)
	body.at, body.end = model.Index, model.Index+len(model.Raw)
	return body, nil
}

// isBoolean reports whether the value is true, false or null, which means the default.
func isBoolean(v gjson.Result) bool {
	return v.IsBool() || v.Type == gjson.Null
}

// Prefix returns the FNV-1a hash of the first 1,024 bytes of the body without the model's value.
func (b *Body) Prefix() uint64 {
	const length = 1024
	front := b.Bytes[:min(b.at, length)]
	back := b.Bytes[b.end:]
	return abi.HashMore(abi.Hash(front), back[:min(len(back), length-len(front))])
}

// WithModel returns a reader of the body with quoted, a JSON string, in place of the model's value, and its length. It copies a short body:
// net/http sends a *bytes.Reader together with the header, but any other reader afterwards, which costs more than the copy.
func (b *Body) WithModel(quoted string) (io.ReadCloser, int64) {
	const short = 64 << 10
	front, back := b.Bytes[:b.at], b.Bytes[b.end:]
	length := len(front) + len(quoted) + len(back)
	if length > short {
		return &splice{[3][]byte{front, []byte(quoted), back}}, int64(length)
	}
	joined := make([]byte, 0, length)
	joined = append(append(append(joined, front...), quoted...), back...)
	return io.NopCloser(bytes.NewReader(joined)), int64(length)
}

type splice struct{ parts [3][]byte }

func (s *splice) Read(p []byte) (int, error) {
	n := 0
	for i := range s.parts {
		c := copy(p[n:], s.parts[i])
		s.parts[i], n = s.parts[i][c:], n+c
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *splice) Close() error { return nil }

// ReplaceString replaces a string that was read from the body.
func (b *Body) ReplaceString(value gjson.Result, text string) {
	quoted, err := json.Marshal(text)
	if err != nil { // strings always marshal
		panic(err)
	}
	b.Bytes = slices.Concat(b.Bytes[:value.Index], quoted, b.Bytes[value.Index+len(value.Raw):])
	if b.at > value.Index {
		grown := len(quoted) - len(value.Raw)
		b.at, b.end = b.at+grown, b.end+grown
	}
}
