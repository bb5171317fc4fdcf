package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/prometheus/procfs"
)

// A bench measures proxies and gateway in turn and prints the cost of each load.
type bench struct {
	berry       string
	rounds      int
	connections int
	duration    time.Duration
	only        string
	profiles    string
	seen        bool // measure the cost of telemetry instead
	out         io.Writer

	folder    string
	processes []*process
	upstream  *process
}

// A process is one of the measured processes.
type process struct {
	url     string
	admin   string // address of the gateway's admin listener; "" for a proxy
	command *exec.Cmd
	stdin   io.Closer
	stat    procfs.Proc
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.folder, err = os.MkdirTemp("", "gatewaybench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if b.upstream, err = b.start(ctx, nil, `^(.*)()$`, self, "upstream"); err != nil {
		return err
	}
	config, err := b.configFile()
	if err != nil {
		return err
	}
	if b.seen {
		return b.telemetry(ctx, config)
	}
	bare, err := b.start(ctx, nil, `^(.*)()$`, self, "proxy", b.upstream.url)
	if err != nil {
		return err
	}
	keeping, err := b.start(ctx, nil, `^(.*)()$`, self, "keeping-proxy", b.upstream.url)
	if err != nil {
		return err
	}
	var traced []string
	if b.profiles != "" { // profiles include the cost of traces
		c, err := b.start(ctx, nil, `^(.*)()$`, self, "collector")
		if err != nil {
			return err
		}
		traced = []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + c.url}
	}
	gateway, err := b.start(ctx, traced, `"address":"([^"]+)","admin":"([^"]+)"`, b.berry, "serve", "--config", config)
	if err != nil {
		return err
	}
	return b.measure(ctx, gateway, bare, keeping)
}

// gatewayConfig returns a config in which a strategy chooses among eight backends: backends with OpenAI's API for the model smart, with
// Anthropic's for the model claude.
func gatewayConfig(upstream string) string {
	var t strings.Builder
	fmt.Fprintf(&t, "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[users.bench]\ntoken = %q\n", token)
	for model, typ := range map[string]string{"smart": "openai", "claude": "anthropic"} {
		fmt.Fprintf(&t, "[providers.%s]\ntype = %q\nbase_url = \"%s/v1\"\napi_key = \"sk-bench\"\nhealth_check = false\n", typ, typ, upstream)
		fmt.Fprintf(&t, "[models.%s]\nstrategy = \"weighted_random\"\n", model)
		for i := range 8 {
			fmt.Fprintf(&t, "[[models.%s.backends]]\nprovider = %q\nmodel = \"m%d\"\nweight = %d\n", model, typ, i, i+1)
		}
	}
	return t.String()
}

// start runs a command, with the variables added to the environment, until the bench is closed. The expression's groups match, in the command's
// output, its address and that of its admin listener.
func (b *bench) start(ctx context.Context, environ []string, address, path string, arguments ...string) (*process, error) {
	c := exec.CommandContext(ctx, path, arguments...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Env = append(os.Environ(), environ...)
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.Stdout, c.Stderr = write, write
	err = c.Start()
	_ = write.Close() // the process has its own copy
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", path, err), read.Close())
	}
	p := &process{command: c, stdin: stdin}
	b.processes = append(b.processes, p)
	var said strings.Builder
	for lines := bufio.NewScanner(read); lines.Scan(); {
		if m := regexp.MustCompile(address).FindStringSubmatch(lines.Text()); m != nil {
			p.url, p.admin = "http://"+m[1], m[2]
			break
		}
		said.WriteString(lines.Text() + "\n")
	}
	if p.url == "" {
		return nil, fmt.Errorf("%s ended: %s", path, said.String())
	}
	go func() {
		_, _ = io.Copy(io.Discard, read) // discards the log until the process ends
		_ = read.Close()
	}()
	p.stat, err = procfs.NewProc(c.Process.Pid)
	return p, err
}

// close stops the processes.
func (b *bench) close() error {
	for _, p := range slices.Backward(b.processes) {
		_ = p.stdin.Close()                           // stops the bench's own roles
		_ = p.command.Process.Signal(syscall.SIGTERM) // stops the gateway
		_ = p.command.Wait()                          // the error only reports the signal
	}
	return os.RemoveAll(b.folder)
}

// measure prints a table with a line for each load: its cost in each process, the gateway first, and the ratio of the gateway to each of the
// others.
func (b *bench) measure(ctx context.Context, processes ...*process) error {
	load, name := newLoader(b.folder)
	fmt.Fprintf(b.out, "%d connections, %d × %v each, %d cores, %s; load by %s\n", b.connections, b.rounds, b.duration, runtime.GOMAXPROCS(0), runtime.Version(), name)
	fmt.Fprint(b.out, "CPU time of Berry, of a bare ReverseProxy, and of one that keeps 256 idle connections rather than 2\n\n")
	t := tabwriter.NewWriter(b.out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t\tBerry\tbare\tratio\tkeeping\tratio\t")
	failures := make([]int64, len(processes))
	for _, l := range loads() {
		if !strings.HasPrefix(l.name, b.only) {
			continue
		}
		costs := make([][]float64, len(processes)) // by process and round
		for round := range b.rounds {
			fmt.Fprintf(os.Stderr, "\r%-34s round %d of %d ", l.name, round+1, b.rounds)
			for i, p := range processes {
				cost, failed, err := b.cost(ctx, load, p, l)
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				costs[i] = append(costs[i], cost)
				failures[i] += failed
			}
		}
		fmt.Fprintf(t, "%s\tper %s\t%.1f µs\t", l.name, l.unit, median(costs[0]))
		for _, other := range costs[1:] {
			fmt.Fprintf(t, "%.1f µs\t%.2f\t", median(other), median(ratios(costs[0], other)))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "failed requests\t\t%d\t%d\t\t%d\t\t\n", failures[0], failures[1], failures[2])
	fmt.Fprintf(os.Stderr, "\r%-60s\r", "")
	return t.Flush()
}

// cost returns the process's CPU time per unit of the load, in microseconds, and the number of failed requests.
func (b *bench) cost(ctx context.Context, load loader, p *process, l load) (cost float64, failed int64, err error) {
	before, units, err := b.read(ctx, p, l)
	if err != nil {
		return 0, 0, err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- b.profile(ctx, p, l.name) }()
	failed, err = load(ctx, p.url+"/v1/chat/completions", l.body, b.connections, b.duration)
	if err = errors.Join(err, <-profiled); err != nil {
		return 0, 0, err
	}
	after, more, err := b.read(ctx, p, l)
	if err == nil && more == units {
		err = errors.New("the upstream received no requests")
	}
	return (after - before) * 1e6 / float64(more-units), failed, err
}

// profile writes a CPU profile of the gateway under a load, if the bench has a folder for profiles.
func (b *bench) profile(ctx context.Context, p *process, name string) error {
	if b.profiles == "" || p.admin == "" {
		return nil
	}
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.admin, max(1, int(b.duration.Seconds())))
	response, err := get(ctx, url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	f, err := os.Create(filepath.Join(b.profiles, strings.ReplaceAll(name, " ", "_")+".pprof"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, response.Body)
	return errors.Join(err, f.Close())
}

func get(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(r)
}

// read returns the process's CPU time so far, in seconds, and the number of units that the upstream has sent.
func (b *bench) read(ctx context.Context, p *process, l load) (cpu float64, units int64, err error) {
	stat, err := p.stat.Stat()
	if err != nil {
		return 0, 0, err
	}
	response, err := get(ctx, b.upstream.url+"/count")
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	var answers, streamed int64
	if _, err = fmt.Fscan(response.Body, &answers, &streamed); err != nil {
		return 0, 0, fmt.Errorf("read the upstream's count: %w", err)
	}
	if l.event {
		return stat.CPUTime(), streamed, nil
	}
	return stat.CPUTime(), answers, nil
}

func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// median does not reorder values, because ratios pairs them by round.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
