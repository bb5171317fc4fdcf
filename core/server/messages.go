package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/messages"
)

// messagesOperations are the calls of Anthropic's API that go to a model.
func messagesOperations() []core.Operation {
	return []core.Operation{
		{Name: "chat", Method: http.MethodPost, Path: "/messages", Via: "/chat/completions", Anthropic: true, Terminal: "message_stop"},
		{Name: "count_tokens", Method: http.MethodPost, Path: "/messages/count_tokens", Anthropic: true},
	}
}

// speaksAnthropic tells whether the request's client speaks Anthropic's API: by the path, or, on paths that both APIs have, by the
// header that Anthropic's clients send.
func speaksAnthropic(r *http.Request) bool {
	under := func(path string) bool { return r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") }
	return under("/v1/messages") || under("/v1/models") && r.Header.Get("Anthropic-Version") != ""
}

// envelope returns e in the words of the API that the request's client speaks. Anthropic's names the request.
func envelope(w http.ResponseWriter, r *http.Request, e *apierror.Error) []byte {
	if !speaksAnthropic(r) {
		return e.Envelope()
	}
	id := w.Header().Get("X-Request-Id")
	if id == "" { // it has met no exchange
		id = requestID(r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Request-Id", id)
	}
	w.Header().Set("Request-Id", id)
	return messages.Envelope(e.Status, e.Code, e.Message, id)
}

// An anthropicModel is Anthropic's form of a model (https://docs.anthropic.com/en/api/models-list). What the gateway does not know is null,
// or the beginning of time, as the API has it.
type anthropicModel struct {
	Type         string          `json:"type"`
	ID           string          `json:"id"`
	DisplayName  string          `json:"display_name"`
	CreatedAt    time.Time       `json:"created_at"`
	Lifecycle    string          `json:"lifecycle"`
	Capabilities json.RawMessage `json:"capabilities"`
	Line         *string         `json:"line"`
	MaxInput     *int64          `json:"max_input_tokens"`
	MaxTokens    *int64          `json:"max_tokens"`
	DeprecatedAt *time.Time      `json:"deprecated_at"`
	RetiresAt    *time.Time      `json:"retires_at"`
}

// anthropicPage is one page of a list.
type anthropicPage struct {
	Data    []anthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

func newAnthropicModel(m *core.Model) anthropicModel {
	return anthropicModel{Type: "model", ID: m.Name, DisplayName: m.Name, CreatedAt: time.Unix(0, 0).UTC(), Lifecycle: "active"}
}

// pageOf returns the page of the list, which is in the order of the names, that the request asks for with after_id, before_id and
// limit. Names that have gone meanwhile mark a place all the same.
func pageOf(list []*core.Model, r *http.Request) (*anthropicPage, error) {
	const usual, most = 20, 1000
	asked := r.URL.Query()
	limit := usual
	if v := asked.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > most {
			return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidValue, "limit", "limit must be a whole number from 1 to %d.", most)
		}
		limit = n
	}
	page := &anthropicPage{Data: []anthropicModel{}}
	place := func(id string) (int, bool) {
		return slices.BinarySearchFunc(list, id, func(m *core.Model, id string) int { return cmp.Compare(m.Name, id) })
	}
	if id := asked.Get("before_id"); id != "" {
		end, _ := place(id)
		list = list[:end]
		page.HasMore = len(list) > limit
		list = list[max(len(list)-limit, 0):]
	} else {
		if begin, found := place(asked.Get("after_id")); found {
			list = list[begin+1:]
		} else {
			list = list[begin:]
		}
		page.HasMore = len(list) > limit
		list = list[:min(len(list), limit)]
	}
	for _, m := range list {
		page.Data = append(page.Data, newAnthropicModel(m))
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return page, nil
}
