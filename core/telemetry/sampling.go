package telemetry

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// Sampling is which traces are exported.
type Sampling struct {
	Ratio      float64       // of traces without a client's decision, from 0 to 1
	Set        bool          // the config sets the ratio, which overrides OTEL_TRACES_SAMPLER
	KeepErrors bool          // export others, too, if something failed
	KeepSlow   time.Duration // export others, too, if they took so long; 0: never
}

// mayKeep reports whether a trace that is not sampled may still be exported.
func (s Sampling) mayKeep() bool { return s.KeepErrors || s.KeepSlow > 0 }

// keeps reports whether an ended trace that is not sampled is exported. A stage's rejection is the request's own fault, and no reason.
func (s Sampling) keeps(t *spans.Trace) bool {
	first := t.Root()
	if s.KeepSlow > 0 && first.Ended.Sub(first.Began) >= s.KeepSlow {
		return true
	}
	if !s.KeepErrors {
		return false
	}
	for _, span := range t.Spans() {
		if span.Failed && (span == first || span.Kind == trace.SpanKindClient) {
			return true
		}
	}
	return false
}

// A samplerVariable is the content of OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. The zero value means that they are not set.
type samplerVariable struct {
	set          bool
	ratio        float64
	ignoreParent bool // of the client
}

// parseSampler parses the variables. It returns a warning if they are invalid and ignored; "" if not
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration).
func parseSampler(name, arg string) (v samplerVariable, warning string) {
	kind, parentBased := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), "parentbased_")
	v = samplerVariable{set: true, ratio: 1, ignoreParent: !parentBased}
	switch kind {
	case "always_on":
	case "always_off":
		v.ratio = 0
	case "traceidratio":
		ratio, err := strconv.ParseFloat(strings.TrimSpace(arg), 64)
		if ok := err == nil && ratio >= 0 && ratio <= 1; ok {
			v.ratio = ratio
		} else if arg != "" {
			warning = fmt.Sprintf("OTEL_TRACES_SAMPLER_ARG: %q is not a number from 0 to 1; the ratio is 1", arg)
		}
	default:
		v = samplerVariable{}
		if name != "" {
			warning = fmt.Sprintf("OTEL_TRACES_SAMPLER: unknown sampler %q is ignored; expected always_on, always_off or traceidratio, or one of them after parentbased_", name)
		}
	}
	return v, warning
}

// A sampler decides at the beginning of a trace whether it is exported, recorded in case it will be kept, or not recorded. It is safe for
// concurrent use.
type sampler struct {
	variable samplerVariable // constant
	now      atomic.Pointer[rule]
}

type rule struct {
	Sampling
	ratio        sdktrace.Sampler
	ignoreParent bool
}

// start reads the variables, and returns a warning if they are invalid.
func (s *sampler) start() (warning string) {
	s.variable, warning = parseSampler(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	return warning
}

// set replaces the sampling for later traces. It reports whether the ratio now replaces the variables.
func (s *sampler) set(to Sampling) (overruled bool) {
	before, next := s.now.Load(), &rule{Sampling: to}
	if s.variable.set && !to.Set {
		next.Ratio, next.ignoreParent = s.variable.ratio, s.variable.ignoreParent
	}
	next.ratio = sdktrace.TraceIDRatioBased(next.Ratio)
	s.now.Store(next)
	return s.variable.set && to.Set && (before == nil || !before.Set)
}

// sample decides about a trace that begins within parent, if that is valid.
func (s *sampler) sample(parent trace.SpanContext, id trace.TraceID) (sampled, recorded bool) {
	now := s.now.Load()
	if parent.IsValid() && !now.ignoreParent {
		sampled = parent.IsSampled()
	} else {
		sampled = now.ratio.ShouldSample(sdktrace.SamplingParameters{TraceID: id}).Decision == sdktrace.RecordAndSample
	}
	return sampled, sampled || now.mayKeep()
}
