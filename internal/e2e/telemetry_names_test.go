package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/otlptest"
)

// documented returns what core/telemetry/README.md has in the first column of the table with the heading, in backquotes.
func documented(t *testing.T, heading string) []string {
	t.Helper()
	b, err := os.ReadFile(root + "core/telemetry/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "\n| "+heading+" |")
	table, _, _ = strings.Cut(table, "\n\n")
	var out []string
	for _, row := range strings.Split(table, "\n")[1:] {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// rare is what the requests of TestTraces do not bring about.
var rare = []string{
	"berry.probe", "berry.panic", "berry.candidates.count", "berry.dropped_events", "exception.type", "exception",
	"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.conversation.id", "openai.api.type",
	"service.name", "service.version", // of the resource, not of spans
	"berry.backend.dropped_events", "berry.backend.health_changes", "gen_ai.server.time_per_output_token",
}

// same compares names that were seen with those that are documented.
func same(t *testing.T, what string, seen map[string]bool, documented []string) {
	t.Helper()
	for name := range seen {
		if !slices.Contains(documented, name) {
			t.Errorf("the README has no %s %s", what, name)
		}
	}
	for _, name := range documented {
		if !seen[name] && !slices.Contains(rare, name) {
			t.Errorf("no %s %s was seen", what, name)
		}
	}
}

// checkNames compares what was exported with the tables of core/telemetry/README.md, both ways.
func checkNames(t *testing.T, r *otlptest.Receiver) {
	t.Helper()
	attributes, events, families := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range r.Spans() {
		for _, a := range s.Attributes {
			attributes[a.Key] = true
		}
		for _, e := range s.Events {
			events[e.Name] = true
			for _, a := range e.Attributes {
				attributes[a.Key] = true
			}
		}
	}
	for name := range r.Metrics() {
		families[name] = true
	}
	same(t, "attribute", attributes, documented(t, "attribute"))
	same(t, "event", events, documented(t, "event"))
	same(t, "metric", families, documented(t, "metric"))
}
