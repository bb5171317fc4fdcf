package relay

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/body"
)

// Large translations wait for each other in order of arrival; small ones do not wait.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(2 << 20) // for one of the large ones at a time
		large, small := []byte(strings.Repeat("a", core.LargeBody+1)), []byte("a")
		wide := []byte(strings.Repeat(",", 1<<20))
		endWide, err := b.take(t.Context(), "alice", wide, perElement) // more than the whole budget
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		for i := range 2 {
			go func() {
				end, err := b.take(t.Context(), "alice", large, perElement)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				end()
			}()
			synctest.Wait()
		}
		one := &attemptRun{relayer: &relayer{Plugin: New(Options{Budget: b}, nil), x: new(core.Exchange)}}
		if _, err := one.take(t.Context(), small, perElement); err != nil || len(order) > 0 {
			t.Errorf("%v; %v had a turn while a body took the whole budget", err, order)
		}
		gone := errors.New("the client has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if _, err := b.take(ctx, "alice", large, perElement); !errors.Is(err, gone) {
			t.Errorf("%v, want %v", err, gone)
		}
		endWide()
		synctest.Wait()
		if len(order) != 2 || order[0] != 0 {
			t.Errorf("turns %v, want 0 and 1", order)
		}
	})
}

// A request that waits too long for its turn fails with an error that says so. Its attempt's timer pauses, so the backend's health is unaffected.
func TestTurnThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1)
		large := []byte(strings.Repeat("a", core.LargeBody+1))
		end, err := b.take(t.Context(), "alice", large, perElement)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		g := &relayer{Plugin: New(Options{Budget: b}, nil), x: &core.Exchange{Body: body.Body{Bytes: large}}}
		tr := &attemptRun{relayer: g, ctx: t.Context()}
		tr.limit.start(time.Second, func() { t.Error("the backend's limit has passed") })
		began := time.Now()
		_, err = tr.takeTurn()
		var e *apierror.Error
		if waited := time.Since(began); !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || e.Code != apierror.CodeOverloaded || e.RetryAfter == 0 || waited != turnTime {
			t.Fatalf("%v after %v, want a 503 after %v", err, waited, turnTime)
		}
		if f := g.untranslatable(err); !f.Untranslatable || f.ClientError != e {
			t.Errorf("%+v, want the same error for the client", f)
		}
		tr.limit.Stop()
	})
}
