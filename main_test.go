package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berry": main})
}

// The scripts in testdata/script show the command as an operator sees it.
func TestScripts(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := filepath.Abs("config")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CACHE_HOME", cache)
			e.Setenv("CONFIG", shipped)
			return os.WriteFile(filepath.Join(e.WorkDir, "bare.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600) // an empty module
		},
	})
}
