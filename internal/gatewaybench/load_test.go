package main

import (
	"net/http/httptest"
	"testing"
	"time"
)

// The loader that stands in for wrk keeps the upstream busy, fails nothing, and the upstream counts what it sends.
func TestClients(t *testing.T) {
	for _, l := range loads() {
		u := newUpstream()
		s := httptest.NewServer(u)
		failed, err := clients(t.Context(), s.URL, l.body, 4, time.Second)
		s.Close()
		answers, streamed := u.answers.Load(), u.streamed.Load()
		if err != nil || failed != 0 || answers == 0 || l.event && streamed < answers*events || !l.event && streamed != 0 {
			t.Errorf("%s: %d answers, %d events, %d failed, %v", l.name, answers, streamed, failed, err)
		}
	}
}

// Somebody whose requests fail is told.
func TestClientsFail(t *testing.T) {
	s := httptest.NewServer(nil) // 404
	defer s.Close()
	if failed, err := clients(t.Context(), s.URL, "{}", 1, 100*time.Millisecond); err != nil || failed == 0 {
		t.Errorf("%d failed, %v", failed, err)
	}
}
