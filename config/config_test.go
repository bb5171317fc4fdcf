package config

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// known is what the gateway passes in.
var known = Registry{
	Types:      []string{"openai"},
	Stages:     []string{"auth", "permission", "select", "relay", "metrics"},
	Optional:   []string{"auth", "permission"},
	Anywhere:   []string{"metrics"},
	Strategies: []string{"weighted_random", "round_robin", "least_latency", "failover", "random"},
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// lines returns the problems of a file as Load reports them.
func lines(err error) []string {
	var e *Error
	if !errors.As(err, &e) {
		return []string{fmt.Sprint(err)}
	}
	var out []string
	for _, p := range e.Problems {
		p.File, p.Line = "", 0 // places are TestBrokenFiles's
		out = append(out, p.String())
	}
	return out
}

// base is a valid file to which a test adds its mistake.
const base = `
[users.alice]
token = "berry-alice-0123456789"
[providers.openai-main]
base_url = "https://api.openai.com/v1"
models = ["gpt-4"]
[models.smart]
strategy = "failover"
[[models.smart.backends]]
provider = "openai-main"
model = "gpt-4"
`

func TestShippedFilesLoad(t *testing.T) {
	for _, file := range []string{"config_example.toml", "config_simple.toml", "config_resilient.toml", "test_config.toml", "testdata/specification.toml"} {
		l := Load(file, []string{"OPENAI_API_KEY=sk-x"}, known)
		if l.Err != nil {
			t.Errorf("%s: %v", file, l.Err)
		}
	}
}

func TestSpecificationsMeaning(t *testing.T) {
	l := Load("testdata/specification.toml", nil, known)
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	c := l.Config
	u, p, m := c.Users["user1"], c.Providers["openai-main"], c.Models["gpt_4"]
	for _, f := range []struct {
		what      string
		got, want any
	}{
		{"interval", c.Settings.HealthCheckIntervalSeconds, 30},
		{"threshold, a default", c.Settings.FailureThreshold, 5},
		{"listen, a default", c.Server.Listen, ":3000"},
		{"user1's token", u.Token.Reveal(), "berry-user-789012"},
		{"user1's models", strings.Join(u.AllowedModels, " "), "gpt-3.5-turbo fast-model"},
		{"admin's models", len(c.Users["admin"].AllowedModels), 0},
		{"provider's type, a default", p.Type, "openai"},
		{"provider's key", p.APIKey.Reveal(), "sk-your-openai-key-here"},
		{"model's name", m.Name, "gpt-4"},
		{"backend's weight", m.Backends[0].Weight, 1.0},
		{"backend's priority", m.Backends[0].Priority, int32(1)},
	} {
		if f.got != f.want {
			t.Errorf("%s is %v, want %v", f.what, f.got, f.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	l := Load(write(t, base), nil, known)
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	b := l.Config.Models["smart"].Backends[0]
	if !b.Enabled || b.Weight != 1 || b.Priority != 0 || l.Config.Models["smart"].Name != "smart" || !l.Config.Users["alice"].Enabled {
		t.Errorf("backend %+v of model %+v", b, l.Config.Models["smart"])
	}
}

// Every mistake has its path and says what to do. One mistake is one line.
func TestMistakes(t *testing.T) {
	for name, test := range map[string]struct{ add, want string }{
		"unknown section":     {"[setings]\n", `setings: no key "setings"; did you mean "settings"?`},
		"unknown key":         {"[settings]\nmax_retires = 3\n", `settings.max_retires: no key "max_retires"; did you mean "max_retries"?`},
		"case matters":        {"[settings]\nMAX_RETRIES = 3\n", `settings.MAX_RETRIES: no key "MAX_RETRIES"; did you mean "max_retries"?`},
		"fraction for int":    {"[settings]\nmax_retries = 2.7\n", `settings.max_retries: must be a whole number, not a fraction`},
		"string for int":      {"[settings]\nmax_retries = \"3\"\n", `settings.max_retries: must be a whole number, not a string`},
		"number for secret":   {"[users.bob]\ntoken = 123456\n", `users.bob.token: must be a string in quotes, not a whole number`},
		"text for list":       {"[users.bob]\ntoken = \"0123456789abcdef\"\ntags = \"a\"\n", `users.bob.tags: must be a list in brackets, not a string`},
		"table for string":    {"[server.listen]\nx = 1\n", `server.listen: must be a string in quotes, not a table`},
		"priority too large":  {"[models.b]\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\npriority = 3000000000\n", `models.b.backends, 1st entry, priority: 3000000000 is out of range`},
		"all and some":        {"[users.bob]\ntoken = \"berry-bob-0123456789\"\nallow_all_models = true\nallowed_models = [\"smart\"]\n", `users.bob.allow_all_models: it is true, but allowed_models names some only; delete one of them`},
		"neither":             {"[users.bob]\ntoken = \"berry-bob-0123456789\"\nallow_all_models = false\n", `users.bob.allow_all_models: it is false, but allowed_models is empty, which means all; name some, or set enabled = false`},
		"small events":        {"[server]\nmax_event_bytes = 65535\n", `server.max_event_bytes: it is 65535; it must be at least 65536`},
		"negative retries":    {"[settings]\nmax_retries = -1\n", `settings.max_retries: it is -1; it must be at least 0`},
		"no token":            {"[users.bob]\n", `users.bob.token: it is missing; set token, or token_sha256 to its SHA-256`},
		"files nowhere":       {"[users.bob]\ntoken = \"berry-bob-0123456789\"\nfiles_provider = \"opnai\"\n", `users.bob.files_provider: no provider "opnai"; there is openai-main`},
		"same token":          {"[users.bob]\ntoken = \"berry-alice-0123456789\"\n", `users.bob.token: user "alice" has the same token; each user needs one of its own`},
		"unknown provider":    {"[models.b]\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"opnai-main\"\nmodel = \"gpt-4\"\n", `models.b.backends, 1st entry, provider: no provider "opnai-main"; did you mean "openai-main"?`},
		"model not offered":   {"[models.b]\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-5\"\n", `models.b.backends, 1st entry, model: no model in providers.openai-main.models that reads "gpt-5"; did you mean "gpt-4"?`},
		"same upstream twice": {"[[models.smart.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.smart.backends, 2nd entry: provider "openai-main" with model "gpt-4" stands in this model twice; add up their weights in one`},
		"unknown strategy":    {"[models.b]\nstrategy = \"round_robbin\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.b.strategy: no strategy "round_robbin"; did you mean "round_robin"?`},
		"no strategy":         {"[models.b]\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.b.strategy: it is missing; choose one of weighted_random, round_robin, least_latency, failover, random`},
		"no backends":         {"[models.b]\nstrategy = \"random\"\n", `models.b.backends: there is none; add [[models.b.backends]] with provider and model`},
		"same name":           {"[models.b]\nname = \"smart\"\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.smart.name: models.b has the name "smart" too; clients could not tell them apart`},
		"dotted key":          {"[models.\"gpt-3.5\"]\nstrategy = \"nix\"\n[[models.\"gpt-3.5\".backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models."gpt-3.5".strategy: no strategy "nix"; there is failover, least_latency, random, round_robin, weighted_random`},
		"unknown type":        {"[providers.b]\nbase_url = \"http://h\"\ntype = \"opneai\"\n", `providers.b.type: no type "opneai"; did you mean "openai"?`},
		"no URL":              {"[providers.b]\nbase_url = \"api.openai.com\"\n", `providers.b.base_url: it is no URL; write https://host/path, such as https://api.openai.com/v1`},
		"password in URL":     {"[providers.b]\nbase_url = \"http://u:secret@h/v1\"\n", `providers.b.base_url: it holds a user name or password; put the key into api_key`},
		"key file missing":    {"[providers.b]\nbase_url = \"http://h\"\napi_key_file = \"/nowhere\"\n", `providers.b.api_key_file: open /nowhere: no such file or directory`},
		"unset variable":      {"[providers.b]\nbase_url = \"http://h\"\napi_key = \"${NOT_SET}\"\n", `providers.b.api_key: the environment has no NOT_SET; set it, or write $${NOT_SET} to mean the text itself`},
		"unknown level":       {"[telemetry]\nlog_level = \"inof\"\n", `telemetry.log_level: no level "inof"; did you mean "info"?`},
		"ratio above 1":       {"[telemetry]\nlog_sample_ratio = 1.5\n", `telemetry.log_sample_ratio: it must be from 0 to 1`},
		"too many decisions":  {"[telemetry]\ndecisions = 1000000\n", `telemetry.decisions: it is 1000000; it must be from 0 to 100000`},
		"unknown shadow":      {"[models.b]\nstrategy = \"random\"\nshadow = \"radnom\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.b.shadow: no strategy "radnom"; did you mean "random"?`},
		"stage order":         {"[pipeline]\nplugins = [\"permission\", \"auth\", \"select\", \"relay\", \"metrics\"]\n", `pipeline.plugins: "auth" must stand before "permission"; the order is auth, permission, select, relay, metrics`},
		"stage missing":       {"[pipeline]\nplugins = [\"auth\", \"permission\", \"select\", \"metrics\"]\n", `pipeline.plugins: "relay" is missing; only auth, permission may be left out`},
		"metrics missing":     {"[pipeline]\nplugins = [\"auth\", \"permission\", \"select\", \"relay\"]\n", `pipeline.plugins: "metrics" is missing; only auth, permission may be left out`},
		"token with a space":  {"[users.bob]\ntoken = \"berry bob 0123456789\"\n", `users.bob.token: its 6th character is a space, which no bearer token can hold`},
		"no such module":      {"[strategies.a]\npath = \"/nowhere.wasm\"\n", `strategies.a.path: open /nowhere.wasm: no such file or directory`},
		"no certificate":      {"[server]\ntls_cert = \"/nowhere.pem\"\ntls_key = \"config.toml\"\n", `server.tls_cert: open /nowhere.pem: no such file or directory`},
		"CA missing":          {"[providers.b]\nbase_url = \"https://h\"\nca_file = \"/nowhere.pem\"\n", `providers.b.ca_file: open /nowhere.pem: no such file or directory`},
		"CA without any":      {"[providers.b]\nbase_url = \"https://h\"\nca_file = \"/dev/null\"\n", `providers.b.ca_file: /dev/null holds no certificate in PEM`},
		"pin":                 {"[strategies.a]\npath = \"/dev/null\"\nsha256 = \"0\"\n", `strategies.a.sha256: it must be 64 hexadecimal digits, as sha256sum prints them`},
		"same token's digest": {"[users.bob]\ntoken = \"berry-bob-0123456789\"\ntoken_sha256 = \"" + fmt.Sprintf("%x", sha256.Sum256([]byte("berry-alice-0123456789"))) + "\"\n", `users.bob.token: user "alice" has the same token; each user needs one of its own`},
		"number too large":    {"[users.bob]\ntoken = 12345678901234567890123\n", `the number is too large; if it is a text, put it into quotes`},
		"unknown stage":       {"[pipeline]\nplugins = [\"metrics\", \"auth\", \"permission\", \"select\", \"relay\", \"metric\"]\n", `pipeline.plugins, 6th entry: no stage "metric"; did you mean "metrics"?`},
		"built-in's name":     {"[strategies.random]\npath = \"config.toml\"\n", `strategies.random: a strategy of this name is built in; choose another name`},
		"own fallback":        {"[strategies.a]\npath = \"config.toml\"\nfallback = \"a\"\n", `strategies.a.fallback: a strategy cannot be its own fallback`},
		"too much fuel":       {"[strategies.a]\npath = \"config.toml\"\nfuel = 5000001\n", `strategies.a.fuel: it is 5000001; it must be from 1 to 5000000`},
		"address":             {"[server]\nlisten = \"3000\"\n", `server.listen: "3000" is no address; write host:port, such as 127.0.0.1:3000, :3000 for every interface, or unix:/path for a socket`},
		"no socket":           {"[server]\nlisten = \"unix:\"\n", `server.listen: "unix:" names no socket; write unix:/path`},
		"provider's socket":   {"[providers.b]\nbase_url = \"unix:vllm.sock\"\n", `providers.b.base_url: it names no socket; write unix:/path/to/socket:/v1`},
		"proxy's address":     {"[auth]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\", \"proxy.example\"]\n", `auth.trusted_proxies, 3rd entry: "proxy.example" is no address; write one, or a network such as 10.0.0.0/8`},
		"stream recovery":     {"[models.b]\nstrategy = \"random\"\nstream_recovery = \"restrat\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.b.stream_recovery: no choice "restrat"; did you mean "restart"?`},
		"response model":      {"[models.b]\nstrategy = \"random\"\nresponse_model = \"clients\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", `models.b.response_model: no choice "clients"; did you mean "client"?`},
		"half of TLS":         {"[server]\ntls_cert = \"x\"\n", `server: tls_cert and tls_key belong together; one is missing`},
		"infinite weight":     {"[models.b]\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\nweight = inf\n", `models.b.backends, 1st entry, weight: it is +Inf; it must be a number from 0 to 1e+12`},
		"no TOML":             {"[users\n", `the header of a table ends with ]`},
	} {
		t.Run(name, func(t *testing.T) {
			got := lines(Load(write(t, base+test.add), nil, known).Err)
			if !slices.Contains(got, test.want) || len(got) != 1 {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), test.want)
			}
		})
	}
}

func TestTenMistakesAreTenErrors(t *testing.T) {
	l := Load("testdata/ten_mistakes.toml", nil, known)
	if got := lines(l.Err); len(got) != 10 {
		t.Errorf("%d errors:\n%s", len(got), strings.Join(got, "\n"))
	}
	if l.Config != nil {
		t.Error("a file with errors gave a Config")
	}
}

func TestUnreadableFiles(t *testing.T) {
	folder := t.TempDir()
	for name, test := range map[string]struct{ file, want string }{
		"missing":   {filepath.Join(folder, "none.toml"), "write one (config/config_simple.toml is a start)"},
		"directory": {folder, "is a directory; name the file in it"},
		"empty":     {write(t, " \n"), "is empty; config/config_simple.toml is a start"},
	} {
		if err := Load(test.file, nil, known).Err; err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	file := write(t, base+"[users.bob]\ntoken = \"short\"\nallowed_models = [\"none\"]\n[pipeline]\nplugins = [\"auth\", \"metrics\", \"select\", \"relay\"]\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	l := Load(file, nil, known)
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	all := fmt.Sprint(l.Warnings)
	for _, want := range []string{"chmod 600", `"permission" is left out`, `users.bob.allowed_models, 1st entry: no model has the name "none"`, "users.bob.token: it is shorter"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in %v", want, l.Warnings)
		}
	}
}

func TestEnvironment(t *testing.T) {
	file := write(t, strings.Replace(base, `"failover"`, `"${STRATEGY}"`, 1)+"[providers.b]\nbase_url = \"http://h\"\napi_key = \"$${RAW}-${KEY}\"\n")
	l := Load(file, []string{
		"STRATEGY=random", "KEY=sk-1", "BERRY_SETTINGS__MAX_RETRIES=7", "BERRY_SERVER__DEBUG_HEADERS=true",
		"BERRY_PROVIDERS__OPENAI_MAIN__API_KEY=sk-2", "BERRY_TELEMETRY__SAMPLE_RATIO=0.5", "BERRY_USERS__ALICE__TAGS=a, b", "BERRY_HOME=/x",
	}, known)
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	c := l.Config
	if c.Models["smart"].Strategy != "random" || c.Providers["b"].APIKey.Reveal() != "${RAW}-sk-1" || c.Settings.MaxRetries != 7 ||
		!c.Server.DebugHeaders || c.Providers["openai-main"].APIKey.Reveal() != "sk-2" || *c.Telemetry.SampleRatio != 0.5 ||
		!slices.Equal(c.Users["alice"].Tags, []string{"a", "b"}) {
		t.Errorf("overrides did not arrive: %+v %+v", c.Settings, c.Providers["openai-main"])
	}
	for variable, want := range map[string]string{
		"BERRY_SETTINGS__MAX_RETRIES=many":                 "environment variable BERRY_SETTINGS__MAX_RETRIES: settings.max_retries: must be a whole number",
		"BERRY_SETTINGS__MAX_RETIRES=1":                    `environment variable BERRY_SETTINGS__MAX_RETIRES: settings.max_retires: no key "max_retires"; did you mean "max_retries"?`,
		"BERRY_USERS__ALICE__TOKEN=":                       "environment variable BERRY_USERS__ALICE__TOKEN: users.alice.token: the variable is empty; set it, or unset it to leave the key as it is in the file",
		"BERRY_USERS__ALICE__TOKEN=\n":                     "environment variable BERRY_USERS__ALICE__TOKEN: users.alice.token: the variable is empty; set it, or unset it to leave the key as it is in the file",
		"BERRY_SERVER__ADMIN_TOKEN=":                       "environment variable BERRY_SERVER__ADMIN_TOKEN: server.admin_token: the variable is empty; set it, or unset it to leave the key as it is in the file",
		"BERRY_USERS__ALICE__ALLOWED_MODELS=":              "environment variable BERRY_USERS__ALICE__ALLOWED_MODELS: users.alice.allowed_models: the variable is empty; set it, or unset it to leave the key as it is in the file",
		"BERRY_SETTINGS__MAX_RETRIES=-1":                   "environment variable BERRY_SETTINGS__MAX_RETRIES: settings.max_retries: it is -1; it must be at least 0",
		"BERRY_PROVIDERS__OPENAI_MAIN__API_KEY=sk-1\t":     "environment variable BERRY_PROVIDERS__OPENAI_MAIN__API_KEY: providers.openai-main.api_key: its 5th character is a tab, which no API key has",
		"BERRY_USERS__ALICE__TOKEN=${APP_TOKEN:-changeme}": "environment variable BERRY_USERS__ALICE__TOKEN: users.alice.token: the variable contains a reference, ${…}, that nothing has expanded; set it to the value itself",
		"BERRY_MODELS__SMART__BACKENDS__0=1":               "environment variable BERRY_MODELS__SMART__BACKENDS__0: backends is no table; a variable can set single keys of tables only",
	} {
		if got := lines(Load(write(t, base), []string{variable}, known).Err); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q; want %q", variable, got, want)
		}
	}
}

// Variables that nearly say something else are warned of.
func TestVariablesThatMayBeMistakes(t *testing.T) {
	for variable, want := range map[string]string{
		"BERRY_USERS__ALIC__TOKEN=berry-alic-0123456789":  `the environment variable BERRY_USERS__ALIC__TOKEN adds users.alic, which the file does not have; did you mean "alice"?`,
		"BERRY_USERS__ROBERT__TOKEN=berry-bob-0123456789": "",
		"BERRY_SETTINGS_MAX_RETRIES=5":                    "the environment variable BERRY_SETTINGS_MAX_RETRIES is ignored; to override a key, write BERRY_SETTINGS__MAX_RETRIES",
		"BERRY_HOME=/x":                                   "",
	} {
		var got []string
		for _, w := range Load(write(t, base), []string{variable}, known).Warnings {
			got = append(got, w.Message)
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: got %q, want %q", variable, got, want)
		}
	}
}

// References are Compose's, as far as they are supported; a line's end behind a value is not part of it.
func TestReferences(t *testing.T) {
	environ := []string{"SET=berry-set-0123456789", "RAW=${SET}-0123456789", "EMPTY=", "LINE=berry-line-0123456789\r\n"}
	for text, want := range map[string]string{
		"${SET}": "berry-set-0123456789", "${SET:-other}": "berry-set-0123456789", "${UNSET:-berry-default-0123}": "berry-default-0123",
		"${EMPTY:-berry-default-0123}": "berry-default-0123", "${LINE}": "berry-line-0123456789", "${UNSET:-a:-b}-0123456789012345": "a:-b-0123456789012345",
		"$${SET}-0123456789": "${SET}-0123456789", "$${any thing": "", "$$${SET}-0123456789": "$${SET}-0123456789", "{SET}-0123456789": "{SET}-0123456789",
		"${": "", "${}": "", "${SET": "", "${SET:}": "", "${SET:=x}": "", "${SET:+x}": "", "${SET-x}": "", "${SET?x}": "", "${SET:?x}": "", "${1}": "",
		"${UNSET:-${SET}}": "", "${ SET }": "", "${EMPTY}": "", "${EMPTY:-}": "", "${UNSET}": "", "${RAW}": "",
	} {
		l := Load(write(t, "[server]\nadmin_token = \""+text+"\"\n"+base), environ, known)
		if want == "" {
			if l.Err == nil {
				t.Errorf("%s: %q, want an error", text, l.Config.Server.AdminToken.Reveal())
			}
		} else if l.Err != nil || l.Config.Server.AdminToken.Reveal() != want {
			t.Errorf("%s: %v, want %q", text, l.Err, want)
		}
	}
}

// A config that shrinks is believed when the same files are found after a while; all others are at once.
func TestDoubt(t *testing.T) {
	more := base + "[users.bob]\ntoken = \"berry-bob-0123456789\"\nallowed_models = [\"smart\"]\n[[models.smart.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n"
	more = strings.Replace(more, "models = [\"gpt-4\"]", "models = []", 1)
	more = strings.TrimSuffix(more, "\"gpt-4\"\n") + "\"gpt-5\"\n"
	before := Load(write(t, more), nil, known)
	if before.Err != nil {
		t.Fatal(before.Err)
	}
	for name, test := range map[string]struct {
		text    string
		shrinks bool
	}{
		"more":                     {more + "[models.x]\nstrategy = \"random\"\n[[models.x.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n", false},
		"a change":                 {strings.Replace(more, "failover", "random", 1), false},
		"an error":                 {"[users", false},
		"a user is gone":           {base, true},
		"a backend is gone":        {more[:strings.LastIndex(more, "[[")], true},
		"a model is gone":          {strings.ReplaceAll(more, "models.smart", "models.other"), true},
		"a user's models are gone": {strings.Replace(more, "allowed_models = [\"smart\"]\n", "", 1), true},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, d := Load(write(t, test.text), nil, known), Doubt{}
			if got := d.Believes(l, before.Config); got == test.shrinks {
				t.Errorf("%s: %v at first", name, got)
			}
			time.Sleep(Settle / 2)
			if got := d.Believes(l, before.Config); got == test.shrinks {
				t.Errorf("%s: %v too soon", name, got)
			}
			time.Sleep(Settle / 2)
			if !d.Believes(l, before.Config) {
				t.Errorf("%s: not believed", name)
			}
		})
	}
}

// Every beginning of a file that ends after a line shrinks, if it is valid at all; more lines do not.
func TestHalfAFileShrinks(t *testing.T) {
	const file = base + `
[users.off]
token = "berry-off-0123456789ab"
allowed_models = ["gpt"]
enabled = false
[server]
admin_token = "berry-operator-0123"
[models.second]
strategy = "random"
[[models.second.backends]]
provider = "openai-main"
model = "gpt-4"
weight = 2
`
	load := func(text string) Loaded { return Load(write(t, text), nil, known) }
	whole := load(file)
	if whole.Err != nil {
		t.Fatal(whole.Err)
	}
	for at := range len(file) - 1 {
		if file[at] != '\n' || strings.TrimSpace(file[at:]) == "" {
			continue
		}
		if half := load(file[:at+1]); half.Err == nil && !half.Config.Shrinks(whole.Config) {
			t.Errorf("it is not seen that this is missing:\n%s", file[at+1:])
		}
	}
	if more := load(file + "[users.new]\ntoken = \"berry-new-0123456789ab\"\n"); more.Err != nil || more.Config.Shrinks(whole.Config) {
		t.Errorf("got %v, a file with a further user shrinks", more.Err)
	}
	if changed := load(strings.Replace(file, "enabled = false", "enabled = true", 1)); changed.Config.Shrinks(whole.Config) {
		t.Error("a file with another value shrinks")
	}
}

// Addresses that somebody listens at are told, and sockets are left alone, living or dead.
func TestTaken(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer tcp.Close()
	folder := t.TempDir()
	living, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "living")})
	must(t, err)
	defer living.Close()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "dead")})
	must(t, err)
	dead.SetUnlinkOnClose(false)
	must(t, dead.Close())
	put(t, filepath.Join(folder, "file"), "")
	for address, want := range map[string]string{
		tcp.Addr().String(): "is taken; if this gateway is not running already", "127.0.0.1:0": "", "192.0.2.1:1": "cannot assign",
		"unix:" + folder + "/living": "is taken; if this gateway", "unix:" + folder + "/dead": "", "unix:" + folder + "/new": "",
		"unix:" + folder + "/file": "no socket", "unix:" + folder + "/none/socket": "no such file",
	} {
		c := Config{Server: Server{Listen: address, AdminListen: "127.0.0.1:0"}}
		got := fmt.Sprint(c.Taken(t.Context()))
		if !strings.Contains(got, want) || (want == "") != (got == "[]") {
			t.Errorf("%s: %s, want %q", address, got, want)
		}
	}
	for _, name := range []string{"living", "dead", "file"} {
		if _, err := os.Lstat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(folder, "new")); err == nil {
		t.Error("a socket is left behind")
	}
	if conn, err := net.Dial("unix", filepath.Join(folder, "living")); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

// A byte order mark in front of a file is not part of it.
func TestByteOrderMark(t *testing.T) {
	if l := Load(write(t, "\ufeff"+base), nil, known); l.Err != nil {
		t.Error(l.Err)
	}
}

// A strategy's own config is its own business: any TOML passes as it is.
func TestStrategysOwnConfig(t *testing.T) {
	l := Load(write(t, base+`
[strategies.mine]
path = "config.toml"
[strategies.mine.config]
regions = ["eu", ["us", 1.5]]
table = { inner = [{ deep = true }] }
`), []string{"BERRY_STRATEGIES__MINE__CONFIG__TEXT=7"}, known)
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	got, err := json.Marshal(l.Config.Strategies["mine"].Config)
	if want := `{"regions":["eu",["us",1.5]],"table":{"inner":[{"deep":true}]},"text":"7"}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// The example names every key there is.
func TestExampleIsComplete(t *testing.T) {
	b, err := os.ReadFile("config_example.toml")
	if err != nil {
		t.Fatal(err)
	}
	var keys func(reflect.Type) []string
	keys = func(typ reflect.Type) (out []string) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			return keys(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				if typ.Field(i).Tag.Get("koanf") == "-" {
					continue
				}
				out = append(out, typ.Field(i).Tag.Get("koanf"))
				out = append(out, keys(typ.Field(i).Type)...)
			}
		}
		return out
	}
	for _, key := range keys(reflect.TypeFor[Config]()) {
		if key != "" && !regexp.MustCompile(`(?m)(^|[\[. {])`+key+`( =|\.|\])`).Match(b) {
			t.Errorf("config_example.toml does not explain %s", key)
		}
	}
}

func TestUnreadableByPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	file := write(t, base)
	if err := os.Chmod(file, 0o000); err != nil {
		t.Fatal(err)
	}
	if err := Load(file, nil, known).Err; err == nil || !strings.Contains(err.Error(), "change its owner or mode") {
		t.Error(err)
	}
}

func TestAPIKeyFile(t *testing.T) {
	file := write(t, base+"[providers.b]\nbase_url = \"http://h\"\napi_key_file = \"key\"\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "key"), []byte("sk-from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := Load(file, nil, known)
	if l.Err != nil || l.Config.Providers["b"].APIKey.Reveal() != "sk-from-file" {
		t.Errorf("%v", l.Err)
	}
}

// A key's file is taken as it is but for one line's end; what else nobody sees in it is an error that does not show the key.
func TestOddAPIKeyFile(t *testing.T) {
	for text, want := range map[string]string{
		"sk-1": "", "sk-1\r\n": "", "": "is empty", "\n": "is empty", "sk-1\n\n": "its 5th character is a line break", "\ufeffsk-1": "its 1st character is a byte order mark",
		"sk-1 ": "its 5th character is a space", "sk\u00a0-1": "its 3rd character is a no-break space", "sk-\u200b1": "its 4th character is a zero-width",
		"sk-\x001": "its 4th character is a control character", "sk-é": `its 4th character is 'é' (U+00E9), not ASCII`, "sk-\xff": "bytes that are no text",
		"Bearer sk-1": "the word Bearer", "# key\nsk-1": "its 2nd character is a space",
	} {
		file := write(t, base+"[providers.b]\nbase_url = \"http://h\"\napi_key_file = \"key\"\n")
		put(t, filepath.Join(filepath.Dir(file), "key"), text)
		l := Load(file, nil, known)
		switch {
		case want == "" && (l.Err != nil || l.Config.Providers["b"].APIKey.Reveal() != "sk-1"):
			t.Errorf("%q: %v", text, l.Err)
		case want != "" && (l.Err == nil || !strings.Contains(l.Err.Error(), want) || !strings.Contains(l.Err.Error(), "config.toml:14:16: providers.b.api_key_file: ")):
			t.Errorf("%q: %v, want %q", text, l.Err, want)
		}
	}
}

// Paths in words count from 1, and keys with any characters survive being taken apart.
func TestInWords(t *testing.T) {
	for path, want := range map[string]string{
		"": "", "server.listen": "server.listen", at("a", 0): "a, 1st entry", join(at(join("models", "x.y", "backends"), 1), "weight"): `models."x.y".backends, 2nd entry, weight`,
		at(at("a", 2), 10): "a, 3rd entry, 11th entry", join("a", "b[0]", "", `c"d`): `a."b[0]"."".` + `"c\"d"`, at("a", 110): "a, 111th entry", at("a", 21): "a, 22nd entry",
	} {
		if got := inWords(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A Secret shows itself to nobody but Reveal, whatever it is wrapped in.
func TestSecretNeverShows(t *testing.T) {
	const value = "sk-very-secret"
	type holder struct {
		Public  Secret
		private Secret
	}
	h := holder{NewSecret(value), NewSecret(value)}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", h.Public, "holder", h)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", h.Public, "holder", h)
	asJSON, err := json.Marshal(map[string]any{"a": h, "b": &h.Public})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		all += fmt.Sprintf(verb+verb+verb, h, h.Public, h.private)
	}
	if strings.Contains(all, "very") || strings.Contains(all, fmt.Sprintf("%x", value)) {
		t.Errorf("the secret shows in %s", all)
	}
	if h.private.Reveal() != value {
		t.Error("Reveal lost it")
	}
}

// No file, however odd, makes Load panic, and one with a Config has no error.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"config_example.toml", "testdata/specification.toml", "testdata/ten_mistakes.toml"} {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("\"\":")
	f.Add("[strategies.x.config]\na=[1,[2,{b=3}]]")
	f.Add("[users]\n\"a]b.c\" = 1\n[models.\"x[0]\"]\nfoo=1\nbackends=[1,{a=2}]")
	f.Fuzz(func(t *testing.T, text string) {
		ps := &problems{}
		parse([]byte(text), ".", []string{"OPENAI_API_KEY=x"}, known, Files{}, ps)
		ps.place("config.toml", []byte(text))
		for _, p := range append(ps.errors, ps.warnings...) {
			if _, err := fmt.Fprint(io.Discard, p.Picture()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
