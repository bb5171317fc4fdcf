package relay

import (
	"io"
	"maps"
	"net/http"
	"net/url"
)

// leaveBodyOut makes r a request without a body, and one that is sent once. When a connection that was used before breaks,
// net/http's transport sends again what has none, if it is a GET or has an Idempotency-Key: a request of which no attempt would tell.
// So a GET gets a body that turns out to be empty, of which nothing is sent; the key requestHeader has hidden.
func leaveBodyOut(r *http.Request) {
	r.Body, r.ContentLength = http.NoBody, 0
	if r.Method == http.MethodGet {
		r.Body = nothing{}
	}
}

// hideIdempotencyKey writes the header as net/http's transport does not look for it, which to a provider is the same.
func hideIdempotencyKey(h http.Header) {
	const key = "Idempotency-Key"
	if values, ok := h[key]; ok {
		delete(h, key)
		h["idempotency-key"] = values
	}
}

// nothing is an empty body.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }

// A singleUse sends requests without a body singleUse, as leaveBodyOut has it, for a library that makes its own.
type singleUse struct{ http.RoundTripper }

func (o singleUse) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	leaveBodyOut(r)
	return o.RoundTripper.RoundTrip(r)
}

// addQuery adds the client's query to the provider's URL, whose own comes first.
func addQuery(u *url.URL, query url.Values) {
	if len(query) == 0 {
		return
	}
	all := u.Query()
	own := maps.Clone(all)
	maps.Copy(all, query)
	maps.Copy(all, own)
	u.RawQuery = all.Encode()
}
