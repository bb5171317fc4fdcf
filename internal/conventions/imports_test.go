package conventions

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/berrygate/berry/"

// allowed lists the packages of this module that each package may import, except in tests. A key that ends in /... matches the folder and all
// folders below it.
var allowed = map[string][]string{
	"":                        {"internal/cli"},
	"internal/cli":            {"config", "core/gateway", "core/provider", "core/server", "core/telemetry", "internal/demo", "plugins", "strategies"},
	"sdk":                     {"sdk/abi"},
	"sdk/abi":                 {},
	"config":                  {},
	"core/apierror":           {},
	"core/jsonx":              {},
	"core/othermodels":        {},
	"core/fairsem":            {},
	"core/api":                {"core/api/capture", "core/provider/adapter"},
	"core/api/capture":        {},
	"core/api/openai":         {"core/api", "core/api/capture", "core/provider/adapter"},
	"core/api/responses":      {"core/api", "core/api/capture", "core/api/openai", "core/provider/adapter", "core/route", "core/upstream"},
	"core/api/anthropic":      {"core/api", "core/api/capture", "core/api/openai", "core/messages", "core/provider/adapter"},
	"core/api/realtime":       {"core/route", "sdk/abi"},
	"core/api/endpoints":      {"core", "core/api", "core/api/anthropic", "core/api/openai", "core/api/responses"},
	"core/body":               {"core/contentcoding", "core/multipartscan", "core/provider/adapter", "sdk/abi"},
	"core/contentcoding":      {},
	"core/sse":                {},
	"core/telemetry/semconv":  {},
	"core/telemetry/spans":    {},
	"core/decisionlog":        {"core", "sdk/abi"},
	"core/telemetry":          {"core/telemetry/semconv", "core/telemetry/spans"},
	"core/upstream":           {"sdk/abi"},
	"core/failurelimit":       {},
	"core/multipartscan":      {},
	"core/responseid":         {},
	"core":                    {"core/api", "core/body", "core/contentcoding", "core/multipartscan", "core/provider/adapter", "core/responseid", "core/telemetry/semconv", "core/telemetry/spans", "core/upstream", "sdk/abi"},
	"core/route":              {"core", "core/provider/adapter", "core/telemetry/semconv", "core/telemetry/spans", "core/upstream", "sdk/abi"},
	"core/wasm":               {"core", "core/wasm/fuel", "sdk/abi"},
	"core/wasm/fuel":          {},
	"core/gateway":            {"config", "core", "core/decisionlog", "core/provider", "core/provider/adapter", "core/responseid", "core/route", "core/telemetry/semconv", "core/telemetry/spans", "core/upstream", "core/wasm"},
	"core/wsproxy":            {},
	"core/messages":           {"core/provider/anthropic", "core/provider/chat", "core/provider/adapter", "core/provider/strictjson"},
	"core/server":             {"config", "core", "core/api", "core/api/endpoints", "core/failurelimit", "core/gateway", "core/messages", "core/telemetry/semconv", "core/telemetry/spans"},
	"plugins/auth":            {"core", "core/failurelimit"},
	"plugins/permission":      {"core"},
	"plugins/selector":        {"core", "core/route", "sdk/abi"},
	"plugins/relay":           {"core", "core/api", "core/api/capture", "core/api/openai", "core/api/realtime", "core/api/responses", "core/contentcoding", "core/messages", "core/provider/adapter", "core/route", "core/sse", "core/telemetry/semconv", "core/telemetry/spans", "core/upstream", "core/wsproxy", "sdk/abi"},
	"plugins/metrics":         {"core", "core/api", "core/telemetry/semconv", "sdk/abi"},
	"plugins":                 {"config", "core", "core/gateway", "plugins/auth", "plugins/metrics", "plugins/permission", "plugins/relay", "plugins/selector"},
	"strategies":              {},
	"strategies/...":          {"sdk"},
	"examples/cheapest":       {"sdk"},
	"examples/jaeger":         {},
	"internal/fakeprovider":   {},
	"internal/e2e":            {},
	"internal/conventions":    {},
	"internal/gatewaybench":   {},
	"internal/guesttest":      {},
	"internal/connectiontest": {},
	"internal/complexitytest": {},
	"internal/readmetest":     {},
	"internal/otlptest":       {},
	"internal/gatewaytest":    {"config", "core", "core/gateway", "core/provider", "core/server", "core/telemetry", "plugins", "strategies"},
	"internal/demo":           {"internal/fakeprovider"},

	"core/provider":              {"core/provider/anthropic", "core/provider/azure", "core/provider/adapter", "core/provider/gemini", "core/provider/openai"},
	"core/provider/adapter":      {},
	"core/provider/strictjson":   {"core/provider/adapter"},
	"core/provider/chat":         {"core/provider/adapter", "core/provider/strictjson"},
	"core/provider/openai":       {"core/provider/adapter"},
	"core/provider/azure":        {"core/provider/adapter"},
	"core/provider/anthropic":    {"core/provider/chat", "core/provider/adapter"},
	"core/provider/gemini":       {"core/provider/chat", "core/provider/adapter"},
	"core/provider/providertest": {"core/provider/adapter", "core/sse", "internal/complexitytest"}, // for tests
}

// helpers are packages that every package of core and plugins may import. Of this module they import only each other.
var helpers = []string{"core/apierror", "core/jsonx", "core/othermodels", "core/sse", "core/fairsem"}

// listed returns the imports of every package of the module, by its path below the module.
func listed(t *testing.T) map[string][]string {
	t.Helper()
	c := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...")
	c.Dir = "../.."
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	packages := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		packages[strings.TrimPrefix(fields[0]+"/", module)] = fields[1:]
	}
	return packages
}

// Packages import only the packages that allowed lists. A new import is a design decision: list it there, or move the code.
func TestImports(t *testing.T) {
	for pkg, imports := range listed(t) {
		pkg = strings.TrimSuffix(pkg, "/")
		may, known := allowed[pkg]
		if folder, _, below := strings.Cut(pkg, "/"); !known && below {
			may, known = allowed[folder+"/..."]
		}
		if !known {
			t.Errorf("%s has no entry in allowed", pkg)
		}
		for _, i := range imports {
			own, ok := strings.CutPrefix(i, module)
			helper := slices.Contains(helpers, own) && (strings.HasPrefix(pkg+"/", "core/") || strings.HasPrefix(pkg, "plugins/"))
			if ok && !helper && !slices.Contains(may, own) {
				t.Errorf("%s imports %s, which allowed does not list", pkg, own)
			}
			if strings.HasPrefix(pkg, "sdk") && strings.Contains(strings.Split(i, "/")[0], ".") && !strings.HasPrefix(i, module) {
				t.Errorf("%s imports %s, but guests may link only the standard library", pkg, i)
			}
		}
	}
}
