package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// await waits until the watcher has told of a change after which the file holds the text.
func await(t *testing.T, w *Watcher, file, text string) {
	t.Helper()
	patience := time.After(20 * time.Second)
	for {
		if b, err := os.ReadFile(file); err == nil && string(b) == text {
			return
		}
		select {
		case <-w.C:
		case <-patience:
			t.Fatalf("nobody told that %s is %q now", file, text)
		}
	}
}

// told waits until the watcher has told of a change.
func told(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.C:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody told of a change")
	}
}

// watch returns a watcher of the file that has told all it had to tell so far.
func watch(t *testing.T, file string) *Watcher {
	t.Helper()
	w := NewWatcher()
	t.Cleanup(w.Close)
	w.Watch(Files{file: ""})
	<-w.C // that it looks at a new file
	return w
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// However a file gets its new content, the watcher tells; and it does so again the next time.
func TestWatcher(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, file, text string){
		"written in place": put,
		"renamed over": func(t *testing.T, file, text string) {
			put(t, file+".new", text)
			must(t, os.Rename(file+".new", file))
		},
		"renamed away first, as some editors do": func(t *testing.T, file, text string) {
			must(t, os.Rename(file, file+"~"))
			put(t, file, text)
		},
		"missing for two seconds": func(t *testing.T, file, text string) {
			must(t, os.Remove(file))
			time.Sleep(2 * time.Second)
			put(t, file, text)
		},
		"its folder exchanged": func(t *testing.T, file, text string) {
			folder := filepath.Dir(file)
			must(t, os.Rename(folder, folder+text))
			must(t, os.Mkdir(folder, 0o700))
			put(t, file, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "etc")
			must(t, os.Mkdir(folder, 0o700))
			file := filepath.Join(folder, "config.toml")
			put(t, file, "one")
			w := watch(t, file)
			for _, text := range []string{"two", "three"} {
				change(t, file, text)
				await(t, w, file, text)
			}
		})
	}
}

// Kubernetes mounts a ConfigMap as links to ..data, itself a link that is exchanged whole; deployments exchange a link
// somewhere above the file.
func TestWatcherFollowsLinks(t *testing.T) {
	for name, link := range map[string]string{"Kubernetes": "..data", "a folder above": "current"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			point := func(version string) {
				must(t, os.Mkdir(filepath.Join(folder, version), 0o700))
				put(t, filepath.Join(folder, version, "config.toml"), version)
				must(t, os.Symlink(version, filepath.Join(folder, "tmp")))
				must(t, os.Rename(filepath.Join(folder, "tmp"), filepath.Join(folder, link)))
			}
			point("v1")
			file := filepath.Join(folder, link, "config.toml")
			if link == "..data" {
				file = filepath.Join(folder, "config.toml")
				must(t, os.Symlink("..data/config.toml", file))
			}
			w := watch(t, file)
			for _, version := range []string{"v2", "v3"} {
				point(version)
				await(t, w, file, version)
			}
		})
	}
}

// A file that changes all the time is told of about once a second, not each time.
func TestWatcherGathers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	put(t, file, "")
	w := watch(t, file)
	told, stop := 0, time.After(2500*time.Millisecond)
	text := ""
	for {
		select {
		case <-w.C:
			told++
			continue
		case <-time.After(10 * time.Millisecond):
			text += "x"
			put(t, file, text)
			continue
		case <-stop:
		}
		break
	}
	await(t, w, file, text)
	if told < 1 || told > 10 {
		t.Errorf("told %d times", told)
	}
}

// However many files there are, they take one of the few inotify instances that a user has, and every one of them is watched.
func TestWatcherTakesOneInstance(t *testing.T) {
	folder, files := t.TempDir(), Files{}
	name := func(i int) string { return filepath.Join(folder, fmt.Sprint("in", i%3), fmt.Sprintf("key%d", i)) }
	for i := range 200 {
		must(t, os.MkdirAll(filepath.Dir(name(i)), 0o700))
		put(t, name(i), "one")
		files[name(i)] = ""
	}
	w := NewWatcher()
	t.Cleanup(w.Close)
	w.Watch(files)
	<-w.C
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc to count open files in")
	}
	instances := 0
	for _, f := range open {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && to == "anon_inode:inotify" {
			instances++
		}
	}
	if instances != 1 {
		t.Errorf("%d inotify instances, want 1", instances)
	}
	put(t, name(199), "two")
	await(t, w, name(199), "two")
}

// A folder that is missing, and one without any of the files that are wanted in it, are watched all the same.
func TestWatcherWaitsForFolders(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "etc")
	file := filepath.Join(folder, "berry", "config.toml")
	w := watch(t, file)
	for range 2 {
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		time.Sleep(300 * time.Millisecond)
		put(t, file, "one")
		told(t, w)
		must(t, os.RemoveAll(folder))
		told(t, w)
	}
}

// Other files in a watched folder that change all the time, such as logs, neither count as changes nor hide one behind a link.
func TestWatcherInBusyFolder(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "config.toml")
	for _, text := range []string{"one", "two"} {
		put(t, filepath.Join(folder, text), text)
	}
	must(t, os.Symlink("one", file))
	w := watch(t, file)
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	defer busy.Wait()
	defer stop()
	busy.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_ = os.WriteFile(filepath.Join(folder, "log"), fmt.Append(nil, i), 0o600)
			time.Sleep(5 * time.Millisecond)
		}
	})
	select {
	case <-w.C:
		t.Error("it tells of another file")
	case <-time.After(1500 * time.Millisecond):
	}
	must(t, os.Symlink("two", file+".new"))
	must(t, os.Rename(file+".new", file))
	await(t, w, file, "two")
}

func TestWatcherForgets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	put(t, file, "one")
	w := watch(t, file)
	w.Watch(Files{})
	time.Sleep(time.Second) // what was on its way may still be told
	select {
	case <-w.C:
	default:
	}
	put(t, file, "two")
	select {
	case <-w.C:
		t.Error("it tells of a file that it should not watch any more")
	case <-time.After(time.Second):
	}
}
