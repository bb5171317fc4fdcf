package auth

import (
	"sync"

	"github.com/berrygate/berry/core/failurelimit"
)

// Failures are what stages of one gateway, one config after the other, know of guessers. They are safe for concurrent use; the zero
// value knows of none.
type Failures struct {
	mu    sync.Mutex
	now   *failurelimit.Limiter
	lines *failurelimit.Limiter // of the log, which guessers must not fill; nil before the first stage
}

// linesPerMinute is how many refusals of one address the log tells of in a minute.
const linesPerMinute = 30

// log returns the guard of the log.
func (f *Failures) log() (*failurelimit.Limiter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.lines == nil {
		f.lines, err = failurelimit.New(linesPerMinute)
	}
	return f.lines, err
}

// guard returns the guard that allows each address most failures a minute: the one before if that allowed as many.
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
