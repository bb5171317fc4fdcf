package main

import (
	"net/http/httptest"
	"testing"
	"time"
)

// The built-in loader has no failed requests, and the upstream counts responses and events.
func TestClients(t *testing.T) {
	for _, l := range loads() {
		u := newUpstream()
		s := httptest.NewServer(u)
		failed, err := clients(t.Context(), s.URL, l.body, 4, time.Second)
		s.Close()
		answers, streamed := u.answers.Load(), u.streamed.Load()
		if err != nil || failed != 0 || answers == 0 || l.event && streamed < answers*events || !l.event && streamed != 0 {
			t.Errorf("%s: got %d responses, %d events, %d failed requests, error %v", l.name, answers, streamed, failed, err)
		}
	}
}

// The built-in loader counts failed requests.
func TestClientsFail(t *testing.T) {
	s := httptest.NewServer(nil) // 404
	defer s.Close()
	if failed, err := clients(t.Context(), s.URL, "{}", 1, 100*time.Millisecond); err != nil || failed == 0 {
		t.Errorf("got %d failed requests, error %v", failed, err)
	}
}
