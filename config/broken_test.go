package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mark is in every secret of the broken files; no message may show it.
const mark = "SECRETMARK"

// A broken is a file that somebody could have written, or its last lines: what it begins with is valid.
type broken struct{ name, text string }

func brokenFiles() []broken {
	bob := func(lines string) string { return "[users.bob]\n" + lines + "\n" }
	provider := func(lines string) string { return "[providers.b]\nbase_url = \"http://h/v1\"\n" + lines + "\n" }
	backend := func(lines string) string {
		return "[models.b]\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n\n[[models.b.backends]]\n" + lines + "\n"
	}
	return []broken{
		// What a file is made of.
		{"UTF-16, little-endian", "\xff\xfe[\x00u\x00s\x00e\x00r\x00s\x00]\x00"},
		{"UTF-16, big-endian, without a mark", "\x00[\x00u\x00s\x00e\x00r\x00s\x00]\x00\n\x00a\x00=\x001"},
		{"Latin-1", "[users.j\xf6rg]\ntoken = \"" + mark + "\"\n"},
		{"Latin-1 in a string", bob("name = \"J\xf6rg\"")},
		{"NUL", bob("name = \"Bob\x00\"")},
		{"a no-break space", "[settings]\n\u00a0max_retries = 3\n"},
		{"a zero-width space", "[settings]\nmax_retries =\u200b 3\n"},
		{"JSON", "{\"users\": {\"bob\": {\"token\": \"" + mark + "\"}}}\n"},
		{"YAML", "users:\n  bob:\n    token: " + mark + "\n"},
		{"a merge conflict", "<<<<<<< HEAD\n[settings]\n=======\n[server]\n>>>>>>> other\n"},
		{"a shell's line", "export BERRY_TOKEN=" + mark + "\n"},
		{"a comment as in C", "[settings]\nmax_retries = 3 // as the team wants\n"},
		{"a comment as in ini files", "; the team's settings\n[settings]\n"},

		// Headers.
		{"a header without its end", "[users.bob\ntoken = \"" + mark + "\"\n"},
		{"a list's header without its end", "[[models.smart.backends]\nprovider = \"openai-main\"\n"},
		{"a header with one bracket and two", "[models.smart.backends]]\nprovider = \"openai-main\"\n"},
		{"[x] for [[x]]", "[models.b]\nstrategy = \"random\"\n[models.b.backends]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n"},
		{"[x] for the second [[x]]", "[models.smart.backends]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n"},
		{"[[x]] for [x]", "[[users.bob]]\ntoken = \"" + mark + "-0123456789\"\n"},
		{"a table twice", "[providers.openai-main]\napi_key = \"" + mark + "\"\n"},
		{"a key twice", bob("token = \"" + mark + "\"\ntoken = \"" + mark + "\"")},
		{"a name with a space", "[models.gpt 4]\nstrategy = \"random\"\n"},
		{"a name beyond ASCII", "[users.jörg]\ntoken = \"" + mark + "\"\n"},
		{"a key behind its header", "[users.bob] token = \"" + mark + "\"\n"},
		{"an unknown section", "[setings]\nmax_retries = 3\n"},

		// Lines.
		{": for =", bob("token: \"" + mark + "\"")},
		{": for =, under a harmless key", "[settings]\nmax_retries: 3\n"},
		{"== for =", "[settings]\nmax_retries == 3\n"},
		{"no value", "[settings]\nmax_retries =\n"},
		{"no key", "[settings]\n= 3\n"},
		{"no =", bob("token \"" + mark + "\"")},
		{"a token on a line of its own", bob(mark + "-0123456789")},
		{"a token on a line of its own, in base64", bob(mark + "0123456789==")},
		{"two keys in a line", bob("name = \"Bob\" token = \"" + mark + "\"")},
		{"a comma at the end", "[settings]\nmax_retries = 3,\n"},
		{"a misspelled key", bob("tokne = \"" + mark + "\"")},
		{"an unknown key", "[settings]\nmax_retires = 3\n"},

		// Strings.
		{"typographic quotes", "[models.b]\nstrategy = “failover”\n"},
		{"typographic quotes around a token", bob("token = “" + mark + "”")},
		{"a typographic quote at the end", bob("token = \"" + mark + "”")},
		{"a string without its end", "[models.b]\nstrategy = \"failover\n"},
		{"a token without its end", bob("token = \"" + mark + "\nname = \"Bob\"")},
		{"a string that ends in the other quote", bob("token = '" + mark + "\"")},
		{"a quote within a string", bob("name = \"the \"boss\"\"")},
		{"a string of lines without its end", provider("api_key = \"\"\"\n" + mark + "\nmodel = \"" + mark + "\"")},
		{"a secret in a string of lines, and a mistake behind it", provider("api_key = \"\"\"\nmodel = " + mark + "\"\"\" " + mark)},
		{"a path of Windows", provider("ca_file = \"C:\\Users\\berry\\ca.pem\"")},
		{"no quotes", "[models.b]\nstrategy = failover\n"},
		{"no quotes around a token", bob("token = " + mark)},
		{"no quotes around an address", "[server]\nlisten = 127.0.0.1:3000\n"},
		{"no quotes around a reference", bob("token = ${" + mark + "}")},

		// Other values.
		{"True", bob("enabled = True")},
		{"yes", "[server]\ndebug_headers = yes\n"},
		{"null", provider("api_version = null")},
		{"a unit", "[settings]\nrequest_timeout_seconds = 30s\n"},
		{"a percentage", "[telemetry]\nsample_ratio = 10%\n"},
		{"a point without a digit", "[telemetry]\nsample_ratio = .5\n"},
		{"a leading zero", "[settings]\nmax_retries = 03\n"},
		{"a number as a token", bob("token = 12345678901234567890123")},
		{"a text for a number", "[settings]\nmax_retries = \"3\"\n"},
		{"a secret for a number", "[settings]\nmax_retries = \"" + mark + "\"\n"},
		{"a fraction for a whole number", "[settings]\nmax_retries = 2.7 # see " + mark + "\n"},
		{"a text for a list", bob("token = \"" + mark + "-0123456789\"\ntags = \"a\"")},
		{"a list without its end", bob("tags = [\"a\", \"b\"\ntoken = \"" + mark + "\"")},
		{"a list without a comma", bob("tags = [\"a\" \"b\"]")},
		{"an inline table without its end", provider("headers = { X-Tenant = \"" + mark + "\"\nmodels = []")},
		{"an infinite weight", backend("provider = \"openai-main\"\nmodel = \"gpt-4o\"\nweight = inf")},
		{"a wrong entry of a list", bob("token = \"" + mark + "-0123456789\"\ntags = [\"a\", \"b,c\"]")},
		{"a wrong entry on a line of its own", bob("token = \"" + mark + "-0123456789\"\ntags = [\n  \"a\",\n  \"b,c\",\n]")},

		// Names.
		{"a missing key", backend("provider = \"openai-main\"")},
		{"a misspelled provider", backend("provider = \"opnai-main\"\nmodel = \"gpt-4\"")},
		{"a misspelled strategy, behind a tab", "[models.b]\n\tstrategy\t= \"round_robbin\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n"},
		{"a very long line", "[models.b]\nstrategy = \"random\"\nbackends = []\nname = \"" + strings.Repeat("x", 300) + "\" 7\n"},

		// References, keys and tokens.
		{"a form of a shell's default", bob("token = \"${APP_TOKEN-" + mark + "}\"")},
		{"a message as a default", bob("token = \"${APP_TOKEN:?" + mark + "}\"")},
		{"a reference without its end", bob("token = \"${APP_TOKEN\"")},
		{"a reference that is none", bob("token = \"${app token}\"")},
		{"an unset variable", provider("api_key = \"${NOT_SET}\"")},
		{"an empty variable", bob("token = \"${EMPTY}\"")},
		{"an empty variable, with an empty default", bob("token_sha256 = \"${EMPTY:-}\"")},
		{"an empty variable within a token", "[server]\nadmin_token = \"berry-${EMPTY}\"\n"},
		{"$NAME", "[models.b]\nname = \"$MODEL\"\nstrategy = \"random\"\n[[models.b.backends]]\nprovider = \"openai-main\"\nmodel = \"gpt-4\"\n"},
		{"a token with a space", bob("token = \"" + mark + " 0123456789\"")},
		{"a token with a zero-width space", bob("token = \"" + mark + "\u200b0123456789\"")},
		{"a key with a typographic dash", provider("api_key = \"sk–" + mark + "\"")},
		{"a key with its scheme", provider("api_key = \"Bearer " + mark + "\"")},
		{"an admin token with a line break", "[server]\nadmin_token = \"" + mark + "-0123456789\\n\"\n"},
		{"a header with a line break", provider("headers = { X-Tenant = \"" + mark + "\\n\" }")},

		// Addresses.
		{"an endpoint for a base URL", "[providers.b]\nbase_url = \"https://api.openai.com/v1/chat/completions\"\n"},
		{"a base URL without its version", "[providers.b]\nbase_url = \"https://api.openai.com\"\n"},
		{"a base URL of Ollama", "[providers.b]\nbase_url = \"http://localhost:11434\"\n"},
		{"a password in a base URL", "[providers.b]\nbase_url = \"https://me:" + mark + "@api.openai.com/v1\"\n"},
		{"a key for a base URL", "[providers.b]\nbase_url = \"" + mark + "\"\n"},
		{"a space behind a base URL", "[providers.b]\nbase_url = \"https://api.openai.com/v1 \"\n"},
		{"a scheme twice", "[providers.b]\nbase_url = \"https://http://host/v1\"\n"},
		{"a port beyond 65535", "[providers.b]\nbase_url = \"http://host:99100/v1\"\n"},
		{"a header of the connection", provider("[providers.b.headers]\nTransfer-Encoding = \"chunked\"")},
		{"a header twice", provider("[providers.b.headers]\nX-Team = \"a\"\nx-team = \"b\"")},
		{"a URL for an admin host", "[server]\nadmin_hosts = [\"berry.example.com\", \"http://berry.example.com:3001\"]\n"},
		{"a space in a listener's address", "[server]\nlisten = \" :4500\"\n"},
		{"a socket with a long path", "[server]\nlisten = \"unix:/run/" + strings.Repeat("long/", 21) + "berry.sock\"\n"},
		{"every address a trusted proxy", "[auth]\ntrusted_proxies = [\"0.0.0.0/0\"]\n"},
	}
}

// What an operator is shown of broken files. Read it as one who is tired: each message has file, line and column, the line as far as it may
// be shown, a caret, and what to do. (BERRY_UPDATE=1 writes it.)
func TestBrokenFiles(t *testing.T) {
	const golden = "testdata/broken.txt"
	var b strings.Builder
	for _, f := range brokenFiles() {
		text := base + f.text
		switch f.name {
		case "JSON", "YAML", "a merge conflict", "UTF-16, little-endian", "UTF-16, big-endian, without a mark":
			text = f.text
		}
		file := write(t, text)
		l := Load(file, []string{"EMPTY="}, known)
		if l.Err == nil && len(l.Warnings) == 0 {
			t.Errorf("%s: neither an error nor a warning", f.name)
		}
		said := ""
		for _, w := range l.Warnings {
			said += "warning: " + w.Picture() + "\n"
		}
		if l.Err != nil {
			said += Explain(l.Err) + "\n"
		}
		if strings.Contains(said, mark) || l.Err != nil && strings.Contains(l.Err.Error(), mark) {
			t.Errorf("%s: a secret is shown:\n%s", f.name, said)
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", f.name, strings.ReplaceAll(said, filepath.Dir(file)+"/", ""))
	}
	if os.Getenv("BERRY_UPDATE") != "" {
		must(t, os.WriteFile(golden, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if got := b.String(); got != string(want) {
		for i, line := range strings.Split(got, "\n") {
			if wanted := strings.Split(string(want), "\n"); i >= len(wanted) || line != wanted[i] {
				t.Fatalf("%s is out of date from line %d on: %q; BERRY_UPDATE=1 writes it", golden, i+1, line)
			}
		}
	}
}

// Whatever single slip somebody makes in a file, no message shows a secret of it.
func TestSlipsShowNoSecret(t *testing.T) {
	text := `[server]
admin_token = "` + mark + `-0123456789" # or ` + mark + `
[users.bob]
token = '` + mark + `-0123456789'
name = "Bob"
[providers.p]
base_url = "http://h/v1"
api_key = """
` + mark + `-0123456789"""
headers = { X-A = "` + mark + `", X-B = '` + mark + `' }
[strategies.s]
path = "/dev/null"
[strategies.s.config]
name = "` + mark + `"
list = [
  "` + mark + `",
]
`
	check := func(text string) {
		ps := &problems{}
		parse([]byte(text), ".", nil, known, Files{}, ps)
		ps.place("berry.toml", []byte(text))
		for _, p := range append(ps.errors, ps.warnings...) {
			if strings.Contains(p.Picture(), mark) {
				t.Errorf("%s\n\nin\n%s", p.Picture(), text)
			}
		}
	}
	for i := range text {
		if inside := strings.LastIndex(text[:i], mark); inside >= 0 && i < inside+len(mark) {
			continue // which would be another secret
		}
		check(text[:i])
		check(text[:i] + text[i+1:])
		for _, slip := range []string{`"`, "'", "[", "]", "{", "}", "=", "#", "\n", ":", ",", " ", `\`, `"""`, "“", "x", "\nmodel = ", "strategy = "} {
			check(text[:i] + slip + text[i:])
		}
		if t.Failed() {
			return
		}
	}
}

// Places are found in time that grows with the file, and messages are bounded.
func TestLargeFiles(t *testing.T) {
	text := base + strings.Repeat("[[models.smart.backends]]\nprovider = \"nobody\"\nmodel = \"x\"\n", 2000)
	text += "[users.\"" + strings.Repeat("x", 1<<20) + "\"]\ntoken = 1\n" + strings.Repeat("# comment\n", 100_000)
	l := Load(write(t, text), nil, known)
	var e *Error
	if !errors.As(l.Err, &e) || len(e.Problems) != mostProblems || e.More < 1900 {
		t.Fatalf("%.1000v", l.Err)
	}
	if said := Explain(l.Err); len(said) > 50_000 || !strings.Contains(said, " more") {
		t.Errorf("%d bytes: …%s", len(said), said[len(said)-200:])
	}
}
