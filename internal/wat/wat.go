// Package wat compiles tests' guests from WebAssembly's text format.
package wat

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Compile returns the module that the text describes. It needs wabt's wat2wasm, which make installs where it can. flags are
// wat2wasm's, such as --no-check.
func Compile(tb testing.TB, text string, flags ...string) []byte {
	tb.Helper()
	dir := tb.TempDir()
	in, out := filepath.Join(dir, "guest.wat"), filepath.Join(dir, "guest.wasm")
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	args := append([]string{in, "-o", out, "--debug-names", "--enable-tail-call", "--enable-extended-const"}, flags...)
	if said, err := exec.CommandContext(tb.Context(), "wat2wasm", args...).CombinedOutput(); err != nil {
		tb.Fatalf("wat2wasm, of the package wabt: %v\n%s", err, said)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		tb.Fatal(err)
	}
	return module
}
