package gateway

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/telemetry/names"
	"github.com/berrygate/berry/core/wasm"
)

// system names a type of provider by the GenAI conventions.
func system(typ string) string {
	switch typ {
	case "azure":
		return "azure.ai.openai"
	case "gemini":
		return "gcp.gemini"
	default:
		return typ
	}
}

// secrets returns what must not be seen in a provider's answers. What is too short to be a secret could be any word.
func secrets(p *config.Provider) [][]byte {
	const shortest = 8
	var all [][]byte
	for _, s := range append(slices.Collect(maps.Values(p.Headers)), p.APIKey) {
		if text := s.Reveal(); len(text) >= shortest {
			all = append(all, []byte(text))
		}
	}
	return all
}

// explainReload says in the span what came of a reload.
func explainReload(span trace.Span, r *Reload) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String(names.ReloadCause, r.Cause), attribute.String(names.ReloadResult, r.Result),
		attribute.String(names.ConfigSHA256, r.SHA256))
	if r.Result == Failed {
		const most = 1000
		span.SetAttributes(names.ErrorType.String("config"))
		span.SetStatus(codes.Error, core.ClipTo(strings.Join(r.Errors, "; "), most))
	}
}

// explainLoad ends the span of loading a strategy.
func explainLoad(span trace.Span, name string, s *wasm.Strategy, err error) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String(names.Strategy, name))
		if s != nil {
			span.SetAttributes(attribute.String(names.StrategySHA256, s.Digest))
		}
	}
	core.EndSpan(span, err)
}

// explainCheck says in the span what a check of a provider has shown. An answer's text is no part of that.
func explainCheck(span trace.Span, e endpoint, at *url.URL, status int, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String(names.Provider, e.live.ID), attribute.String(names.HealthState, e.live.Words()))
	span.SetAttributes(core.ServerOf(at)...)
	switch {
	case err != nil:
		span.SetAttributes(names.ErrorType.String("connect"))
		span.SetStatus(codes.Error, core.Brief(route.Broken(err)))
	case status >= 400:
		span.SetAttributes(names.ResponseStatus.Int(status), names.ErrorType.String(strconv.Itoa(status)))
		if status >= 500 || status == 401 || status == 403 {
			span.SetStatus(codes.Error, "")
		}
	default:
		span.SetAttributes(names.ResponseStatus.Int(status))
	}
}
