package wasm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var trapped = &FaultError{Trap, errors.New("as asked")}

// A clock is a time that a test sets.
type clock struct{ t time.Time }

func (c *clock) now() time.Time           { return c.t }
func (c *clock) pass(d time.Duration)     { c.t = c.t.Add(d) }
func (c *clock) fault(q *quarantine) bool { began, _ := q.fault(c.t, trapped, false); return began }

func enters(t *testing.T, q *quarantine, c *clock, allowed, trial bool) {
	t.Helper()
	if a, tr := q.enter(c.now); a != allowed || tr != trial {
		t.Fatalf("allowed %t, trial %t; want %t, %t", a, tr, allowed, trial)
	}
}

// Five faults within a minute begin a quarantine, and no four, nor five that are further apart.
func TestQuarantineBegins(t *testing.T) {
	q, c := &quarantine{}, &clock{time.Unix(1_800_000_000, 0)}
	for range 20 {
		if c.fault(q) {
			t.Fatal("faults that are far apart begin a quarantine")
		}
		c.pass(16 * time.Second) // the fifth is 64 s behind the first
	}
	c.pass(time.Hour)
	for range faultLimit - 1 {
		if c.fault(q) {
			t.Fatal("four faults begin a quarantine")
		}
	}
	enters(t, q, c, true, false)
	if !c.fault(q) {
		t.Fatal("five faults begin none")
	}
	enters(t, q, c, false, false)
	s := q.standing(c.t)
	if s.Serving || s.Faults != 25 || s.Reason != Trap || !s.Last.Equal(c.t) || s.State != "quarantined" || s.Why != "25 faults, last: as asked; next trial in 10 s" {
		t.Errorf("%+v", s)
	}
	if c.fault(q) {
		t.Error("a call that was under way begins it again")
	}
}

// When the time is over, one call is the trial. If it goes well, the quarantine ends; if not, it is twice as long.
func TestTrial(t *testing.T) {
	q, c := &quarantine{}, &clock{time.Unix(1_800_000_000, 0)}
	for range faultLimit {
		c.fault(q)
	}
	for _, wait := range []int{10, 20, 40, 80, 160, 320, 600, 600} {
		c.pass(time.Duration(wait)*time.Second - 1)
		enters(t, q, c, false, false)
		c.pass(1)
		if s := q.standing(c.t); s.State != "quarantined" || !strings.HasSuffix(s.Why, "; the next request tries it") {
			t.Errorf("%+v", s)
		}
		enters(t, q, c, true, true)
		enters(t, q, c, false, false) // another one meanwhile
		if began, _ := q.fault(c.t, trapped, true); !began {
			t.Fatal("a trial that faults ends the quarantine")
		}
	}
	c.pass(maxBackoff)
	enters(t, q, c, true, true)
	q.leave(c.t, false) // it did not come to the guest
	enters(t, q, c, true, true)
	q.leave(c.t, true)
	enters(t, q, c, true, false)
	if s := q.standing(c.t); !s.Serving || s.State != "healthy" || s.Why != "" {
		t.Errorf("%+v", s)
	}
	for range faultLimit - 1 {
		if c.fault(q) {
			t.Fatal("what was before the trial counts")
		}
	}
}

// The next quarantine is as much longer, unless the strategy has served well for as long as one may take.
func TestRelapse(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{maxBackoff - 1: 2 * firstBackoff, maxBackoff: firstBackoff} {
		q, c := &quarantine{}, &clock{time.Unix(1_800_000_000, 0)}
		for range faultLimit {
			c.fault(q)
		}
		c.pass(firstBackoff)
		enters(t, q, c, true, true)
		q.leave(c.t, true)
		c.pass(pause)
		for range faultLimit - 1 {
			c.fault(q)
		}
		if _, until := q.fault(c.t, trapped, false); until.Sub(c.t) != want {
			t.Errorf("after %v it takes %v, want %v", pause, until.Sub(c.t), want)
		}
	}
}
