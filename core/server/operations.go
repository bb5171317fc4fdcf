package server

import (
	"net/http"

	"github.com/berrygate/berry/core"
)

// operations are the calls that go to a model: README.md's table is made of them. Which types of providers serve one, their
// dialects say.
func operations() []core.Operation {
	return []core.Operation{
		{Name: "chat", Method: http.MethodPost, Path: "/chat/completions"},
		{Name: "text_completion", Method: http.MethodPost, Path: "/completions"},
		{Name: "embeddings", Method: http.MethodPost, Path: "/embeddings"},
		{Name: "moderation", Method: http.MethodPost, Path: "/moderations"},
		{Name: "image_generation", Method: http.MethodPost, Path: "/images/generations", Terminal: "image_generation.completed"},
		{Name: "image_edit", Method: http.MethodPost, Path: "/images/edits", Resolver: core.FormModel{}, Terminal: "image_edit.completed"},
		{Name: "image_variation", Method: http.MethodPost, Path: "/images/variations", Resolver: core.FormModel{}},
		{Name: "speech", Method: http.MethodPost, Path: "/audio/speech", Media: true, Terminal: "speech.audio.done"},
		{Name: "transcription", Method: http.MethodPost, Path: "/audio/transcriptions", Resolver: core.FormModel{}, Media: true, Terminal: "transcript.text.done"},
		{Name: "translation", Method: http.MethodPost, Path: "/audio/translations", Resolver: core.FormModel{}, Media: true},
	}
}
