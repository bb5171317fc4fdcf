// Package otlptest implements a receiver of a gateway's spans and metrics for tests: OTLP over HTTP with protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
package otlptest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Receiver collects exports until its test ends. It is safe for concurrent use.
type Receiver struct {
	URL string // for OTEL_EXPORTER_OTLP_ENDPOINT

	mu      sync.Mutex
	spans   []*trace.Span
	metrics map[string]*metrics.Metric
	raw     []byte // bytes of all exports
}

// New starts a receiver.
func New(t testing.TB) *Receiver {
	r := &Receiver{metrics: map[string]*metrics.Metric{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// ServeHTTP receives one export.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, err := read(q)
	if err == nil {
		err = r.take(q.URL.Path, b)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(q *http.Request) ([]byte, error) {
	if q.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(q.Body)
	}
	z, err := gzip.NewReader(q.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (r *Receiver) take(path string, b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw = append(r.raw, b...)
	switch path {
	case "/v1/traces":
		var in collectortrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &in); err != nil {
			return err
		}
		for _, of := range in.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
	case "/v1/metrics":
		var in collectormetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(b, &in); err != nil {
			return err
		}
		for _, of := range in.ResourceMetrics {
			for _, scope := range of.ScopeMetrics {
				for _, m := range scope.Metrics {
					r.metrics[m.Name] = m
				}
			}
		}
	default:
		return fmt.Errorf("unknown path %s", path)
	}
	return nil
}

// Spans returns the spans received so far.
func (r *Receiver) Spans() []*trace.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Trace returns the spans of the trace with the id, in hexadecimal.
func (r *Receiver) Trace(id string) []*trace.Span {
	return slices.DeleteFunc(r.Spans(), func(s *trace.Span) bool { return hex.EncodeToString(s.TraceId) != id })
}

// Metrics returns the latest export of each metric by name.
func (r *Receiver) Metrics() map[string]*metrics.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]*metrics.Metric{}
	for name, m := range r.metrics {
		out[name] = m
	}
	return out
}

// Raw returns the concatenated bytes of all exports.
func (r *Receiver) Raw() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.raw)
}

// Tree formats spans as a tree: a line for each with its kind and status, and below it its attributes, its events and the traces that it links
// to. Children are in order of their start. Spans without a parent among the given ones are roots.
func Tree(spans []*trace.Span) string {
	var b strings.Builder
	known := map[string]bool{}
	for _, s := range spans {
		known[string(s.SpanId)] = true
	}
	slices.SortStableFunc(spans, func(a, b *trace.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	var write func(s *trace.Span, indent string)
	write = func(s *trace.Span, indent string) {
		kind := strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"))
		fmt.Fprintf(&b, "%s%s (%s)%s\n", indent, s.Name, kind, status(s.Status))
		list(&b, indent+"  | ", s.Attributes)
		for _, e := range s.Events {
			fmt.Fprintf(&b, "%s  * %s\n", indent, e.Name)
			list(&b, indent+"    | ", e.Attributes)
		}
		for _, l := range s.Links {
			fmt.Fprintf(&b, "%s  > %x\n", indent, l.TraceId)
		}
		for _, child := range spans {
			if string(child.ParentSpanId) == string(s.SpanId) {
				write(child, indent+"    ")
			}
		}
	}
	for _, s := range spans {
		if !known[string(s.ParentSpanId)] {
			write(s, "")
		}
	}
	return b.String()
}

func status(s *trace.Status) string {
	switch s.GetCode() {
	case trace.Status_STATUS_CODE_ERROR:
		return " error: " + s.Message
	case trace.Status_STATUS_CODE_OK:
		return " ok"
	default:
		return ""
	}
}

func list(b *strings.Builder, indent string, attributes []*common.KeyValue) {
	var lines []string
	for _, a := range attributes {
		lines = append(lines, fmt.Sprintf("%s%s: %s\n", indent, a.Key, Text(a.Value)))
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, ""))
}

// Text formats an attribute's value for people.
func Text(v *common.AnyValue) string {
	switch v := v.Value.(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_ArrayValue:
		var parts []string
		for _, p := range v.ArrayValue.Values {
			parts = append(parts, Text(p))
		}
		return strings.Join(parts, "; ")
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	default:
		return fmt.Sprint(v)
	}
}
