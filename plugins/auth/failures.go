package auth

import (
	"sync"

	"github.com/berrygate/berry/core/failurelimit"
)

// Failures are the failures that the stages of one gateway have counted, across reloads. They are safe for concurrent use; the zero value is
// empty.
type Failures struct {
	mu    sync.Mutex
	now   *failurelimit.Limiter
	lines *failurelimit.Limiter // of log lines; nil before the first stage
}

// linesPerMinute is how many rejections of one address are logged per minute.
const linesPerMinute = 30

// log returns the limiter of log lines.
func (f *Failures) log() (*failurelimit.Limiter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.lines == nil {
		f.lines, err = failurelimit.New(linesPerMinute)
	}
	return f.lines, err
}

// guard returns the limiter for so many failures per address and minute: the previous one, if it has the same limit.
func (f *Failures) guard(most int) (*failurelimit.Limiter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now != nil && f.now.PerMinute == most {
		return f.now, nil
	}
	g, err := failurelimit.New(most)
	if err == nil {
		f.now = g
	}
	return g, err
}
