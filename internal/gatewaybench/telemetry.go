package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// collector accepts and discards exports, as an OTLP collector does.
func collector(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// hole reads exports and never responds.
func hole(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// A telemetryCase is a gateway with one configuration of telemetry.
type telemetryCase struct {
	name    string
	environ []string
	process *process
	costs   []float64 // CPU time per unit of the load, in microseconds, by round
	rates   []float64 // units per second
}

// telemetry measures the cost of telemetry with gateways of the same config: telemetry off, metrics only, metrics and all spans, and a
// collector that never responds.
func (b *bench) telemetry(ctx context.Context, config string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	takes, err := b.start(ctx, nil, `^(.*)()$`, self, "collector")
	if err != nil {
		return err
	}
	never, err := b.start(ctx, nil, `^(.*)()$`, self, "hole")
	if err != nil {
		return err
	}
	queue := "OTEL_BSP_MAX_QUEUE_SIZE=32768" // large enough to export every span
	all := []*telemetryCase{
		{name: "off", environ: []string{"OTEL_SDK_DISABLED=true"}},
		{name: "metrics"},
		{name: "all spans", environ: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + takes.url, queue}},
		{name: "black hole", environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + never.url}},
	}
	for _, s := range all {
		if s.process, err = b.start(ctx, s.environ, `"address":"([^"]+)","admin":"([^"]+)"`, b.berry, "serve", "--config", config); err != nil {
			return err
		}
	}
	load, name := newLoader(b.folder)
	fmt.Fprintf(b.out, "%d connections, %d × %v each; load by %s\n\n", b.connections, b.rounds, b.duration, name)
	for _, l := range loads() {
		if !strings.HasPrefix(l.name, b.only) {
			continue
		}
		if err := b.look(ctx, load, l, all); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// look measures one load and prints a line for each case.
func (b *bench) look(ctx context.Context, load loader, l load, all []*telemetryCase) error {
	for round := range b.rounds + 1 { // the first warms up
		fmt.Fprintf(os.Stderr, "\r%-34s round %d of %d ", l.name, round, b.rounds)
		for _, s := range all {
			before, units, err := b.read(ctx, s.process, l)
			if err != nil {
				return err
			}
			profiled := make(chan error, 1)
			go func() { profiled <- b.profile(ctx, s.process, l.name+" "+s.name) }()
			began := time.Now()
			failed, err := load(ctx, s.process.url+"/v1/chat/completions", l.body, b.connections, b.duration)
			took := time.Since(began)
			after, more, err2 := b.read(ctx, s.process, l)
			if err := errors.Join(err, err2, <-profiled); err != nil || failed > 0 {
				return fmt.Errorf("%s: %d requests failed: %w", s.name, failed, err)
			}
			if round > 0 {
				s.costs = append(s.costs, (after-before)*1e6/float64(more-units))
				s.rates = append(s.rates, float64(more-units)/took.Seconds())
			}
		}
	}
	fmt.Fprintf(os.Stderr, "\r%-60s\r", "")
	t := tabwriter.NewWriter(b.out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\tCPU per %s\tratio\t%ss a second\tratio\tmemory\tspans\t\n", l.name, l.unit, l.unit)
	for _, s := range all {
		stat, err := s.process.stat.Stat()
		if err != nil {
			return err
		}
		spans, err := spansOf(ctx, s.process)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%.1f µs\t%.2f\t%.0f\t%.2f\t%d MB\t%s\t\n", s.name, median(s.costs), median(ratios(s.costs, all[0].costs)),
			median(s.rates), median(ratios(s.rates, all[0].rates)), stat.ResidentMemory()>>20, spans)
	}
	for _, s := range all {
		s.costs, s.rates = nil, nil
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// spansOf returns the numbers of the gateway's spans by what happened to them.
func spansOf(ctx context.Context, p *process) (string, error) {
	response, err := get(ctx, "http://"+p.admin+"/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^berry_telemetry_spans_total\{.*result="(\w+)".*\} (\S+)$`).FindAllStringSubmatch(string(page), -1) {
		out = append(out, m[2]+" "+m[1])
	}
	return strings.Join(out, ", "), nil
}

// configFile writes the gateway's config and returns its path.
func (b *bench) configFile() (string, error) {
	file := filepath.Join(b.folder, "config.toml")
	return file, os.WriteFile(file, []byte(gatewayConfig(b.upstream.url)), 0o600)
}
