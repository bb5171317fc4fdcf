package relay

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/otel/attribute"

	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/telemetry/semconv"
)

// message notes which message of which model an answer of Anthropic's is, or an event of one, and what it says. Most events say nothing
// that is wanted, and are hardly looked at.
func (n *attemptSpan) message(data []byte) {
	if n.answered && n.content == nil && !bytes.Contains(data, []byte(`"stop_reason"`)) {
		return
	}
	m := jsonx.View(data)
	delta := m.Get("delta")
	if inner := m.Get("message"); inner.IsObject() {
		m = inner
	}
	if !n.answered {
		n.answered = true
		n.told(semconv.ResponseID, m.Get("id"))
		n.told(semconv.ResponseModel, m.Get("model"))
	}
	for _, reason := range []gjson.Result{m.Get("stop_reason"), delta.Get("stop_reason")} {
		const longest = 50
		if reason.Type == gjson.String && n.finish == nil {
			n.finish = []string{strings.Clone(truncate(reason.Str, longest))} // it may stand in a buffer that is used again
		}
	}
	if n.content != nil {
		n.content.message(m, delta)
	}
}

// told notes a string under the key, if it is one.
func (n *attemptSpan) told(key attribute.Key, v gjson.Result) {
	const longest = 200 // it is the provider's to choose
	if v.Type == gjson.String {
		n.span.Set(key.String(strings.Clone(truncate(v.Str, longest))))
	}
}
