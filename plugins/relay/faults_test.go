package relay_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/readmetest"
)

// A row is a fault and what it is met with: a line of the table in README.md.
type row struct {
	fault    string                                              // the model that is asked for at the provider: a fault of fakeprovider's, or none
	what     string                                              // the provider does, if no fault of fakeprovider's says it
	settings string                                              // of [settings]
	tags     string                                              // of the fallback
	typ      string                                              // of the provider; "" is openai
	url      func(t *testing.T, p *fakeprovider.Provider) string // where the provider is; nil serves it
}

// rows are the faults in the table's order. Of the settings that a row leaves out, times are short and retries are as they come.
func rows() []row {
	var rows []row
	for _, f := range fakeprovider.Faults() {
		r := row{fault: f.Name, what: f.What}
		switch f.Name {
		case "429-once":
			rows = append(rows, r, row{fault: f.Name, what: f.What, settings: "retry_after_wait_seconds = 3"})
			continue
		case "500-once":
			rows = append(rows, r, row{fault: f.Name, what: f.What, settings: "same_backend_retries = 1"})
			continue
		case "slow-start":
			rows = append(rows, row{fault: f.Name, what: f.What, settings: "first_token_timeout_seconds = 3"}, r)
			continue
		case "too-long":
			rows = append(rows, r, row{fault: f.Name, what: f.What, tags: "long-context"})
			continue
		case "silent":
			r.settings = "first_token_timeout_seconds = 3\nrequest_timeout_seconds = 3"
		case "stall":
			r.settings = "stream_idle_timeout_seconds = 1"
		case "reset":
			rows = append(rows, unreachable()...)
		}
		rows = append(rows, r)
	}
	return rows
}

// unreachable are providers that cannot be connected to.
func unreachable() []row {
	return []row{
		{what: "connection refused", url: func(*testing.T, *fakeprovider.Provider) string { return "http://127.0.0.1:1" }}, // nobody listens on ports like that
		{what: "name that does not resolve", url: func(*testing.T, *fakeprovider.Provider) string { return "http://nowhere.invalid" }},
		{what: "TLS certificate that nobody vouches for", url: func(t *testing.T, p *fakeprovider.Provider) string {
			s := httptest.NewUnstartedServer(p)
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			t.Cleanup(s.Close)
			return s.URL
		}},
	}
}

// A stand is a row's provider in front of a client, with a fallback beside it or alone.
type stand struct {
	row
	id              string
	alone, stream   bool
	anthropic       bool // the client speaks Anthropic's API
	first, fallback *fakeprovider.Provider
	got             string // what the client got, and how many attempts that took
}

// toml is the stand's part of a gateway's config. It has a model of the stand's id.
func (s *stand) toml(t *testing.T) string {
	where := s.url
	if where == nil {
		where = func(t *testing.T, p *fakeprovider.Provider) string {
			return gatewaytest.Serve(t, fakeprovider.Translate(s.typ, p))
		}
	}
	backend := func(provider, model string) string {
		return fmt.Sprintf("[[models.%s.backends]]\nprovider = %q\nmodel = %q\n", s.id, provider, model)
	}
	toml := typed(or(s.typ, "openai"), "first-"+s.id, where(t, s.first)) +
		"[models." + s.id + "]\nstrategy = \"failover\"\n" + backend("first-"+s.id, or(s.fault, "any"))
	if !s.alone {
		toml += backend("fallback-"+s.id, "good") + "priority = 1\ntags = [\"" + or(s.tags, "other") + "\"]\n" +
			gatewaytest.Provider("fallback-"+s.id, gatewaytest.Serve(t, s.fallback))
	}
	return toml
}

// ask asks for the stand's model once.
func (s *stand) ask(t *testing.T, g *gatewaytest.Gateway) {
	if s.anthropic {
		s.got = s.askMessage(t, g)
	} else {
		response := g.Post(t, "/v1/chat/completions", fmt.Sprintf(`{"model":%q,"stream":%v,"messages":[{"role":"user","content":"Hi!"}]}`, s.id, s.stream))
		defer response.Body.Close()
		s.got = told(t, response)
	}
	asked := s.first.Log()
	if n := len(s.fallback.Log()); n+len(asked) > 0 {
		s.got += fmt.Sprintf(" (%d + %d)", len(asked), n)
	}
	for i := 1; i < len(asked); i++ {
		if gap := asked[i].At.Sub(asked[i-1].At); gap < s.asksFor() {
			t.Errorf("%s: asked again after %v", s.fault, gap)
		}
	}
}

// asksFor is how long the provider asks to be left alone, in a way that can be waited for.
func (r row) asksFor() time.Duration {
	switch r.fault {
	case "429-once", "429-date-once", "429-ms-once":
		return 1900 * time.Millisecond // a date is rounded, and clocks are read twice
	default:
		return 0
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// told says in words what a client got.
func told(t *testing.T, response *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(response.Body)
	text := string(b)
	if strings.Contains(text, "sk-first") {
		t.Error("the client got the provider's key")
	}
	from := ""
	if strings.HasPrefix(response.Header.Get("X-Berry-Provider"), "fallback") {
		from = " by the fallback"
	}
	switch {
	case err != nil:
		return fmt.Sprintf("%d, then the connection is closed", response.StatusCode)
	case response.Header.Get("Content-Type") == "text/event-stream":
		return toldStream(t, text) + from
	case response.StatusCode == 200:
		if !json.Valid(b) {
			t.Errorf("200 with %.200s", text)
		}
		return "whole" + from
	}
	var e struct{ Error struct{ Type, Code string } }
	if err := json.Unmarshal(b, &e); err != nil {
		t.Errorf("%d with %.200s", response.StatusCode, text)
	}
	whose := "the provider's"
	if e.Error.Type == "upstream_error" {
		whose = "Berry's"
	}
	return fmt.Sprintf("%s %d `%s`", whose, response.StatusCode, e.Error.Code)
}

func toldStream(t *testing.T, text string) string {
	t.Helper()
	events := strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
	last, valid := strings.TrimPrefix(events[len(events)-1], "data: "), 0
	for _, e := range events {
		if data := strings.TrimPrefix(e, "data: "); json.Valid([]byte(data)) {
			valid++
		} else if data != "[DONE]" {
			t.Errorf("the client got the event %.200q", e)
		}
	}
	if last == "[DONE]" {
		return "whole"
	}
	var e struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(last), &e); err != nil || e.Error.Code == "" {
		t.Errorf("the stream ends with %.200q", last)
	}
	return fmt.Sprintf("%d events, then the error `%s`", valid-1, e.Error.Code)
}

// What a client gets of each fault, with a fallback and alone, is what the table in README.md says. (BERRY_UPDATE=1 writes it.)
func TestFaultTable(t *testing.T) {
	var elsewhere atomic.Int64
	witness := gatewaytest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	newStand := func(r row, id string, alone, stream bool) *stand {
		return &stand{
			row: r, id: id, alone: alone, stream: stream, fallback: &fakeprovider.Provider{},
			first: &fakeprovider.Provider{SlowStart: 5 * time.Second, Elsewhere: witness},
		}
	}
	var stands []*stand // three for each row
	for i, r := range rows() {
		stream := streamed(r.fault)
		stands = append(stands, newStand(r, fmt.Sprintf("a%d", i), false, stream), newStand(r, fmt.Sprintf("b%d", i), true, stream), newStand(r, fmt.Sprintf("c%d", i), false, true))
	}
	meet(t, stands)
	table := "| the provider | with | with a fallback | alone |\n|---|---|---|---|\n"
	for three := range slices.Chunk(stands, 3) {
		beside, alone, streamed := three[0], three[1], three[2]
		if streamed.got != beside.got {
			t.Errorf("%s: a stream meets %q, a plain request %q", beside.what, streamed.got, beside.got)
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", beside.what, beside.with(), beside.got, alone.got)
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
	if !t.Failed() {
		readmetest.Table(t, "README.md", "faults", table)
	}
}

// streamed tells whether only streams have the fault.
func streamed(fault string) bool {
	return slices.ContainsFunc(fakeprovider.Faults(), func(f fakeprovider.Fault) bool { return f.Name == fault && f.Stream })
}

// meet asks for every stand's model at the same time, in a gateway for each set of settings.
func meet(t *testing.T, stands []*stand) {
	bySettings := map[string][]*stand{}
	for _, s := range stands {
		bySettings[s.settings] = append(bySettings[s.settings], s)
	}
	var all sync.WaitGroup
	for settings, stands := range bySettings {
		toml := []string{"[settings]\n" + settings}
		for _, s := range stands {
			toml = append(toml, s.toml(t))
		}
		g := gatewaytest.Start(t, gatewaytest.Config(toml...))
		for _, s := range stands {
			all.Go(func() { s.ask(t, g) })
		}
		t.Cleanup(func() {
			if strings.Contains(g.Log.String(), "sk-first") {
				t.Error("a provider's key is in the log")
			}
		})
	}
	all.Wait()
}

// with names what a row is configured with, for the table.
func (r row) with() string {
	var with []string
	for _, s := range strings.Split(r.settings, "\n") {
		if key, _, ok := strings.Cut(s, " = "); ok && !strings.HasPrefix(key, "request_") {
			with = append(with, "`"+key+"`")
		}
	}
	if r.tags != "" {
		with = append(with, "the fallback tagged `"+r.tags+"`")
	}
	return strings.Join(with, ", ")
}
