package responses

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
)

// Whatever a provider answers stays JSON that says the same, but for its ids and the model.
func FuzzRename(f *testing.F) {
	for _, seed := range []string{
		`{"id":"resp_1","model":"x","previous_response_id":null,"output":[{"id":"msg_1"}]}`,
		` {"type":"response.created","response_id":"resp_1","response":{"id":"resp_1","model":"x","previous_response_id":"resp_0"}}`,
		`{"id":"resp_1","id":"resp_2"}`, `[1]`, `{"response":{"id":""}}`, `{"id":7}`,
	} {
		f.Add([]byte(seed))
	}
	names := api.Names{Model: "m", ID: func(id string) string { return "resp_ours_" + id }}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if !jsonx.Valid(answer) {
			return
		}
		out := jsonx.Apply(answer, Protocol{}.Rename(jsonx.View(answer), names))
		if !jsonx.Valid(out) {
			t.Fatalf("%s became %s", answer, out)
		}
		if id := jsonx.View(out).Get("id"); jsonx.View(answer).IsObject() && !jsonx.View(answer).Get("response").IsObject() {
			theirs := jsonx.View(answer).Get("id")
			if theirs.Type == gjson.String && theirs.Str != "" && id.Str != "resp_ours_"+theirs.Str {
				t.Fatalf("%s became %s", answer, out)
			}
		}
		var before, after any
		if json.Unmarshal(answer, &before) != nil || json.Unmarshal(out, &after) != nil {
			return
		}
		if keys(before) != keys(after) {
			t.Fatalf("%s became %s", answer, out)
		}
	})
}

// Where a provider's id of a response stands in an error, the client reads its own; nothing else changes.
func TestReplaceID(t *testing.T) {
	stored := &api.Stored{GatewayID: "resp_ours", ProviderID: "resp_1"}
	for said, want := range map[string]string{
		`{"error":{"message":"No 'resp_1', nor resp_1.","code":null}}`:    `{"error":{"message":"No 'resp_ours', nor resp_ours.","code":null}}`,
		`{"error":{"message":"\"resp_1\" is \u00fc","param":["resp_1"]}}`: `{"error":{"message":"\"resp_ours\" is ü","param":["resp_ours"]}}`,
		`{"error":{"message":"resp_12, xresp_1, resp_1-x"}}`:              `{"error":{"message":"resp_12, xresp_1, resp_1-x"}}`,
		"resp_1 is gone": "resp_ours is gone",
		"":               "",
	} {
		if got := string(ReplaceID([]byte(said), stored)); got != want {
			t.Errorf("%s became %s", said, got)
		}
	}
	deep := strings.Repeat("[", 9000) + `"resp_1"` + strings.Repeat("]", 9000) // as deep as no error is
	if got := string(ReplaceID([]byte(`["resp_1",`+deep+`]`), stored)); got != `["resp_ours",`+deep+`]` {
		t.Errorf("%.100s", got)
	}
	many := strings.Repeat(`"resp_1",`, 100_000) + `"resp_1"` // and more than any has
	if got := ReplaceID([]byte("["+many+"]"), stored); bytes.Count(got, []byte("resp_ours")) != maxQuotes || !jsonx.Valid(got) {
		t.Errorf("%d ids are renamed, want %d", bytes.Count(got, []byte("resp_ours")), maxQuotes)
	}
	stored.ProviderID = "1"
	if got := string(ReplaceID([]byte(`{"error":{"code":1,"message":"1"}}`), stored)); got != `{"error":{"code":1,"message":"resp_ours"}}` {
		t.Error(got)
	}
}

func keys(v any) int {
	m, _ := v.(map[string]any)
	return len(m)
}
