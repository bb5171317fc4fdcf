// Package endpoints is the table of the calls that clients may make, each with the API that it belongs to.
package endpoints

import (
	"net/http"
	"strings"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/anthropic"
	"github.com/berrygate/berry/core/api/openai"
	"github.com/berrygate/berry/core/api/responses"
)

// All returns the calls that go to a provider. core/server/README.md lists them; the providers' adapters say which types serve each.
func All() []core.Operation {
	var all []core.Operation
	for _, of := range []struct {
		protocol   api.Protocol
		operations []core.Operation
	}{
		{openai.Protocol{}, []core.Operation{
			{Name: "chat", Method: http.MethodPost, Path: "/chat/completions"},
			{Name: "text_completion", Method: http.MethodPost, Path: "/completions"},
			{Name: "embeddings", Method: http.MethodPost, Path: "/embeddings"},
			{Name: "realtime", Method: http.MethodGet, Path: core.Realtime, Resolver: core.RealtimeSession{}},
			{Name: "moderation", Method: http.MethodPost, Path: "/moderations"},
			{Name: "image_generation", Method: http.MethodPost, Path: "/images/generations", Terminal: "image_generation.completed"},
			{Name: "image_edit", Method: http.MethodPost, Path: "/images/edits", Resolver: core.FormModel{}, Terminal: "image_edit.completed"},
			{Name: "image_variation", Method: http.MethodPost, Path: "/images/variations", Resolver: core.FormModel{}},
			{Name: "speech", Method: http.MethodPost, Path: "/audio/speech", Media: true, Terminal: "speech.audio.done"},
			{Name: "transcription", Method: http.MethodPost, Path: "/audio/transcriptions", Resolver: core.FormModel{}, Media: true, Terminal: "transcript.text.done"},
			{Name: "translation", Method: http.MethodPost, Path: "/audio/translations", Resolver: core.FormModel{}, Media: true},
			{Name: "file_create", Method: http.MethodPost, Path: "/files", Resolver: core.AccountCall{}},
			{Name: "file_list", Method: http.MethodGet, Path: "/files", Resolver: core.AccountCall{}},
			{Name: "file_retrieve", Method: http.MethodGet, Path: "/files/{id}", Resolver: core.AccountCall{}},
			{Name: "file_delete", Method: http.MethodDelete, Path: "/files/{id}", Resolver: core.AccountCall{}},
			{Name: "file_content", Method: http.MethodGet, Path: "/files/{id}/content", Resolver: core.AccountCall{}, Media: true},
			{Name: "batch_create", Method: http.MethodPost, Path: "/batches", Resolver: core.AccountCall{}},
			{Name: "batch_list", Method: http.MethodGet, Path: "/batches", Resolver: core.AccountCall{}},
			{Name: "batch_retrieve", Method: http.MethodGet, Path: "/batches/{id}", Resolver: core.AccountCall{}},
			{Name: "batch_cancel", Method: http.MethodPost, Path: "/batches/{id}/cancel", Resolver: core.AccountCall{}},
		}},
		{responses.Protocol{}, []core.Operation{
			{Name: "chat", Method: http.MethodPost, Path: "/responses", Resolver: core.NewResponse{}, Terminal: responseDone},
			{Name: "response_retrieve", Method: http.MethodGet, Path: "/responses/{id}", Resolver: core.StoredResponse{}, Terminal: responseDone},
			{Name: "response_delete", Method: http.MethodDelete, Path: "/responses/{id}", Resolver: core.StoredResponse{}},
			{Name: "response_cancel", Method: http.MethodPost, Path: "/responses/{id}/cancel", Resolver: core.StoredResponse{}},
			{Name: "response_input_items", Method: http.MethodGet, Path: "/responses/{id}/input_items", Resolver: core.StoredResponse{}},
		}},
		{anthropic.Protocol{}, []core.Operation{
			{Name: "chat", Method: http.MethodPost, Path: "/messages", Terminal: "message_stop"},
			{Name: "count_tokens", Method: http.MethodPost, Path: "/messages/count_tokens"},
		}},
	} {
		for _, op := range of.operations {
			op.Protocol = of.protocol
			all = append(all, op)
		}
	}
	return all
}

// responseDone is the last event of a streamed response, however it ended.
const responseDone = "response.completed"

// Protocol returns the API that the client of a request speaks, even if no call has its path: by the path, or, for models, which two APIs list, by
// the header that Anthropic's clients send.
func Protocol(r *http.Request) api.Protocol {
	under := func(path string) bool { return r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") }
	switch {
	case under("/v1/messages"), under("/v1/models") && r.Header.Get("Anthropic-Version") != "":
		return anthropic.Protocol{}
	case under("/v1/responses"):
		return responses.Protocol{}
	default:
		return openai.Protocol{}
	}
}
