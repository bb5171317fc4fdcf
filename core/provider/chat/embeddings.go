package chat

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/strictjson"
)

// An EmbeddingsRequest is a request for embeddings, as far as it can be said in other words.
type EmbeddingsRequest struct {
	Input      []string
	Dimensions int64 // 0 is the model's own number
	Base64     bool  // the numbers are wanted as bytes
}

// ParseEmbeddings reads a body, a JSON object, which must not change as long as the request lives. It fails with a
// *adapter.ParamError if the body is no valid request, or has what cannot be expressed elsewhere, such as tokens for input; and with ctx's
// cause if that ends.
func ParseEmbeddings(ctx context.Context, body []byte) (*EmbeddingsRequest, error) {
	r := &EmbeddingsRequest{}
	err := strictjson.Parse(ctx, body, func(key string, v strictjson.Value) {
		switch key {
		case "model":
		case "input":
			const most = 2048 // as the API has it
			r.Input = texts(v, most)
		case "dimensions":
			r.Dimensions = v.Whole(1)
		case "encoding_format":
			if r.Base64 = v.Str == "base64"; !r.Base64 {
				v.Only(`"float"`)
			}
		case "user": // the gateway's affinity; it changes no embedding
			v.Text()
		default:
			v.Unsupported()
		}
	})
	if err != nil {
		return nil, err
	}
	if len(r.Input) == 0 {
		return nil, adapter.Invalid("input", "must be a text, or some.")
	}
	return r, nil
}

// Embeddings is the answer to an EmbeddingsRequest.
type Embeddings struct {
	Object string          `json:"object"` // list
	Data   []Embedding     `json:"data"`
	Model  string          `json:"model"`
	Usage  EmbeddingsUsage `json:"usage"`
}

// An Embedding is that of one text.
type Embedding struct {
	Object    string `json:"object"` // embedding
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // numbers, or a string
}

// EmbeddingsUsage is what embeddings took, in tokens.
type EmbeddingsUsage struct {
	Prompt int64 `json:"prompt_tokens"`
	Total  int64 `json:"total_tokens"`
}

// NewEmbedding returns the embedding of the text with the index.
func (r *EmbeddingsRequest) NewEmbedding(index int, numbers []float32) Embedding {
	e := Embedding{Object: "embedding", Index: index, Embedding: numbers}
	if r.Base64 {
		b := make([]byte, 0, 4*len(numbers))
		for _, n := range numbers {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(n))
		}
		e.Embedding = base64.StdEncoding.EncodeToString(b)
	}
	return e
}
