package config

import (
	"context"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/knadh/koanf/providers/file"
)

// How changes are gathered: many editors and deployments make several at once.
const (
	quiet   = 100 * time.Millisecond // without a change before one is told
	longest = time.Second            // after the first change, whatever else changes
	rearm   = 100 * time.Millisecond // between tries to watch a file that is missing
	look    = time.Second            // between looks at a watched file
)

// A Watcher tells when files change: by koanf's file provider and, since that hears only what happens in a file's own
// folder, by a look at each file every second, which finds symbolic links that changed on the way there and folders that
// were exchanged. A file that is missing is watched all the same.
type Watcher struct {
	C <-chan struct{} // receives when files have changed and have then been left alone for a moment

	ctx      context.Context
	close    context.CancelFunc
	tell     chan struct{}
	watching sync.WaitGroup

	mu    sync.Mutex
	paths map[string]context.CancelFunc
}

// NewWatcher returns a watcher of nothing. The caller must Close it.
func NewWatcher() *Watcher {
	c := make(chan struct{}, 1)
	w := &Watcher{C: c, tell: make(chan struct{}, 1), paths: map[string]context.CancelFunc{}}
	w.ctx, w.close = context.WithCancel(context.Background())
	w.watching.Go(func() { w.gather(c) })
	return w
}

// Watch watches the files, and no others any more. A file that it has not watched before counts as changed, since nobody
// has looked since it was read.
func (w *Watcher) Watch(files Files) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, stop := range w.paths {
		if _, wanted := files[path]; !wanted {
			stop()
			delete(w.paths, path)
		}
	}
	for path := range files {
		if w.paths[path] == nil {
			ctx, stop := context.WithCancel(w.ctx)
			w.paths[path] = stop
			w.watching.Go(func() { w.follow(ctx, path) })
		}
	}
}

// Close ends the watcher; C receives nothing any more.
func (w *Watcher) Close() {
	w.close()
	w.watching.Wait()
}

// follow watches one path until ctx is done.
func (w *Watcher) follow(ctx context.Context, path string) {
	var seen fs.FileInfo
	for first := true; ctx.Err() == nil; first = false {
		stop, died := w.arm(path)
		now, _ := os.Stat(path) // nil is a state, too
		if first || !same(seen, now) {
			seen = now
			w.changed()
		}
		w.wait(ctx, path, seen, died)
		stop()
	}
}

// arm lets koanf watch the path. died is closed when it does so no longer; it is nil if koanf cannot.
func (w *Watcher) arm(path string) (stop func(), died <-chan struct{}) {
	// A fresh provider each time: koanf's gives up for good when its file is renamed or removed, and one that has met a
	// missing file holds its own lock for ever.
	provider := file.Provider(path)
	end := make(chan struct{})
	var once sync.Once
	err := provider.Watch(func(_ any, err error) {
		if err != nil {
			once.Do(func() { close(end) })
		}
		w.changed()
	})
	if err != nil {
		return func() {}, nil
	}
	return func() { _ = provider.Unwatch() }, end // which fails only if it has died by now
}

// wait returns when the path should be armed anew: it is no longer what was seen, nobody watches it, or ctx is done.
func (w *Watcher) wait(ctx context.Context, path string, seen fs.FileInfo, died <-chan struct{}) {
	every := look
	if died == nil {
		every = rearm
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-died:
			died, every = nil, rearm
		case <-time.After(every):
			if now, _ := os.Stat(path); died == nil || !same(seen, now) {
				return
			}
		}
	}
}

// same tells whether a file is still the one that was seen, unchanged; nil is a missing file.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// changed notes a change. It never waits.
func (w *Watcher) changed() {
	select {
	case w.tell <- struct{}{}:
	default:
	}
}

// gather passes changes on to c when they have ended.
func (w *Watcher) gather(c chan<- struct{}) {
	for {
		select {
		case <-w.tell:
		case <-w.ctx.Done():
			return
		}
		w.settle()
		select {
		case c <- struct{}{}:
		default: // the last one has not been heard yet
		}
	}
}

// settle returns when nothing has changed for quiet, or longest has passed.
func (w *Watcher) settle() {
	last := time.After(longest)
	for {
		select {
		case <-w.tell:
		case <-time.After(quiet):
			return
		case <-last:
			return
		case <-w.ctx.Done():
			return
		}
	}
}
