// Package guesttest compiles guests for tests.
package guesttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Go compiles the package in the folder as a guest with the standard Go toolchain and returns the module.
func Go(tb testing.TB, folder string) []byte {
	tb.Helper()
	out := filepath.Join(tb.TempDir(), "guest.wasm")
	c := exec.CommandContext(tb.Context(), "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, folder)
	c.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if output, err := c.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, output)
	}
	return read(tb, out)
}

// Text assembles a module from WebAssembly's text format. It needs wabt's wat2wasm, which make installs if possible. The flags, such as
// --no-check, are passed to wat2wasm.
func Text(tb testing.TB, text string, flags ...string) []byte {
	tb.Helper()
	dir := tb.TempDir()
	in, out := filepath.Join(dir, "guest.wat"), filepath.Join(dir, "guest.wasm")
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	args := append([]string{in, "-o", out, "--debug-names", "--enable-tail-call", "--enable-extended-const"}, flags...)
	if output, err := exec.CommandContext(tb.Context(), "wat2wasm", args...).CombinedOutput(); err != nil {
		tb.Fatalf("wat2wasm, of the package wabt: %v\n%s", err, output)
	}
	return read(tb, out)
}

func read(tb testing.TB, file string) []byte {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
