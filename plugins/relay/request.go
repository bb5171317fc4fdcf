package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/provider/adapter"
)

// request builds the request to the backend: the client's, translated if the backend has another API, else with another model name only. It
// fails if the request cannot be translated. net/http must not repeat a request that a provider may have processed (see removeBody, and
// upstream's connections), so the request is built field by field.
func (t *attemptRun) request() (*http.Request, error) {
	call := adapter.Call{
		ID: t.x.ID, Path: t.x.Operation.Path, Model: t.a.Backend.Upstream.Model, Stream: t.x.Body.Stream, Began: t.a.Began,
	}
	r := &http.Request{
		Method: t.x.Request.Method, Header: requestHeader(t.x.Request.Header, t.x.UserID(), t.x.ID), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	target, translator := t.x.Operation.Protocol.Target(t.a.Backend.Adapter, t.x.Operation.Path)
	if translator == nil {
		t.passHeaders(r.Header)
	}
	if on := t.x.Passthrough; on != nil {
		call.Path = on.Path
		removeBody(r)
		delete(r.Header, "Content-Type") // some servers expect a body if there is one
	}
	if u := t.x.Body.Upload; u != nil {
		if err := u.Send(r, call.Model, t.limit.stand); err != nil {
			return nil, err
		}
	} else if t.x.Passthrough == nil {
		if err := t.setBody(r, call, translator); err != nil {
			return nil, err
		}
	}
	target.SetTarget(r, call)
	if on := t.x.Passthrough; on != nil {
		addQuery(r.URL, on.Query)
	}
	core.Propagate(t.ctx, r.Header)
	t.notes.sent(r)
	return r.WithContext(t.ctx), nil
}

// passHeaders adds the client's headers that belong to its API, such as Anthropic-Version.
func (t *attemptRun) passHeaders(h http.Header) {
	for _, name := range t.x.Operation.Protocol.Headers() {
		if values := t.x.Request.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
}

// setBody sets the request's JSON body. translator may be nil. For each repeat of the request over another connection, net/http gets the body anew.
func (t *attemptRun) setBody(r *http.Request, call adapter.Call, translator adapter.Translator) error {
	if translator == nil {
		model := t.a.Backend.ModelJSON
		r.Body, r.ContentLength = t.x.Body.WithModel(model)
		r.GetBody = func() (io.ReadCloser, error) {
			body, _ := t.x.Body.WithModel(model)
			return body, nil
		}
		return nil
	}
	end, err := t.takeTurn()
	if err != nil {
		return err
	}
	body, response, err := translator.Translate(t.ctx, call, t.x.Body.Bytes)
	end()
	if err != nil {
		return err
	}
	t.translator = budgeted{response, t}
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody() // it does not fail
	return nil
}

// forwardedHeaders are the client's headers that providers receive, in canonical form. Others are not forwarded: they may belong to the connection
// or contain the client's credentials.
var forwardedHeaders = [...]string{"Accept", "Idempotency-Key", "Openai-Beta", "Traceparent", "Tracestate", "User-Agent"}

// requestHeader returns the header of the request to a provider. It hashes the idempotency key with the user: users share the provider's account,
// and two may choose the same key.
func requestHeader(client http.Header, user, id string) http.Header {
	h := make(http.Header, len(forwardedHeaders)+4)
	hop := oneHop(client)
	for _, name := range forwardedHeaders {
		if values := client[name]; len(values) > 0 && !hop[name] {
			h[name] = values
		}
	}
	if keys := h["Idempotency-Key"]; user != "" && len(keys) > 0 {
		h["Idempotency-Key"] = []string{hashKey(user, keys[0])}
	}
	hideIdempotencyKey(h)
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{"berry"} // net/http would write its own
	}
	h["Accept-Encoding"] = []string{"identity"}
	h["Content-Type"] = []string{"application/json"} // whatever the client's was
	h["X-Request-Id"] = []string{id}
	return h
}

// hashKey returns a digest of a user's idempotency key.
func hashKey(user, key string) string {
	digest := sha256.Sum256([]byte(strconv.Itoa(len(user)) + ":" + user + key))
	return hex.EncodeToString(digest[:])
}

// hideIdempotencyKey writes the header's name in lower case, in which net/http's transport does not find it. To a provider it is the same.
func hideIdempotencyKey(h http.Header) {
	const key = "Idempotency-Key"
	if values, ok := h[key]; ok {
		delete(h, key)
		h["idempotency-key"] = values
	}
}

// removeBody removes the request's body such that net/http sends the request once. When a kept connection breaks, its transport repeats a request
// without a body if that is a GET or has an Idempotency-Key; no attempt would show the repeat. So a GET gets a body that turns out to be empty,
// and requestHeader hides the key.
func removeBody(r *http.Request) {
	r.Body, r.ContentLength = http.NoBody, 0
	if r.Method == http.MethodGet {
		r.Body = emptyBody{}
	}
}

// emptyBody is a body that contains nothing, which net/http does not know before it reads it.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// A withoutRetries sends requests without a body once, for a library that makes its own requests.
type withoutRetries struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t withoutRetries) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	removeBody(r)
	return t.RoundTripper.RoundTrip(r)
}

// addQuery adds the client's query parameters to the provider's URL. The URL's own have priority.
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
