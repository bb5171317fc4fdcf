package jaeger_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// families returns the metrics of core/telemetry/README.md and their labels, by the names that Prometheus gives them.
func families(t *testing.T) map[string][]string {
	t.Helper()
	fold := strings.NewReplacer(".", "_", "`", "")
	out := map[string][]string{}
	var before []string
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:berry|gen_ai)[^`]+)` \\| (counter|gauge|histogram) \\| (\\S*) ?\\| ([^|]*)\\|").FindAllStringSubmatch(read(t, "../../core/telemetry/README.md"), -1) {
		name, labels := fold.Replace(row[1]), strings.Fields(fold.Replace(row[4]))
		if strings.HasPrefix(row[4], "the same") {
			labels = append(slices.Clone(before), "gen_ai_token_type")
		} else {
			before = labels
		}
		if row[3] == "s" {
			name += "_seconds"
		}
		switch row[2] {
		case "counter":
			out[name+"_total"] = labels
		case "gauge":
			out[name] = labels
		case "histogram":
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				out[name+suffix] = append(slices.Clone(labels), "le")
			}
		}
	}
	if len(out) < 20 {
		t.Fatalf("the README's table has only %v", out)
	}
	return out
}

// queries returns what the dashboard asks Prometheus for.
func queries(t *testing.T) []string {
	t.Helper()
	var d struct {
		Panels []struct {
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/dashboards/berry.json")), &d); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		all = append(all, v.Query)
	}
	return all
}

// Every metric that the dashboard uses exists, and has the labels that it is asked for.
func TestDashboard(t *testing.T) {
	known := families(t)
	ofTheProcess := regexp.MustCompile(`^(go|process)_`)
	for _, q := range queries(t) {
		metrics := regexp.MustCompile(`([a-z_]+)\{([^}]*)\}`).FindAllStringSubmatch(q, -1)
		if len(metrics) == 0 {
			t.Errorf("no metric in %s", q)
		}
		var labels []string // of all metrics of the query
		for _, m := range metrics {
			if ofTheProcess.MatchString(m[1]) {
				continue
			}
			if known[m[1]] == nil {
				t.Errorf("no metric %s, which %s uses", m[1], q)
			}
			labels = append(labels, known[m[1]]...)
			for _, l := range regexp.MustCompile(`([a-z_]+)(=|!=|=~|!~)"`).FindAllStringSubmatch(m[2], -1) {
				if l[1] != "job" && !slices.Contains(known[m[1]], l[1]) {
					t.Errorf("%s has no label %s, which %s uses", m[1], l[1], q)
				}
			}
		}
		for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(q, -1) {
			for l := range strings.SplitSeq(by[1], ", ") {
				if !slices.Contains(labels, l) {
					t.Errorf("no label %s, which %s uses", l, q)
				}
			}
		}
	}
}

// The names that the test above goes by are those that a gateway's page has.
func TestNamesAreThePages(t *testing.T) {
	known := families(t)
	p := &fakeprovider.Provider{Name: "p", FailEvery: 2}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "round_robin", "p")))
	for range 3 {
		gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`))
	}
	seen := 0
	for _, m := range regexp.MustCompile(`(?m)^((?:berry|gen_ai)_[a-z_]+)(?:\{([^}]*)\})? `).FindAllStringSubmatch(g.Page(t, "/metrics"), -1) {
		labels, ok := known[m[1]]
		if !ok {
			t.Errorf("the README has no %s", m[1])
		}
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, l[1]) {
				t.Errorf("the README has no label %s of %s", l[1], m[1])
			}
		}
		seen++
	}
	if seen < 30 {
		t.Errorf("only %d lines of the page are Berry's", seen)
	}
}

// The config is one that a gateway takes.
func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "berry.toml") // which nobody else may read
	if err := os.WriteFile(file, []byte(read(t, "berry.toml")), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := config.Load(file, []string{"OPENAI_API_KEY=sk-1"}, gatewaytest.Known()); l.Err != nil || len(l.Warnings) > 0 {
		t.Errorf("%v %v", l.Err, l.Warnings)
	}
}
