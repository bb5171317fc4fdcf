package gemini

import (
	"context"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// An embedRequest asks for several embeddings at once (https://ai.google.dev/api/embeddings).
type embedRequest struct {
	Requests []embedOne `json:"requests"`
}

type embedOne struct {
	Model      string  `json:"model"`
	Content    content `json:"content"`
	Dimensions int64   `json:"outputDimensionality,omitempty"`
}

func embed(ctx context.Context, c adapter.Call, body []byte) ([]byte, adapter.ResponseTranslator, error) {
	in, err := chat.ParseEmbeddings(ctx, body)
	if err != nil {
		return nil, nil, err
	}
	var out embedRequest
	for _, text := range in.Input {
		out.Requests = append(out.Requests, embedOne{name(c.Model), content{Parts: []part{{Text: text}}}, in.Dimensions})
	}
	return chat.Append(nil, out), &embedded{call: c, in: in}, nil
}

// An embedded translates embeddings, which are never a stream.
type embedded struct {
	call  adapter.Call
	in    *chat.EmbeddingsRequest
	usage usage
}

var _ adapter.ResponseTranslator = (*embedded)(nil)

// Body translates embeddings.
func (a *embedded) Body(body []byte) ([]byte, error) {
	var r struct {
		Embeddings []struct {
			Values []float32 `json:"values"`
		} `json:"embeddings"`
		Usage usage  `json:"usageMetadata"`
		Error *fault `json:"error"`
	}
	switch {
	case !chat.Decode(body, &r):
		return nil, errNoContent
	case r.Error != nil:
		return r.Error.translate(0).Body(), nil
	case len(r.Embeddings) != len(a.in.Input):
		return nil, errNoContent
	}
	a.usage = r.Usage
	out := chat.Embeddings{Object: "list", Model: a.call.Model, Usage: chat.EmbeddingsUsage{Prompt: r.Usage.Prompt, Total: r.Usage.Prompt}}
	for i, e := range r.Embeddings {
		out.Data = append(out.Data, a.in.NewEmbedding(i, e.Values))
	}
	return chat.Append(nil, out), nil
}

// Event does nothing.
func (a *embedded) Event(dst, _ []byte) ([]byte, bool) { return dst, false }

// End does nothing.
func (a *embedded) End(dst []byte, _ bool) []byte { return dst }

// Usage returns what the provider has reported.
func (a *embedded) Usage() (input, output int64) { return a.usage.Prompt, 0 }

// TranslateError translates an error.
func (a *embedded) TranslateError(status int, body []byte) adapter.ErrorResponse {
	return refusal(status, body)
}
