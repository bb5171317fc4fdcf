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

// types are those of providers.
func types() []string { return []string{"openai", "azure", "anthropic", "gemini"} }

// typed returns the TOML of a provider of the type at the URL.
func typed(typ, id, url string) string {
	return gatewaytest.Provider(id, url) + fmt.Sprintf("type = %q\n", typ)
}

// A chat through each type, plain and streamed, gives the client the same text, and the gateway the tokens that it took.
func TestTypes(t *testing.T) {
	for _, typ := range types() {
		t.Run(typ, func(t *testing.T) {
			brain := &fakeprovider.ToolCaller{Key: "sk-p"}
			g := gatewaytest.Start(t, gatewaytest.Config(typed(typ, "p", gatewaytest.Serve(t, fakeprovider.Translate(typ, brain))), gatewaytest.Model("m", "failover", "p")))
			response, text := g.Chat(t, "m")
			var whole struct {
				Choices []struct{ Message struct{ Content string } }
			}
			if err := json.Unmarshal([]byte(text), &whole); err != nil || response.StatusCode != 200 || whole.Choices[0].Message.Content != "user: Hi!" {
				t.Errorf("%d %s", response.StatusCode, text)
			}
			response, text = gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`))
			said := ""
			for event := range strings.SplitSeq(strings.TrimSuffix(text, "\n\ndata: [DONE]\n\n"), "\n\n") {
				var chunk struct {
					Choices []struct{ Delta struct{ Content string } }
				}
				if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &chunk); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				said += chunk.Choices[0].Delta.Content
			}
			if response.StatusCode != 200 || said != "user: Hi!" || !strings.HasSuffix(text, "\n\ndata: [DONE]\n\n") {
				t.Errorf("%d %s", response.StatusCode, text)
			}
			status := g.Status(t).Models[0].Backends[0]
			if status.State != "healthy" || status.Samples != 2 {
				t.Errorf("%+v", status)
			}
			t.Logf("%+v", status)
		})
	}
}

// otherwise says where a type's table of faults differs from README.md's, by the fault and the column.
func otherwise(typ, fault string) [2]string {
	translated := typ == "anthropic" || typ == "gemini"
	switch {
	case translated && fault == "503":
		return [2]string{"", "the provider's 503 `overloaded_error` (4 + 0)"}
	case translated && fault == "huge": // what is translated is held whole
		return [2]string{"whole by the fallback (1 + 1)", "Berry's 502 `upstream_error` (4 + 0)"}
	}
	return [2]string{}
}

// Each fault, said in a type's own words, comes to the client as the table in README.md says.
func TestFaultsOfEveryType(t *testing.T) {
	table, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var stands, heavy []*stand
	for _, typ := range types()[1:] {
		for _, r := range rows() {
			if r.url != nil { // who cannot be connected to is of no type
				continue
			}
			r.typ = typ
			for _, alone := range []bool{false, true} {
				s := &stand{
					row: r, id: fmt.Sprintf("s%d", len(stands)+len(heavy)), alone: alone, stream: streamed(r.fault), fallback: &fakeprovider.Provider{},
					first: &fakeprovider.Provider{SlowStart: 5 * time.Second, Elsewhere: "http://127.0.0.1:9"},
				}
				switch heavily := slices.Contains([]string{"huge", "huge-event", "tiny-events"}, r.fault); {
				case !heavily:
					stands = append(stands, s)
				case typ != "azure" && !alone: // would keep the others waiting; Azure's pass as OpenAI's do
					heavy = append(heavy, s)
				}
			}
		}
	}
	meet(t, stands)
	for _, s := range heavy {
		meet(t, []*stand{s})
	}
	stands = append(stands, heavy...)
	for _, s := range stands {
		line := fmt.Sprintf(`(?m)^\| %s \| %s \| (.*) \| (.*) \|$`, regexp.QuoteMeta(s.what), regexp.QuoteMeta(s.with()))
		columns := regexp.MustCompile(line).FindStringSubmatch(string(table))
		if columns == nil {
			t.Fatalf("the table has no %s", s.what)
		}
		column := map[bool]int{false: 0, true: 1}[s.alone]
		if want := or(otherwise(s.typ, s.fault)[column], columns[1+column]); s.got != want {
			t.Errorf("%s, %s %s, alone %v: %s; want %s", s.typ, s.what, s.with(), s.alone, s.got, want)
		}
	}
}
