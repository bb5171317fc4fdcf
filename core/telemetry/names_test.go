package telemetry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const conventions = "go.opentelemetry.io/otel/semconv/v1.41.0"

// conventional returns what the semantic conventions name: attributes by their identifiers in Go, and the names of the GenAI
// conventions' metrics.
func conventional(t *testing.T) (attributes map[string]string, metrics []string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", conventions).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	b, err := os.ReadFile(filepath.Join(dir, "attribute_group.go"))
	if err != nil {
		t.Fatal(err)
	}
	attributes = map[string]string{"ExceptionEventName": "exception"}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\w+)\s+= attribute\.Key\("([^"]+)"\)`).FindAllStringSubmatch(string(b), -1) {
		attributes[m[1]] = m[2]
	}
	if b, err = os.ReadFile(filepath.Join(dir, "genaiconv", "metric.go")); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`return "(gen_ai\.[^"]+)"`).FindAllStringSubmatch(string(b), -1) {
		metrics = append(metrics, m[1])
	}
	if len(attributes) < 100 || len(metrics) == 0 {
		t.Fatal("the conventions could not be read")
	}
	return attributes, metrics
}

// constants returns the values of the constants in names.go, by their identifiers.
func constants(t *testing.T, attributes map[string]string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "semconv/semconv.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := spec.Names[0].Name
		switch v := spec.Values[0].(type) {
		case *ast.BasicLit:
			values[name], err = strconv.Unquote(v.Value)
		case *ast.SelectorExpr:
			values[name] = attributes[v.Sel.Name]
		}
		if err != nil || values[name] == "" {
			t.Errorf("%s has no value", name)
		}
		return true
	})
	return values
}

// documented returns what stands in backquotes in the given column of the tables whose first heading is given.
func documented(t *testing.T, heading string, column int) []string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	in := false
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			in = false
			continue
		}
		if strings.TrimSpace(cells[1]) == heading {
			in = true
			continue
		}
		if in {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[column], -1) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// Every name in semconv.go is in the README's tables, and the other way round; what is not Berry's own is the conventions'.
func TestNamesAreDocumented(t *testing.T) {
	attributes, metrics := conventional(t)
	written := slices.Concat(documented(t, "attribute", 1), documented(t, "metric", 1), documented(t, "metric", 4),
		documented(t, "event", 1), documented(t, "span", 1))
	values := constants(t, attributes)
	for name, value := range values {
		if !slices.Contains(written, value) {
			t.Errorf("the README does not have %s, %q", name, value)
		}
		switch {
		case strings.HasPrefix(value, "berry.") || strings.HasPrefix(name, "Label") || strings.HasPrefix(name, "Span"):
		case strings.HasPrefix(name, "Metric"):
			if !slices.Contains(metrics, value) {
				t.Errorf("%s, %q, is no metric of the conventions", name, value)
			}
		case !slices.Contains(slices.Collect(maps.Values(attributes)), value):
			t.Errorf("%s, %q, is no name of the conventions", name, value)
		}
	}
	known := slices.Collect(maps.Values(values))
	known = append(known, "auth", "permission", "relay", "metrics", "POST /v1/…", "chat MODEL", "text_completion MODEL", "embeddings MODEL")
	for _, w := range written {
		if !slices.Contains(known, w) {
			t.Errorf("the README has %q, and names.go has not", w)
		}
	}
}

// Names are written in names.go alone.
func TestNamesAreInOnePlace(t *testing.T) {
	literal := regexp.MustCompile(`"(berry|gen_ai)\.[a-z_]+[."]`)
	for _, dir := range []string{"../..", "../../core/*", "../../plugins/*"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if m := literal.FindString(string(b)); m != "" && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s writes %s by itself", file, m)
			}
		}
	}
}
