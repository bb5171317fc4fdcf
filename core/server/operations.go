package server

import (
	"net/http"
	"strings"

	"github.com/berrygate/berry/core"
)

// operations are the calls that go to a provider: README.md's table is made of them. Which types of providers serve one, their
// dialects say.
func operations() []core.Operation {
	return append(openAIOperations(), messagesOperations()...)
}

func openAIOperations() []core.Operation {
	return []core.Operation{
		{Name: "chat", Method: http.MethodPost, Path: "/chat/completions"},
		{Name: "text_completion", Method: http.MethodPost, Path: "/completions"},
		{Name: "embeddings", Method: http.MethodPost, Path: "/embeddings"},
		{Name: "chat", Method: http.MethodPost, Path: "/responses", Resolver: core.NewResponse{}, Terminal: responseDone},
		{Name: "response_retrieve", Method: http.MethodGet, Path: "/responses/{id}", Resolver: core.StoredResponse{}, Terminal: responseDone},
		{Name: "response_delete", Method: http.MethodDelete, Path: "/responses/{id}", Resolver: core.StoredResponse{}},
		{Name: "response_cancel", Method: http.MethodPost, Path: "/responses/{id}/cancel", Resolver: core.StoredResponse{}},
		{Name: "response_input_items", Method: http.MethodGet, Path: "/responses/{id}/input_items", Resolver: core.StoredResponse{}},
		{Name: "realtime", Method: http.MethodGet, Path: core.Realtime, Resolver: core.RealtimeSession{}},
		{Name: "moderation", Method: http.MethodPost, Path: "/moderations"},
		{Name: "image_generation", Method: http.MethodPost, Path: "/images/generations", Terminal: "image_generation.completed"},
		{Name: "image_edit", Method: http.MethodPost, Path: "/images/edits", Resolver: core.FormModel{}, Terminal: "image_edit.completed"},
		{Name: "image_variation", Method: http.MethodPost, Path: "/images/variations", Resolver: core.FormModel{}},
		{Name: "speech", Method: http.MethodPost, Path: "/audio/speech", Media: true, Terminal: "speech.audio.done"},
		{Name: "transcription", Method: http.MethodPost, Path: "/audio/transcriptions", Resolver: core.FormModel{}, Media: true, Terminal: "transcript.text.done"},
		{Name: "translation", Method: http.MethodPost, Path: "/audio/translations", Resolver: core.FormModel{}, Media: true},
		account("file_create", http.MethodPost, "/files", false),
		account("file_list", http.MethodGet, "/files", false),
		account("file_retrieve", http.MethodGet, "/files/{id}", false),
		account("file_delete", http.MethodDelete, "/files/{id}", false),
		account("file_content", http.MethodGet, "/files/{id}/content", true),
		account("batch_create", http.MethodPost, "/batches", false),
		account("batch_list", http.MethodGet, "/batches", false),
		account("batch_retrieve", http.MethodGet, "/batches/{id}", false),
		account("batch_cancel", http.MethodPost, "/batches/{id}/cancel", false),
	}
}

// responseDone is the last event of a response that has come to its end, in whichever way.
const responseDone = "response.completed"

// account is a call that no model answers but an account at a provider.
func account(name, method, path string, media bool) core.Operation {
	return core.Operation{Name: name, Method: method, Path: path, Resolver: core.AccountCall{}, Media: media}
}

// pattern returns the operation's route as Echo writes it.
func pattern(op core.Operation) string { return strings.Replace(op.Route(), "{id}", ":id", 1) }
