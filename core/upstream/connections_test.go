package upstream

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berrygate/berry/internal/connectiontest"
)

func post(t *testing.T, url, body string, rewinds bool) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header["idempotency-key"] = []string{"k"}
	if !rewinds {
		r.GetBody = nil
	}
	return r
}

// answer makes the request and returns the answer's body.
func answer(c http.RoundTripper, r *http.Request) (string, error) {
	response, err := c.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(b)), err
}

func open(t *testing.T, a Identity) *connections {
	t.Helper()
	c, err := newConnections(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// Requests that meet the end of kept connections are answered over new ones, however many there are at once, and none is sent more than
// twice.
func TestKeptConnectionsThatEnd(t *testing.T) {
	const clients = 10
	server := connectiontest.ServeCloser(t, 1)
	c := open(t, Identity{})
	url := "http://" + server.Address
	for range 5 {
		before := server.Requests.Load()
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				body := strings.Repeat(fmt.Sprint(i), 100_000)
				if got, err := answer(c, post(t, url, body, true)); err != nil || got != "200 "+body {
					t.Errorf("%.20q, %v", got, err)
				}
			})
		}
		all.Wait()
		if n := server.Requests.Load() - before; n > 2*clients {
			t.Errorf("%d requests for %d", n, clients)
		}
	}
}

// What fails on a new connection has failed; so has what cannot be sent again.
func TestFreshConnectionsThatEnd(t *testing.T) {
	c := open(t, Identity{})
	server := connectiontest.ServeCloser(t, 0)
	if got, err := answer(c, post(t, "http://"+server.Address, "x", true)); err == nil || server.Requests.Load() != 1 {
		t.Errorf("%q after %d requests", got, server.Requests.Load())
	}
	server = connectiontest.ServeCloser(t, 1)
	url := "http://" + server.Address
	if _, err := answer(c, post(t, url, "x", true)); err != nil {
		t.Fatal(err)
	}
	if got, err := answer(c, post(t, url, "x", false)); err == nil || server.Requests.Load() != 2 {
		t.Errorf("an upload: %q after %d requests", got, server.Requests.Load())
	}
}

// Streams that a GOAWAY or REFUSED_STREAM says were not processed are sent again, and nobody notices.
func TestGoAway(t *testing.T) {
	for _, streams := range []int{100, 1000} {
		for _, clients := range []int{16, 32} {
			t.Run(fmt.Sprintf("after %d, %d clients", streams, clients), func(t *testing.T) {
				t.Parallel()
				d := connectiontest.ServeDraining(t, streams, 0, "ok")
				c := open(t, Identity{CA: d.CA})
				const requests = 3000
				var left atomic.Int64
				left.Store(requests)
				var all sync.WaitGroup
				for range clients {
					all.Go(func() {
						for left.Add(-1) >= 0 {
							if got, err := answer(c, post(t, "https://"+d.Address, strings.Repeat("x", 100), true)); got != "200 ok" {
								t.Errorf("%q, %v", got, err)
							}
						}
					})
				}
				all.Wait()
				if d.Processed.Load() != requests || d.GoAways.Load() == 0 || d.Refused.Load() == 0 {
					t.Errorf("%d of %d requests were processed, %d GOAWAYs, %d refused", d.Processed.Load(), requests, d.GoAways.Load(), d.Refused.Load())
				}
			})
		}
	}
}

// A provider that refuses the request on each connection receives it a few times only.
func TestGoAwayWithoutEnd(t *testing.T) {
	d := connectiontest.ServeDraining(t, 0, 0, "never")
	c := open(t, Identity{CA: d.CA})
	for _, rewinds := range []bool{true, false} {
		d.GoAways.Store(0)
		if got, err := answer(c, post(t, "https://"+d.Address, strings.Repeat("x", 100), rewinds)); err == nil || d.GoAways.Load() > maxSends+1 {
			t.Errorf("rewinds %t: got %q, %v after %d sends, want an error after at most %d", rewinds, got, err, d.GoAways.Load(), maxSends+1)
		}
	}
}
