package anthropic

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/berrygate/berry/core/apierror"
)

// A model is Anthropic's form of a model (https://docs.anthropic.com/en/api/models-list). What the gateway does not know is null,
// or the beginning of time, as the API has it.
type model struct {
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

// A page is one page of a list.
type page struct {
	Data    []model `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

func newModel(name string) model {
	return model{Type: "model", ID: name, DisplayName: name, CreatedAt: time.Unix(0, 0).UTC(), Lifecycle: "active"}
}

// newPage returns the page of the list, which is in the order of the names, that the request asks for with after_id, before_id and
// limit. Names that have gone meanwhile mark a place all the same.
func newPage(list []string, query url.Values) (*page, *apierror.Error) {
	const usual, most = 20, 1000
	asked := query
	limit := usual
	if v := asked.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > most {
			return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidValue, "limit", "limit must be a whole number from 1 to %d.", most)
		}
		limit = n
	}
	page := &page{Data: []model{}}
	place := func(id string) (int, bool) {
		return slices.BinarySearchFunc(list, id, cmp.Compare[string])
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
		page.Data = append(page.Data, newModel(m))
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return page, nil
}
