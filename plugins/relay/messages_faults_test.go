package relay_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// askMessage asks for the stand's model once, as a client of Anthropic's API, and says in words what that got.
func (s *stand) askMessage(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	response, text := message(t, g, "/v1/messages", fmt.Sprintf(`{"model":%q,"max_tokens":100,"stream":%v,"messages":[{"role":"user","content":"Hi!"}]}`, s.id, s.stream))
	if strings.Contains(text, "sk-first") {
		t.Error("the client got the provider's key")
	}
	from := ""
	if strings.HasPrefix(response.Header.Get("X-Berry-Provider"), "fallback") {
		from = " by the fallback"
	}
	switch {
	case response.Header.Get("Content-Type") == "text/event-stream":
		return toldEvents(t, text) + from
	case response.StatusCode == 200:
		return "whole" + from
	}
	return fmt.Sprintf("%d `%s`", response.StatusCode, anthropicError(t, text))
}

// anthropicError returns the type of an error in Anthropic's envelope.
func anthropicError(t *testing.T, text string) string {
	t.Helper()
	var e struct {
		Type  string
		Error struct{ Type, Message string }
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.Type != "error" || e.Error.Type == "" || e.Error.Message == "" {
		t.Errorf("no error of Anthropic's: %.300s", text)
	}
	return e.Error.Type
}

// toldEvents says in words what a stream is. Of its events, it counts the pieces of text.
func toldEvents(t *testing.T, text string) string {
	t.Helper()
	pieces, last, data := 0, "", ""
	for e := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		var said struct{ Type string }
		var found bool
		last, data, found = strings.Cut(strings.TrimPrefix(e, "event: "), "\ndata: ")
		if err := json.Unmarshal([]byte(data), &said); !found || err != nil || said.Type != last {
			t.Errorf("the client got the event %.200q", e)
		}
		if last == "content_block_delta" {
			pieces++
		}
	}
	switch last {
	case "message_stop":
		return "whole"
	case "error":
		return fmt.Sprintf("%d events, then the error `%s`", pieces, anthropicError(t, data))
	default:
		return "a stream that ends with " + last
	}
}

// asMessage says in Anthropic's words what the table says a client gets of a provider of the type.
func asMessage(typ, fault, want string) string {
	if fault == "503" && typ == "anthropic" {
		want = strings.Replace(want, "503 ", "529 ", 1)
	}
	want = strings.NewReplacer("503 `server_error`", "503 `overloaded_error`", "529 `server_error`", "529 `overloaded_error`").Replace(want)
	return strings.NewReplacer("the provider's ", "", "Berry's ", "", "`rate_limit_exceeded`", "`rate_limit_error`", "`server_error`", "`api_error`", "`upstream_error`", "`api_error`",
		"`upstream_timeout`", "`timeout_error`", "`context_length_exceeded`", "`invalid_request_error`", "`content_filter`", "`invalid_request_error`").Replace(want)
}

// Each fault of a provider of each type comes to a client of Anthropic's API as the table in README.md says, in Anthropic's words.
func TestFaultsOfMessages(t *testing.T) {
	table, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var stands []*stand
	for _, typ := range []string{"openai", "anthropic", "gemini"} {
		for _, r := range rows() {
			if slices.Contains([]string{"huge", "huge-event", "tiny-events"}, r.fault) || r.url != nil && typ != "openai" {
				continue
			}
			r.typ = typ
			for _, alone := range []bool{false, true} {
				stands = append(stands, &stand{
					row: r, id: fmt.Sprintf("s%d", len(stands)), alone: alone, stream: streamed(r.fault), anthropic: true, fallback: &fakeprovider.Provider{},
					first: &fakeprovider.Provider{SlowStart: 5 * time.Second, Elsewhere: "http://127.0.0.1:9"},
				})
			}
		}
	}
	meet(t, stands)
	for _, s := range stands {
		line := fmt.Sprintf(`(?m)^\| %s \| %s \| (.*) \| (.*) \|$`, regexp.QuoteMeta(s.what), regexp.QuoteMeta(s.with()))
		columns := regexp.MustCompile(line).FindStringSubmatch(string(table))
		if columns == nil {
			t.Fatalf("the table has no %s", s.what)
		}
		if want := asMessage(s.typ, s.fault, columns[1+map[bool]int{false: 0, true: 1}[s.alone]]); s.got != want {
			t.Errorf("%s, %s %s, alone %v: %s; want %s", s.typ, s.what, s.with(), s.alone, s.got, want)
		}
	}
}
