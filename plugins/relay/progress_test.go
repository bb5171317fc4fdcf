package relay

import "testing"

// What every event of a stream is looked at for: that it is JSON, an error, a finish reason, the usage.
func BenchmarkEvent(b *testing.B) {
	event := []byte(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763852400,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}`)
	var p progress
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if p.take(event) != chunk {
			b.Fatal("it is a chunk")
		}
	}
}
