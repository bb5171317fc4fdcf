package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berrygate/berry/core"
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
func envelope(w http.ResponseWriter, r *http.Request, e *core.Error) []byte {
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

// An anthropicModel is Anthropic's form of a model (https://docs.anthropic.com/en/api/models-list).
type anthropicModel struct {
	Type        string    `json:"type"`
	ID          string    `json:"id"`
	DisplayName string    `json:"display_name"`
	CreatedAt   time.Time `json:"created_at"`
}

// anthropicPage is one page of a list.
type anthropicPage struct {
	Data    []anthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

func (s *Server) anthropicModel(m *core.Model) anthropicModel {
	return anthropicModel{"model", m.Name, m.Name, s.started.UTC().Truncate(time.Second)}
}

// anthropicPage returns the page of the list that the request asks for with after_id, before_id and limit.
func (s *Server) anthropicPage(r *http.Request, list []*core.Model) (*anthropicPage, error) {
	const usual, most = 20, 1000
	asked := r.URL.Query()
	limit := usual
	if v := asked.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > most {
			return nil, core.Invalid(http.StatusBadRequest, "invalid_value", "limit", "limit must be a whole number from 1 to %d.", most)
		}
		limit = n
	}
	from, to := 0, len(list)
	at := func(id string) int { return slices.IndexFunc(list, func(m *core.Model) bool { return m.Name == id }) }
	if id := asked.Get("after_id"); id != "" {
		from = at(id) + 1
	}
	page := &anthropicPage{Data: []anthropicModel{}}
	if id := asked.Get("before_id"); id != "" {
		to = max(at(id), 0)
		page.HasMore, from = to-limit > from, max(from, to-limit)
	} else {
		to = min(to, from+limit)
		page.HasMore = to < len(list)
	}
	for _, m := range list[min(from, to):to] {
		page.Data = append(page.Data, s.anthropicModel(m))
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return page, nil
}
