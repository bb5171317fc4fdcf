package config

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

func (c *Config) validateProviders(known Registry, ps *problems) {
	for id, p := range c.Providers {
		path := join("providers", id)
		if !slices.Contains(known.Types, p.Type) {
			ps.fail(join(path, "type"), "%s", unknown("type", p.Type, slices.Clone(known.Types)))
		}
		base, socket := p.Endpoint()
		if message := badBaseURL(base, p.BaseURL); message != "" {
			ps.fail(join(path, "base_url"), "%s", message)
		} else if base != p.BaseURL && !strings.HasPrefix(socket, "/") {
			ps.fail(join(path, "base_url"), "it names no socket; write unix:/path/to/socket:/v1")
		}
		atLeast(ps, join(path, "timeout_seconds"), int64(p.TimeoutSeconds), 0)
		atLeast(ps, join(path, "max_in_flight"), int64(p.MaxInFlight), 0)
		atLeast(ps, join(path, "idle_timeout_seconds"), int64(p.IdleTimeoutSeconds), 0)
		warnOfBaseURL(ps, join(path, "base_url"), p)
		if odd := badKey(p.APIKey.Reveal()); odd != "" && p.APIKeyFile == "" {
			ps.fail(join(path, "api_key"), "%s", odd)
		}
		for name, value := range p.Headers {
			switch odd := badCharacter(value.Reveal(), ""); {
			case !httpguts.ValidHeaderFieldName(name):
				ps.failKey(join(path, "headers", name), "this cannot be a header's name")
			case !httpguts.ValidHeaderFieldValue(value.Reveal()):
				ps.fail(join(path, "headers", name), "%s, which no header can carry", odd)
			}
			switch http.CanonicalHeaderKey(name) {
			case "Host", "Content-Length", "Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection":
				ps.fail(join(path, "headers", name), "the gateway sets this header itself")
			}
			for other := range p.Headers {
				if other < name && strings.EqualFold(other, name) {
					ps.failKey(join(path, "headers", name), "this is the same header as %q; write it once", other)
				}
			}
		}
		for i, m := range p.Models {
			if m == "" || slices.Contains(p.Models[:i], m) {
				ps.fail(at(join(path, "models"), i), "%q is empty or stands there twice", m)
			}
		}
	}
}

// badBaseURL says what is wrong with a base URL, which is written so in the file; "" if nothing is. It quotes none that may hold a password.
func badBaseURL(s, written string) string {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return "it is missing; write what stands before /chat/completions, such as https://api.openai.com/v1"
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "it contains a space; remove it"
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" && strings.HasSuffix(u.Host, ":"):
		return "it is no URL; write https://host/path, such as https://api.openai.com/v1"
	case u.Port() != "" && !isPort(u.Port()):
		return "its port is not a number from 1 to 65535; write https://host:port/path"
	case u.User != nil:
		return "it holds a user name or password; put the key into api_key"
	case u.RawQuery != "" || u.Fragment != "":
		return "it has a query or a fragment; write what stands before /chat/completions"
	}
	path := strings.TrimRight(u.Path, "/")
	for _, endpoint := range []string{
		"/chat/completions", "/completions", "/messages", "/responses", "/embeddings", "/models", "/images/generations", "/audio/speech",
		"/audio/transcriptions", ":generateContent", ":streamGenerateContent", "/realtime", "/files", "/batches", "/moderations", "/rerank",
	} {
		if strings.HasSuffix(path, endpoint) {
			return fmt.Sprintf("it ends in %s, which the gateway adds by itself; write %s", endpoint, strings.TrimSuffix(strings.TrimRight(written, "/"), endpoint))
		}
	}
	return ""
}

// warnOfBaseURL warns of a base URL that lacks the path under which its host is known to answer. Types other than openai add it themselves.
func warnOfBaseURL(ps *problems, path string, p *Provider) {
	u, err := url.Parse(p.BaseURL)
	if err != nil || p.Type != "openai" {
		return
	}
	host := strings.ToLower(u.Host)
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1", "host.docker.internal":
		host = "localhost:" + u.Port()
	}
	wanted := map[string]string{
		"api.openai.com": "/v1", "api.anthropic.com": "/v1", "openrouter.ai": "/api/v1", "api.groq.com": "/openai/v1", "api.mistral.ai": "/v1",
		"api.together.xyz": "/v1", "api.together.ai": "/v1", "api.fireworks.ai": "/inference/v1", "api.x.ai": "/v1", "api.cerebras.ai": "/v1",
		"integrate.api.nvidia.com": "/v1", "api.deepinfra.com": "/v1/openai", "generativelanguage.googleapis.com": "/v1beta/openai",
		"dashscope.aliyuncs.com": "/compatible-mode/v1", "api.moonshot.ai": "/v1", "localhost:11434": "/v1", "localhost:1234": "/v1", // ollama, LM Studio
	}[host]
	have := strings.TrimRight(u.Path, "/")
	if wanted == "" || have == wanted || !strings.HasPrefix(wanted, have) {
		return
	}
	meant := ""
	switch host {
	case "api.anthropic.com":
		meant = `; for its own API, set type = "anthropic"`
	case "generativelanguage.googleapis.com":
		meant = `; for its own API, set type = "gemini"`
	}
	ps.warn(path, "%s answers under %s; write %s://%s%s%s", u.Host, wanted, u.Scheme, u.Host, wanted, meant)
}

func (c *Config) validateStrategies(known Registry, ps *problems) {
	for name, s := range c.Strategies {
		path := join("strategies", name)
		if slices.Contains(known.Strategies, name) {
			ps.fail(path, "a strategy of this name is built in; choose another name")
		}
		if s.Fuel < 1 || s.Fuel > MaxFuel {
			ps.fail(join(path, "fuel"), "it is %d; it must be from 1 to %d", s.Fuel, MaxFuel)
		}
		if s.MemoryMB < 1 || s.MemoryMB > 4096 {
			ps.fail(join(path, "memory_mb"), "it is %d; it must be from 1 to 4096", s.MemoryMB)
		}
		switch {
		case s.Fallback == name:
			ps.fail(join(path, "fallback"), "a strategy cannot be its own fallback")
		case !c.hasStrategy(known, s.Fallback):
			ps.fail(join(path, "fallback"), "%s", unknown("strategy", s.Fallback, c.strategyNames(known)))
		}
	}
}

func (c *Config) hasStrategy(known Registry, name string) bool {
	return c.Strategies[name] != nil || slices.Contains(known.Strategies, name)
}

func (c *Config) strategyNames(known Registry) []string {
	return slices.Concat(known.Strategies, slices.Collect(maps.Keys(c.Strategies)))
}

func (c *Config) validateModels(known Registry, ps *problems) {
	if len(c.Models) == 0 {
		ps.warn("models", "there is none, so no request can be served; add [models.NAME]")
	}
	byName := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(c.Models)) {
		m, path := c.Models[key], join("models", key)
		if m.Name == "" {
			ps.fail(join(path, "name"), "it is empty; leave it out to use the table's own name")
		} else if other, taken := byName[m.Name]; taken {
			ps.fail(join(path, "name"), "%s has the name %q too; clients could not tell them apart", join("models", other), m.Name)
		}
		byName[m.Name] = key
		if m.Strategy == "" {
			ps.fail(join(path, "strategy"), "it is missing; choose one of %s", strings.Join(c.strategyNames(known), ", "))
		} else if !c.hasStrategy(known, m.Strategy) {
			ps.fail(join(path, "strategy"), "%s", unknown("strategy", m.Strategy, c.strategyNames(known)))
		}
		if m.Shadow != "" && !c.hasStrategy(known, m.Shadow) {
			ps.fail(join(path, "shadow"), "%s", unknown("strategy", m.Shadow, c.strategyNames(known)))
		}
		if choices := []string{RecoveryOff, RecoveryRestart}; !slices.Contains(choices, m.StreamRecovery) {
			ps.fail(join(path, "stream_recovery"), "%s", unknown("choice", m.StreamRecovery, choices))
		}
		if choices := []string{NameOfProvider, NameOfClient}; !slices.Contains(choices, m.ResponseModel) {
			ps.fail(join(path, "response_model"), "%s", unknown("choice", m.ResponseModel, choices))
		}
		c.validateBackends(ps, path, m)
	}
}

func (c *Config) validateBackends(ps *problems, path string, m *Model) {
	if len(m.Backends) == 0 {
		ps.fail(join(path, "backends"), "there is none; add [[%s]] with provider and model", join(path, "backends"))
		return
	}
	enabled, total := 0, 0.0
	for i := range m.Backends {
		b, path := &m.Backends[i], at(join(path, "backends"), i)
		c.validateBackend(ps, path, b)
		for _, earlier := range m.Backends[:i] {
			if b.Provider != "" && earlier.Provider == b.Provider && earlier.Model == b.Model {
				ps.fail(path, "provider %q with model %q stands in this model twice; add up their weights in one", b.Provider, b.Model)
			}
		}
		if p := c.Providers[b.Provider]; b.Enabled && p != nil && p.Enabled {
			enabled++
			total += b.Weight
		}
	}
	switch {
	case enabled == 0 && m.Enabled:
		ps.warn(path, "none of its backends is enabled at an enabled provider: requests get 503")
	case enabled > 0 && total == 0 && m.Strategy == "weighted_random":
		ps.warn(path, "the weights of its enabled backends are all 0: each gets the same share")
	}
}

func (c *Config) validateBackend(ps *problems, path string, b *Backend) {
	const most = 1e12
	p := c.Providers[b.Provider]
	switch {
	case b.Provider == "":
		ps.fail(join(path, "provider"), "it is missing; name one of [providers]")
	case p == nil:
		ps.fail(join(path, "provider"), "%s", unknown("provider", b.Provider, slices.Collect(maps.Keys(c.Providers))))
	case b.Model == "":
		ps.fail(join(path, "model"), "it is missing; name the provider's model")
	case len(p.Models) > 0 && !slices.Contains(p.Models, b.Model):
		ps.fail(join(path, "model"), "%s", unknown(fmt.Sprintf("model in providers.%s.models that reads", b.Provider), b.Model, slices.Clone(p.Models)))
	}
	for key, value := range map[string]float64{"weight": b.Weight, "cost_input": b.CostInput, "cost_output": b.CostOutput} {
		if !(value >= 0 && value <= most) {
			ps.fail(join(path, key), "it is %v; it must be a number from 0 to %v", value, most)
		}
	}
	if b.ContextWindow < 0 || b.ContextWindow > math.MaxInt32 {
		ps.fail(join(path, "context_window"), "it is %d; it must be a number of tokens from 0 (unknown) to %d", b.ContextWindow, math.MaxInt32)
	}
	validateTags(ps, path, b.Tags)
}
