package core

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// A secret is found however JSON or base64 write it, and nothing else is.
func TestSecretsIn(t *testing.T) {
	const secret = "sk-a/b+c_d-\"e"
	s := NewSecrets("other-key-1234", secret)
	var escaped strings.Builder
	for _, c := range []byte(secret) {
		fmt.Fprintf(&escaped, `\u%04X`, c)
	}
	within := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, text := range map[string]string{
		"as it is":        "your key " + secret + " is wrong",
		"in JSON":         within("key " + secret),
		"JSON in JSON":    within(within(within("key " + secret))),
		"slashes escaped": strings.ReplaceAll(within(secret), "/", `\/`),
		"all escaped":     `"` + escaped.String() + `"`,
		"one escaped":     strings.ReplaceAll(within(secret), "+", `\u002b`),
		"base64":          base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64, 1":       base64.StdEncoding.EncodeToString([]byte("u" + secret + "!")),
		"base64, 2":       base64.StdEncoding.EncodeToString([]byte("u:" + secret)),
		"base64 of URLs":  base64.URLEncoding.EncodeToString([]byte("Bearer " + secret)),
		"in a query":      "?key=" + url.QueryEscape(secret),
		"in a path":       "/" + url.PathEscape(secret) + "/",
		"lower escapes":   strings.ToLower(url.QueryEscape(secret)),
		"base64 in JSON":  strings.ReplaceAll(within(base64.StdEncoding.EncodeToString([]byte("user:"+secret))), "/", `\/`),
	} {
		if !s.In([]byte(text)) {
			t.Errorf("%s: %s is not found to hold the secret", name, text)
		}
	}
	for _, text := range []string{"", `\`, `\u`, `\u12`, `\ud800`, `\ud800\u`, "sk-a/b", "c2stYS9i", `{"error":{"message":"a\nb"}}`} {
		if s.In([]byte(text)) || (Secrets{}).In([]byte(text)) {
			t.Errorf("%s is found to hold a secret", text)
		}
	}
}

func FuzzSecretsIn(f *testing.F) {
	f.Add(`a\u0073k`, "b")
	f.Add(`\ud83d\ude00\\`, `\`)
	s := NewSecrets("sk-secret-key")
	f.Fuzz(func(t *testing.T, before, after string) {
		quoted, err := json.Marshal(before + "sk-secret-key" + after)
		if err != nil {
			t.Fatal(err)
		}
		if !s.In(quoted) {
			t.Errorf("%s is not found to hold the secret", quoted)
		}
	})
}
