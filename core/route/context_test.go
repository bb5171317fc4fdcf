package route

import (
	"context"
	"testing"
	"time"

	"github.com/berrygate/berry/core"
)

// A prompt that is too long for one backend goes to those that take longer ones; where that is not known, to those that may.
func TestTooLongAPrompt(t *testing.T) {
	tooLong := func(status int, body string) *core.Failure {
		return Classify(&core.Answer{Status: status, Body: []byte(body)}, Call{}, at(0))
	}
	openAI := tooLong(400, `{"error":{"message":"no","code":"context_length_exceeded"}}`)
	for name, test := range map[string]struct {
		windows [3]int
		tags    string // of p2, the last
		f       *core.Failure
		want    string
	}{
		"nothing is known":         {[3]int{}, "", openAI, "p1 p2"},
		"one is tagged":            {[3]int{}, "eu,long-context", openAI, "p2"},
		"none takes more":          {[3]int{8, 8, 4}, "", openAI, ""},
		"one takes more":           {[3]int{8, 4, 16}, "", openAI, "p2"},
		"one may":                  {[3]int{8, 4, 0}, "", openAI, "p2"},
		"one takes more, one may":  {[3]int{8, 16, 0}, "", openAI, "p1"},
		"tagged, but takes less":   {[3]int{8, 0, 4}, "long-context", openAI, "p1"},
		"the first's is not known": {[3]int{0, 4, 8}, "", openAI, "p1 p2"},
		"in vLLM's words":          {[3]int{}, "long-context", tooLong(400, `{"message":"This model's maximum context length is 4096 tokens."}`), "p2"},
		"in llama.cpp's":           {[3]int{}, "long-context", tooLong(400, `{"error":{"type":"exceed_context_size_error"}}`), "p2"},
		"in Anthropic's":           {[3]int{}, "long-context", tooLong(413, `{"error":{"message":"prompt is too long: 9 tokens > 8"}}`), "p2"},
		"another 400":              {[3]int{}, "long-context", tooLong(400, `{"error":{"message":"no such role"}}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange(3, choose(first))
			for i, b := range x.Model.Backends {
				b.ContextWindow = test.windows[i]
			}
			x.Model.Backends[2].Tags = test.tags
			step(t, x, at(0), test.f)
			s, ok := Rules{MaxRetries: 3, Budget: time.Minute}.After(x, at(0), 0)
			if got := namesOf(s.Among); got != test.want || ok != (test.want != "") || s.Wait != 0 {
				t.Errorf("%q after %v, %v; want %q", got, s.Wait, ok, test.want)
			}
		})
	}
}

// After a failure of one for long prompts, the others of these are tried, and then they again.
func TestLongPromptsStayWithThoseWhoTakeThem(t *testing.T) {
	x := exchange(3, choose(first))
	x.Model.Backends[1].Tags, x.Model.Backends[2].Tags = LongContext, LongContext
	step(t, x, at(0), Classify(&core.Answer{Status: 400, Body: []byte(`{"error":{"code":"context_length_exceeded"}}`)}, Call{}, at(0)))
	r := Rules{MaxRetries: 9, Budget: time.Minute}
	for i, want := range []string{"p2", "p1 p2"} {
		a, err := Next(context.Background(), x, x.Model.Backends[i+1:i+2], at(0), 0)
		if err != nil {
			t.Fatal(err)
		}
		end(a, at(0), failure(503))
		if s, _ := r.After(x, at(0), 0); namesOf(s.Among) != want {
			t.Errorf("after %d of those for long prompts: %q, want %q", i+1, namesOf(s.Among), want)
		}
	}
}
