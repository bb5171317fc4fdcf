package relay_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/examples/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A row is a fault and what it is met with: a line of the table in README.md.
type row struct {
	fault    string                                              // the model that is asked for at the provider: a fault of fakeprovider's, or none
	what     string                                              // the provider does, if no fault of fakeprovider's says it
	settings string                                              // of [settings]
	tags     string                                              // of the fallback
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
			rows = append(rows, row{fault: f.Name, what: f.What, settings: "first_token_timeout_seconds = 1"}, r)
			continue
		case "too-long":
			rows = append(rows, r, row{fault: f.Name, what: f.What, tags: "long-context"})
			continue
		case "silent":
			r.settings = "first_token_timeout_seconds = 1\nrequest_timeout_seconds = 1"
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
		{what: "connection refused", url: func(t *testing.T, _ *fakeprovider.Provider) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return "http://" + l.Addr().String()
		}},
		{what: "name that does not resolve", url: func(*testing.T, *fakeprovider.Provider) string { return "http://nowhere.invalid" }},
		{what: "TLS certificate that nobody vouches for", url: func(t *testing.T, p *fakeprovider.Provider) string {
			s := httptest.NewUnstartedServer(p)
			s.Config.ErrorLog = nil
			s.StartTLS()
			t.Cleanup(s.Close)
			return s.URL
		}},
	}
}

// A seen is what a client got, and how many attempts that took.
type seen struct {
	what            string
	first, fallback int
	gaps            []time.Duration // between the attempts at the first provider
}

func (s seen) String() string {
	if s.fallback == 0 && s.first == 0 {
		return s.what
	}
	return fmt.Sprintf("%s (%d + %d)", s.what, s.first, s.fallback)
}

// meet asks for the row's fault: with a fallback, or alone.
func (r row) meet(t *testing.T, alone, stream bool) seen {
	var elsewhere atomic.Int64
	provider, fallback := &fakeprovider.Provider{Name: "first", Key: "sk-first", SlowStart: 1500 * time.Millisecond}, &fakeprovider.Provider{Name: "fallback", Key: "sk-fallback"}
	provider.Elsewhere = gatewaytest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	url := ""
	if r.url == nil {
		url = gatewaytest.Serve(t, provider)
	} else {
		url = r.url(t, provider)
	}
	model := "[models.m]\nstrategy = \"failover\"\n[[models.m.backends]]\nprovider = \"first\"\nmodel = \"" + r.fault + "x\"\n"
	model = strings.Replace(model, r.fault+"x", or(r.fault, "any"), 1)
	if !alone {
		model += "[[models.m.backends]]\nprovider = \"fallback\"\nmodel = \"good\"\npriority = 1\ntags = [\"" + or(r.tags, "other") + "\"]\n"
	}
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\n"+r.settings, gatewaytest.Provider("first", url),
		gatewaytest.Provider("fallback", gatewaytest.Serve(t, fallback)), model))
	body := fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":"Hi!"}]}`, stream)
	response := g.Post(t, "/v1/chat/completions", body)
	defer response.Body.Close()
	s := seen{what: told(t, response)}
	log := provider.Log()
	s.first, s.fallback = len(log), len(fallback.Log())
	for i := 1; i < len(log); i++ {
		s.gaps = append(s.gaps, log[i].At.Sub(log[i-1].At))
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
	if strings.Contains(g.Log.String(), "sk-first") {
		t.Error("the provider's key is in the log")
	}
	return s
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
	from := map[string]string{"first": "", "fallback": " by the fallback"}[response.Header.Get("X-Berry-Provider")]
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
	streams := map[string]bool{}
	for _, f := range fakeprovider.Faults() {
		streams[f.Name] = f.Stream
	}
	all := rows()
	lines := make([]string, len(all))
	t.Run("rows", func(t *testing.T) {
		for i, r := range all {
			name := or(r.fault, r.what) + strings.ReplaceAll(r.settings, "\n", ", ") + r.tags
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				withFallback, alone := r.meet(t, false, streams[r.fault]), r.meet(t, true, streams[r.fault])
				if !streams[r.fault] { // a streamed request meets the same
					if s := r.meet(t, false, true); s.String() != withFallback.String() {
						t.Errorf("streamed: %s; plain: %s", s, withFallback)
					}
				}
				lines[i] = fmt.Sprintf("| %s | %s | %s | %s |\n", r.what, r.with(), withFallback, alone)
				r.patient(t, withFallback)
				r.patient(t, alone)
			})
		}
	})
	if t.Failed() {
		return
	}
	want := "| the provider | with | with a fallback | alone |\n|---|---|---|---|\n" + strings.Join(lines, "")
	compareTable(t, "faults", want)
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

// patient tells whether the provider was left alone for as long as it asked.
func (r row) patient(t *testing.T, s seen) {
	t.Helper()
	asked := 0 * time.Second
	switch r.fault {
	case "429-once", "429-date-once", "429-ms-once":
		asked = 1900 * time.Millisecond // a date is rounded, and clocks are read twice
	}
	for _, gap := range s.gaps {
		if gap < asked {
			t.Errorf("asked again after %v", gap)
		}
	}
}

// compareTable holds a table of README.md against what it should be.
func compareTable(t *testing.T, name, want string) {
	t.Helper()
	const file = "README.md"
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(b), "<!-- "+name+" -->\n")
	have, after, found := strings.Cut(rest, "<!-- end -->")
	switch {
	case !found:
		t.Fatalf("%s has no table of %s", file, name)
	case have == want:
	case os.Getenv("BERRY_UPDATE") != "":
		if err := os.WriteFile(file, []byte(before+"<!-- "+name+" -->\n"+want+"<!-- end -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s says\n%s\nbut it is\n%s", file, have, want)
	}
}
