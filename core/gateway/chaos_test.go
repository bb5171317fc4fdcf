package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// tame are faults whose responses are valid but do not depend on the request, or take as long as a whole test.
func tame(name string) bool {
	return slices.Contains([]string{"broken-json", "no-done", "slow-start", "huge", "tiny-events", "huge-event", "informational-flood"}, name)
}

// A schedule assigns a fault to each request of a provider, which flaps between healthy and failing. The same seed and provider give the same
// schedule.
type schedule []string

func newSchedule(seed, provider uint64) schedule {
	random := rand.New(rand.NewPCG(seed, provider))
	var names []string
	for _, f := range fakeprovider.Faults() {
		if !tame(f.Name) {
			names = append(names, f.Name)
		}
	}
	var s schedule
	for range 4 {
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, fault := range names {
			s = append(s, make([]string, 1+random.IntN(150))...) // well for a while
			s = append(s, slices.Repeat([]string{fault}, 1+random.IntN(6))...)
		}
	}
	return s
}

func (s schedule) at(n int) string { return s[n%len(s)] }

// While five providers flap at random and the config changes, every client receives a correct response or an accurate error, no request hangs, no
// truncated response looks complete, and nothing leaks. (BERRY_SOAK=1 takes a minute with 64 plain and 64 streaming clients.)
func TestChaos(t *testing.T) {
	const backends, seed = 5, 20251
	clients, long := 8, 2*time.Second
	if soaking() {
		clients, long = 128, time.Minute
	}
	providers := make([]*fakeprovider.Provider, backends)
	var tables strings.Builder
	models := map[string]string{"plain": "", "streamed": "", "recovered": "stream_recovery = \"restart\"\n"}
	for i := range backends {
		id := fmt.Sprint("p", i)
		plan := newSchedule(seed, uint64(i))
		providers[i] = &fakeprovider.Provider{Name: id, Plan: plan.at, Elsewhere: "http://127.0.0.1:9"}
		tables.WriteString(gatewaytest.Provider(id, gatewaytest.Serve(t, providers[i])))
	}
	for m, key := range models {
		fmt.Fprintf(&tables, "[models.%s]\nstrategy = \"STRATEGY\"\n%s", m, key)
		for i := range backends {
			fmt.Fprintf(&tables, "[[models.%s.backends]]\nprovider = \"p%d\"\nmodel = \"one\"\npriority = %d\n", m, i, i)
		}
	}
	config := func(strategy string) string {
		return gatewaytest.Config("[settings]\nrequest_timeout_seconds = 2\nstream_idle_timeout_seconds = 1\ncooldown_seconds = 1\nmax_cooldown_seconds = 2\n",
			strings.ReplaceAll(tables.String(), "STRATEGY", strategy))
	}
	g := gatewaytest.Start(t, config("round_robin"))
	g.Client.Timeout = 45 * time.Second // four attempts of two seconds, the waits between them, and the machine's bad moments

	var seen tally
	var all sync.WaitGroup
	end := time.Now().Add(long)
	for c := range clients {
		all.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				question := fmt.Sprintf("question %d of client %d", n, c)
				var what string
				switch c % 4 {
				case 0, 2:
					what = askPlain(t, g, "plain", question)
				case 1:
					what = askStream(t, g, "streamed", question, false)
				default:
					what = askStream(t, g, "recovered", question, true)
				}
				seen.count(what)
				if strings.Contains(what, "no_backend") {
					time.Sleep(20 * time.Millisecond) // or most of the work would be to say no
				}
			}
		})
	}
	reloads := 0
	for ; time.Now().Before(end); reloads++ {
		g.Rewrite(t, config([]string{"failover", "least_latency", "weighted_random", "round_robin"}[reloads%4]))
		time.Sleep(300 * time.Millisecond)
	}
	all.Wait()
	t.Logf("%s, %d reloads", &seen, reloads)
	for what, n := range seen.counts {
		if strings.HasPrefix(what, "WRONG") {
			t.Errorf("%d × %s", n, what)
		}
	}
	for i, p := range providers {
		for n, r := range p.Log() {
			if want := newSchedule(seed, uint64(i)).at(n); want != r.Fault && len(p.Log()) < 20_000 {
				t.Fatalf("request %d at p%d got %q, planned was %q", n, i, r.Fault, want)
			}
		}
	}
	gatewaytest.Wait(t, "nothing is in flight", func() bool {
		return !slices.ContainsFunc(g.Status(t).Providers, func(p gateway.ProviderStatus) bool { return p.InFlight > 0 })
	})
}

// A tally counts results of requests. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[what]++
}

func (c *tally) String() string {
	var parts []string
	for what, n := range c.counts {
		parts = append(parts, fmt.Sprintf("%d × %s", n, what))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// send asks a model; "" and the answer if there is one.
func send(g *gatewaytest.Gateway, model, question string, stream bool) (response *http.Response, text, wrong string) {
	body := fmt.Sprintf(`{"model":%q,"stream":%v,"messages":[{"role":"user","content":%q}]}`, model, stream, question)
	r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, "", "WRONG: " + err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
	if response, err = g.Client.Do(r); err != nil {
		return nil, "", "WRONG: " + err.Error()
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, "", "WRONG: the connection broke: " + err.Error()
	}
	return response, string(b), ""
}

// refusal returns the name of the error that text contains; wrong if it is not an error.
func refusal(text string) string {
	var e struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error.Message == "" || e.Error.Type == "" {
		return fmt.Sprintf("WRONG: an error that reads %.100q", text)
	}
	if strings.Contains(text, "sk-p") {
		return "WRONG: a provider's key"
	}
	return "error " + e.Error.Code
}

// askPlain sends a plain request and returns the kind of its result.
func askPlain(t *testing.T, g *gatewaytest.Gateway, model, question string) string {
	t.Helper()
	response, text, wrong := send(g, model, question, false)
	switch {
	case wrong != "":
		return wrong
	case response.StatusCode != http.StatusOK:
		return refusal(text)
	}
	var a struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || len(a.Choices) != 1 || !strings.HasSuffix(a.Choices[0].Message.Content, "You said: "+question) {
		return fmt.Sprintf("WRONG: 200 with %.100q", text)
	}
	return "plain answer"
}

// askStream asks for a stream and says what came. A whole one ends with [DONE]; any other ends with an error, of which a recovered
// one has nothing else.
func askStream(t *testing.T, g *gatewaytest.Gateway, model, question string, recovered bool) string {
	t.Helper()
	response, text, wrong := send(g, model, question, true)
	switch {
	case wrong != "":
		return wrong
	case response.StatusCode != http.StatusOK:
		return refusal(text)
	}
	content, last, err := pieces(text)
	switch {
	case err != nil:
		return "WRONG: " + err.Error()
	case last == "[DONE]" && !strings.HasSuffix(content, "You said: "+question):
		return fmt.Sprintf("WRONG: a stream passed off as whole that says %.100q", content)
	case last == "[DONE]":
		return "stream"
	case recovered && content != "":
		return fmt.Sprintf("WRONG: a part of a stream that was to be held back: %.100q", content)
	}
	what := refusal(last)
	if content != "" && strings.HasPrefix(what, "error") {
		what = "part of a stream and " + what
	}
	return what
}

// pieces returns what a stream says, and its last event's data.
func pieces(stream string) (content, last string, err error) {
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			continue // a comment
		}
		if last = data; data == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return "", "", fmt.Errorf("the event %.100q", data)
		}
		for _, c := range chunk.Choices {
			content += c.Delta.Content
		}
	}
	if last == "" {
		return "", "", errors.New("a stream of nothing")
	}
	return content, last, nil
}

// The same seed gives the same faults, and schedules contain all faults.
func TestScheduleIsRepeatable(t *testing.T) {
	if !slices.Equal(newSchedule(1, 2), newSchedule(1, 2)) {
		t.Error("the same seed gave another schedule")
	}
	if slices.Equal(newSchedule(1, 2), newSchedule(2, 2)) || slices.Equal(newSchedule(1, 2), newSchedule(1, 3)) {
		t.Error("another seed or provider gave the same schedule")
	}
	s := newSchedule(1, 2)
	for _, f := range fakeprovider.Faults() {
		if !tame(f.Name) && !slices.Contains(s, f.Name) {
			t.Errorf("%s never happens", f.Name)
		}
	}
}

// With everybody down, clients that ask as fast as they can do not storm the providers: what each provider gets is, at first, at
// most an attempt for each client and retry, and then one probe a cooldown. The first probe after the recovery is answered, and so
// is everybody from then on. (BERRY_SOAK=1 takes half a minute.)
func TestRetryStorm(t *testing.T) {
	const (
		clients, retries = 32, 3
		cooldown         = 1 // seconds, which does not grow here
	)
	long, pause := 2*time.Second, 10*time.Millisecond
	if soaking() {
		long, pause = 30*time.Second, 0
	}
	var tables strings.Builder
	var down atomic.Bool
	down.Store(true)
	providers := make([]*fakeprovider.Provider, 3)
	for i := range providers {
		id := fmt.Sprint("p", i)
		providers[i] = &fakeprovider.Provider{Name: id, Plan: func(int) string {
			if down.Load() {
				return "503"
			}
			return ""
		}}
		tables.WriteString(gatewaytest.Provider(id, gatewaytest.Serve(t, providers[i])))
	}
	tables.WriteString("[models.m]\nstrategy = \"random\"\n")
	for i := range providers {
		fmt.Fprintf(&tables, "[[models.m.backends]]\nprovider = \"p%d\"\nmodel = \"one\"\n", i)
	}
	g := gatewaytest.Start(t, gatewaytest.Config(fmt.Sprintf("[settings]\nmax_retries = %d\ncooldown_seconds = %d\nmax_cooldown_seconds = %d\n", retries, cooldown, cooldown), tables.String()))
	var answers, refusals atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for !stop.Load() {
				if response, _ := g.Chat(t, "m"); response.StatusCode == http.StatusOK {
					answers.Add(1)
				} else {
					refusals.Add(1)
					time.Sleep(pause)
				}
			}
		})
	}
	began := time.Now()
	time.Sleep(long)
	lasted := time.Since(began)
	if answers.Load() > 0 {
		t.Errorf("%d answers while everybody was down", answers.Load())
	}
	burst, probes := clients*(1+retries), int(lasted/time.Second)/cooldown+1
	for _, p := range providers {
		log := p.Log()
		if most := burst + probes; len(log) > most {
			t.Errorf("%s got %d attempts in %v, more than %d", p.Name, len(log), lasted, most)
		}
		later := slices.DeleteFunc(slices.Clone(log), func(r fakeprovider.Request) bool { return r.At.Sub(log[0].At) < cooldown*time.Second })
		if len(later) > probes {
			t.Errorf("%s got %d attempts after the first cooldown, more than a probe a second", p.Name, len(later))
		}
		t.Logf("%s: %d attempts at first, then %d in %v; %d requests were refused", p.Name, len(log)-len(later), len(later), lasted.Round(time.Second), refusals.Load())
	}
	before := make([]int, len(providers))
	down.Store(false)
	recovered := time.Now()
	for i, p := range providers {
		before[i] = len(p.Log())
	}
	gatewaytest.Wait(t, "somebody is answered", func() bool { return answers.Load() > 0 })
	t.Logf("answered %v after the recovery, with cooldowns of %d s", time.Since(recovered).Round(time.Millisecond), cooldown)
	stop.Store(true)
	all.Wait()
	for i, p := range providers {
		for _, r := range p.Log()[min(before[i]+1, len(p.Log())):] { // one may have been under way
			if r.Fault != "" {
				t.Errorf("%s failed after its recovery", p.Name)
			}
		}
	}
}
