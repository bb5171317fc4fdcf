package gateway

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/core/wasm"
)

// system returns the GenAI conventions' name of a provider type.
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

// secrets returns the secrets of requests to a provider. Very short ones are left out: they could be any word.
func secrets(p *config.Provider) core.Secrets {
	const shortest = 8
	var all []string
	for _, s := range append(slices.Collect(maps.Values(p.Headers)), p.APIKey) {
		if text := s.Reveal(); len(text) >= shortest {
			all = append(all, text)
		}
	}
	return core.NewSecrets(all...)
}

// explainReload sets a reload's attributes of its span.
func explainReload(span *spans.Span, r *Reload) {
	span.Set(attribute.String(semconv.ReloadCause, r.Cause), attribute.String(semconv.ReloadResult, r.Result),
		attribute.String(semconv.ConfigSHA256, r.SHA256))
	if r.Result == Failed {
		const most = 1000
		span.Set(semconv.ErrorType.String("config"))
		span.Fail(core.ClipTo(strings.Join(r.Errors, "; "), most))
	}
}

// explainLoad ends the span of a strategy's loading.
func explainLoad(span *spans.Span, name string, s *wasm.Strategy, err error) {
	span.Set(attribute.String(semconv.Strategy, name))
	if s != nil {
		span.Set(attribute.String(semconv.StrategySHA256, s.Digest))
	}
	core.EndSpan(span, err, time.Now())
}

// explainCheck sets a health check's attributes of its span, without the response's text.
func explainCheck(span *spans.Span, e endpoint, at *url.URL, status int, err error) {
	state, reason := e.live.State(time.Now())
	span.Set(attribute.String(semconv.Provider, e.live.ID), attribute.String(semconv.HealthState, state.String()))
	if reason != "" {
		span.Set(attribute.String(semconv.HealthReason, reason))
	}
	core.SetServer(span, at)
	switch {
	case err != nil:
		span.Set(semconv.ErrorType.String("connect"))
		span.Fail(core.RootCause(route.Broken(err)))
	case status >= 400:
		span.Set(semconv.ResponseStatus.Int(status), semconv.ErrorType.String(strconv.Itoa(status)))
		if status >= 500 || status == 401 || status == 403 {
			span.Fail("")
		}
	default:
		span.Set(semconv.ResponseStatus.Int(status))
	}
}
