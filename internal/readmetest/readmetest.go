// Package readmetest checks generated tables in Markdown documents.
package readmetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Table fails the test unless the file contains the table between the comments with the name and "end". With BERRY_UPDATE=1 in the
// environment it updates the file instead.
func Table(t *testing.T, file, name, want string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end -->"
	before, rest, begun := strings.Cut(string(b), begin)
	have, after, ended := strings.Cut(rest, end)
	switch {
	case !begun || !ended:
		t.Fatalf("%s has no table of %s", file, name)
	case have == want:
	case os.Getenv("BERRY_UPDATE") != "":
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s: got table\n%s\nwant\n%s\nSet BERRY_UPDATE=1 to update it.", file, have, want)
	}
}
