package config

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How changes are gathered: many editors and deployments make several at once.
const (
	quiet   = 100 * time.Millisecond // without a change before one is told
	longest = time.Second            // after the first change, whatever else changes
	hurried = 100 * time.Millisecond // between looks while something is missing, or other files in a watched folder change
	look    = time.Second            // between looks at all files
)

// A Watcher tells when files change: by the events of the folders that they are in, and, since those do not show what happens
// behind links and above the folders, by a look at each file every second. A file that is missing is watched all the same.
type Watcher struct {
	C <-chan struct{} // receives when files have changed and have then been left alone for a moment

	ctx      context.Context
	close    context.CancelFunc
	tell     chan struct{}
	watching sync.WaitGroup
	wanted   chan Files // what Watch was called with last, until follow takes it
}

// NewWatcher returns a watcher of nothing. The caller must Close it.
func NewWatcher() *Watcher {
	c := make(chan struct{}, 1)
	w := &Watcher{C: c, tell: make(chan struct{}, 1), wanted: make(chan Files, 1)}
	w.ctx, w.close = context.WithCancel(context.Background())
	w.watching.Go(func() { w.collect(c) })
	w.watching.Go(w.follow)
	return w
}

// Watch watches the files, and no others any more. A file that it has not watched before counts as changed, since nobody
// has looked since it was read. It must not be called by two goroutines at once.
func (w *Watcher) Watch(files Files) {
	select {
	case <-w.wanted: // an older wish that nobody has taken
	default:
	}
	w.wanted <- files
}

// Again has C receive once more after a while, even if nothing changes.
func (w *Watcher) Again(after time.Duration) {
	time.AfterFunc(after, w.changed)
}

// Close ends the watcher; C receives nothing any more.
func (w *Watcher) Close() {
	w.close()
	w.watching.Wait()
}

// follow watches until the watcher is closed.
func (w *Watcher) follow() {
	v := &view{files: map[string]fs.FileInfo{}, folders: map[string]fs.FileInfo{}}
	var events chan fsnotify.Event
	var failures chan error
	if notify, err := fsnotify.NewWatcher(); err == nil { // without, which a user who has too many gets, the looks must do
		defer notify.Close()
		v.notify, events, failures = notify, notify.Events, notify.Errors
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case files := <-w.wanted:
			if v.want(files) {
				w.changed()
			}
		case e := <-events:
			if _, ours := v.files[filepath.Clean(e.Name)]; !ours { // but it may be a link on the way to one of them
				if !v.astir {
					v.astir = true
					next.Reset(hurried)
				}
				continue
			}
			w.changed()
		case err := <-failures:
			if err != nil { // events are lost
				w.changed()
			}
		case <-next.C:
		}
		if v.look() {
			w.changed()
		}
		next.Reset(v.patience())
	}
}

// A view is what follow has seen of the files and their folders; nil is one that is missing.
type view struct {
	notify         *fsnotify.Watcher // of the folders; nil if there can be none
	files, folders map[string]fs.FileInfo
	incomplete     bool // a file or folder is missing
	astir          bool // something in a folder has changed since the last look
}

// patience returns how long the next look may wait if nothing happens.
func (v *view) patience() time.Duration {
	if v.incomplete {
		return hurried
	}
	return look
}

// want makes the files those that are looked at, and reports whether there are new ones among them.
func (v *view) want(files Files) (more bool) {
	seen, folders := v.files, map[string]bool{}
	v.files = make(map[string]fs.FileInfo, len(files))
	for path := range files {
		path = filepath.Clean(path)
		info, known := seen[path]
		v.files[path], more = info, more || !known
		folders[filepath.Dir(path)] = true
	}
	for folder := range v.folders {
		if !folders[folder] {
			v.leave(folder)
			delete(v.folders, folder)
		}
	}
	for folder := range folders {
		if _, known := v.folders[folder]; !known {
			v.folders[folder] = nil
		}
	}
	return more
}

// look looks at everything, and reports whether a file has changed since the last look. It sees to the folders first: what
// happens in a new one after it was looked at is an event.
func (v *view) look() (changed bool) {
	v.incomplete, v.astir = false, false
	for folder, seen := range v.folders {
		now, _ := os.Stat(folder)
		if seen == nil || now == nil || !os.SameFile(seen, now) {
			v.leave(folder)
			v.folders[folder] = v.enter(folder, now)
		}
		v.incomplete = v.incomplete || now == nil
	}
	for path, seen := range v.files {
		now, _ := os.Stat(path)
		changed = changed || !same(seen, now)
		v.files[path], v.incomplete = now, v.incomplete || now == nil
	}
	return changed
}

// enter lets the kernel tell of what happens in a folder, and returns what is to be kept of it: nil if it cannot, and must try again.
func (v *view) enter(folder string, now fs.FileInfo) fs.FileInfo {
	if now == nil || v.notify != nil && v.notify.Add(folder) != nil {
		return nil
	}
	return now
}

func (v *view) leave(folder string) {
	if v.notify != nil {
		_ = v.notify.Remove(folder) // which fails only if it is not watched, or gone
	}
}

// same reports whether a file is still the one that was seen, unchanged; nil is a missing file.
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

// collect passes changes on to c when they have ended.
func (w *Watcher) collect(c chan<- struct{}) {
	for {
		select {
		case <-w.tell:
		case <-w.ctx.Done():
			return
		}
		w.debounce()
		select {
		case c <- struct{}{}:
		default: // the last one has not been heard yet
		}
	}
}

// debounce returns when nothing has changed for quiet, or longest has passed.
func (w *Watcher) debounce() {
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
