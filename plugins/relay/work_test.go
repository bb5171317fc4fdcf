package relay_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// A costlyBody is a request of a shape that would cost more than its size says if any code looked at all of it again for each piece.
type costlyBody struct {
	path  string
	front string // before the pieces; MODEL is the model's name
	piece string // %d is its number
	back  string
}

func (c costlyBody) build(model string, size int) string {
	var b strings.Builder
	b.WriteString(strings.Replace(c.front, "MODEL", model, 1))
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		if strings.Contains(c.piece, "%d") {
			fmt.Fprintf(&b, c.piece, i)
		} else {
			b.WriteString(c.piece)
		}
	}
	return b.String() + c.back
}

func costlyBodies() map[string]costlyBody {
	const chat, messages = `{"model":"MODEL",`, `{"model":"MODEL","max_tokens":9,`
	user := `"messages":[{"role":"user","content":"Hi!"}]`
	return map[string]costlyBody{
		"chat: messages":          {"/v1/chat/completions", chat + `"messages":[`, `{"role":"user","content":"a"}`, `]}`},
		"chat: empty messages":    {"/v1/chat/completions", chat + `"messages":[`, `{"role":"user","content":""}`, `,{"role":"user","content":"a"}]}`},
		"chat: parts":             {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":[`, `{"type":"text","text":"a"}`, `]}]}`},
		"chat: a tool's parts":    {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":[`, `{"type":"text","text":"a"}`, `]}]}`},
		"chat: calls":             {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[`, `{"id":"c%d","type":"function","function":{"name":"f","arguments":"{}"}}`, `]}]}`},
		"chat: tools":             {"/v1/chat/completions", chat + user + `,"tools":[`, `{"type":"function","function":{"name":"f%d"}}`, `]}`},
		"chat: allowed tools":     {"/v1/chat/completions", chat + user + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[`, `{"type":"function","function":{"name":"f%d"}}`, `]}}}`},
		"chat: stops":             {"/v1/chat/completions", chat + user + `,"stop":[`, `"a%d"`, `]}`},
		"chat: a schema":          {"/v1/chat/completions", chat + user + `,"tools":[{"type":"function","function":{"name":"f","parameters":{`, `"a%d":{}`, `}}}]}`},
		"chat: escapes":           {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":[`, `{"type":"text","text":"\u0061\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"}`, `]}]}`},
		"chat: nulls":             {"/v1/chat/completions", chat + user + `,`, `"a%d":null`, `}`},
		"chat: one key":           {"/v1/chat/completions", chat + user + `,`, `"user":null`, `}`},
		"messages: blocks":        {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[`, `{"type":"text","text":"a"}`, `]},{"role":"user","content":"a"}]}`},
		"messages: a failed tool": {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,"content":[`, `{"type":"text","text":"a"}`, `]}]}]}`},
		"messages: results":       {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[`, `{"type":"tool_result","tool_use_id":"c","content":"a"}`, `]}]}`},
		"messages: a source":      {"/v1/messages", messages + `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64",`, `"data":"YQ=="`, `}}]}]}`},
		"messages: system":        {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"}],"system":[`, `{"type":"text","text":"a"}`, `]}`},
		"messages: tools":         {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"}],"tools":[`, `{"name":"f%d","input_schema":{"type":"object"}}`, `]}`},
		"embeddings: inputs":      {"/v1/embeddings", chat + `"input":[`, `"a"`, `]}`},
		"responses: items":        {"/v1/responses", chat + `"input":[`, `{"role":"user","content":[{"type":"input_text","text":"a"}]}`, `]}`},
		"responses: parts":        {"/v1/responses", chat + `"input":[{"role":"user","content":[`, `{"type":"input_text","text":"a"}`, `]}]}`},
	}
}

// cpu returns the process's CPU time so far, in seconds.
func cpu(t *testing.T) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// A body costs what its size says, whatever its shape: of twice the size, it takes at most 2.3 times the memory and the CPU time. (BERRY_SOAK=1 goes from 1 to 8 MB instead of from 128 to 512 KB, and prints a table.)
func TestWorkGrowsWithSize(t *testing.T) {
	small, doublings := 128<<10, 2
	if os.Getenv("BERRY_SOAK") != "" {
		small, doublings = 1<<20, 3
	}
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answering(http.StatusTeapot, "application/json", `{"error":{"message":"no"}}`).ServeHTTP(w, r)
	}))
	toml := []string{"[settings]\nmax_retries = 0\nfailure_threshold = 1000000\n[telemetry]\ncapture_content = true\n"}
	for _, typ := range types() {
		toml = append(toml, typed(typ, typ, url), gatewaytest.Model("m"+typ, "failover", typ))
	}
	g := gatewaytest.Start(t, gatewaytest.Config(toml...))
	for name, shape := range costlyBodies() {
		for _, typ := range types() {
			one, two := costOf(t, g, shape, typ, small), costOf(t, g, shape, typ, small<<doublings)
			t.Logf("%-24s %-9s %3.0f ms %6.1f MB, of %d times the size %4.0f ms %6.1f MB", name, typ, one.seconds*1e3, one.bytes/1e6, 1<<doublings, two.seconds*1e3, two.bytes/1e6)
			most := 1.5 * math.Pow(2.3, float64(doublings)) // buffers grow in steps, and the machine is busy; a square would be 16, or 64
			if two.bytes > most*one.bytes || two.seconds > most*max(one.seconds, 0.03) {
				t.Errorf("%s, %s: got more than %.1f times the work of %.1f MB and %.0f ms", name, typ, most, one.bytes/1e6, one.seconds*1e3)
			}
		}
	}
}

// A cost is what a request takes of this process, which is client, gateway and provider.
type cost struct{ seconds, bytes float64 }

func costOf(t *testing.T, g *gatewaytest.Gateway, shape costlyBody, typ string, size int) cost {
	body := shape.build("m"+typ, size)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := cpu(t)
	gatewaytest.Read(t, g.Post(t, shape.path, body))
	seconds := cpu(t) - began
	runtime.ReadMemStats(&after)
	return cost{seconds, float64(after.TotalAlloc - before.TotalAlloc)}
}
