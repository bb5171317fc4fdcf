package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// validate gathers everything that decoding cannot see: values out of range, names that lead nowhere, and what is allowed
// but probably not meant.
func (c *Config) validate(known Known, ps *problems) {
	c.validateServer(ps)
	c.validatePipeline(known, ps)
	c.validateSettings(ps)
	c.validateUsers(ps)
	c.validateProviders(known, ps)
	c.validateStrategies(known, ps)
	c.validateModels(known, ps)
}

func (c *Config) validateServer(ps *problems) {
	s := c.Server
	for path, address := range map[string]string{"server.listen": s.Listen, "server.admin_listen": s.AdminListen} {
		if _, port, err := net.SplitHostPort(address); err != nil || !isPort(port) {
			ps.fail(path, "%q is no address; write host:port, such as 127.0.0.1:3000, or :3000 for every interface", address)
		}
	}
	if s.Listen == s.AdminListen && !strings.HasSuffix(s.Listen, ":0") {
		ps.fail("server.admin_listen", "it equals server.listen; give the admin pages a port of their own")
	}
	if host, _, err := net.SplitHostPort(s.AdminListen); err == nil && !isLoopback(host) && s.AdminToken.Reveal() == "" {
		ps.warn("server.admin_listen", "others can reach the admin pages; set admin_token or listen on 127.0.0.1")
	}
	atLeast(ps, "server.max_body_bytes", s.MaxBodyBytes, 1)
	atLeast(ps, "server.shutdown_grace_seconds", int64(s.ShutdownGraceSeconds), 0)
	if (s.TLSCert == "") != (s.TLSKey == "") {
		ps.fail("server", "tls_cert and tls_key belong together; one is missing")
	}
	if !httpguts.ValidHeaderFieldName(s.SessionHeader) {
		ps.fail("server.session_header", "%q cannot be a header's name", s.SessionHeader)
	}
	if r := c.Telemetry.SampleRatio; !(r >= 0 && r <= 1) {
		ps.fail("telemetry.sample_ratio", "it must be from 0 to 1")
	}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n <= math.MaxUint16
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func atLeast(ps *problems, path string, n, least int64) {
	if n < least {
		ps.fail(path, "it is %d; it must be at least %d", n, least)
	}
}

// validatePipeline wants the stages in their order. Those of known.Optional may be missing, those of known.Anywhere stand
// where they like.
func (c *Config) validatePipeline(known Known, ps *problems) {
	const path = "pipeline.plugins"
	list := c.Pipeline.Plugins
	for i, name := range list {
		switch {
		case !slices.Contains(known.Stages, name):
			ps.fail(at(path, i), "%s", unknown("stage", name, slices.Clone(known.Stages)))
		case slices.Contains(list[:i], name):
			ps.fail(at(path, i), "%q stands there twice", name)
		}
	}
	last := -1
	for _, name := range list {
		n := slices.Index(known.Stages, name)
		if n < 0 || slices.Contains(known.Anywhere, name) {
			continue
		}
		if n < last {
			ps.fail(path, "%q must stand before %q; the order is %s", name, known.Stages[last], strings.Join(known.Stages, ", "))
		}
		last = n
	}
	for _, name := range known.Stages {
		switch {
		case slices.Contains(list, name):
		case slices.Contains(known.Optional, name):
			ps.warn(path, "%q is left out: its checks are not made", name)
		case !slices.Contains(known.Anywhere, name):
			ps.fail(path, "%q is missing; only %s may be left out", name, strings.Join(slices.Concat(known.Optional, known.Anywhere), ", "))
		}
	}
}

func (c *Config) validateSettings(ps *problems) {
	s := c.Settings
	for _, n := range []struct {
		key          string
		value, least int
	}{
		{"health_check_interval_seconds", s.HealthCheckIntervalSeconds, 1},
		{"health_check_timeout_seconds", s.HealthCheckTimeoutSeconds, 1},
		{"request_timeout_seconds", s.RequestTimeoutSeconds, 1},
		{"first_token_timeout_seconds", s.FirstTokenTimeoutSeconds, 0},
		{"stream_idle_timeout_seconds", s.StreamIdleTimeoutSeconds, 1},
		{"max_retries", s.MaxRetries, 0},
		{"same_backend_retries", s.SameBackendRetries, 0},
		{"retry_after_wait_seconds", s.RetryAfterWaitSeconds, 0},
		{"failure_threshold", s.FailureThreshold, 1},
		{"cooldown_seconds", s.CooldownSeconds, 1},
		{"max_cooldown_seconds", s.MaxCooldownSeconds, 1},
	} {
		path := join("settings", n.key)
		atLeast(ps, path, int64(n.value), int64(n.least))
		if most := math.MaxInt32; n.value > most {
			ps.fail(path, "it is %d; it must be at most %d", n.value, most)
		}
	}
	if s.MaxCooldownSeconds < s.CooldownSeconds {
		ps.fail("settings.max_cooldown_seconds", "it is less than cooldown_seconds")
	}
}

func (c *Config) validateUsers(ps *problems) {
	byDigest := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(c.Users)) {
		u, path := c.Users[id], join("users", id)
		u.TokenSHA256 = strings.ToLower(u.TokenSHA256)
		token := u.Token.Reveal()
		switch {
		case token == "" && u.TokenSHA256 == "":
			ps.fail(join(path, "token"), "it is missing; set token, or token_sha256 to its SHA-256")
			continue
		case token != "" && u.TokenSHA256 != "":
			ps.fail(join(path, "token"), "token_sha256 is set too; keep one of them")
			continue
		case token == "" && !isSHA256(u.TokenSHA256):
			ps.fail(join(path, "token_sha256"), "it must be 64 hexadecimal digits, as printf %%s TOKEN | sha256sum prints them")
			continue
		}
		const short = 16
		if token != "" && len(token) < short {
			ps.warn(join(path, "token"), "it is shorter than %d characters and can be guessed; openssl rand -hex 24 makes a strong one", short)
		}
		if strings.TrimSpace(token) != token {
			ps.fail(join(path, "token"), "it begins or ends with a space, which no Authorization header can carry")
		}
		digest := u.Digest()
		if other, taken := byDigest[string(digest[:])]; taken {
			ps.fail(join(path, "token"), "user %q has the same token; each user needs one of its own", other)
		}
		byDigest[string(digest[:])] = id
		validateTags(ps, path, u.Tags)
		c.validateAllowed(ps, path, u)
	}
}

func (c *Config) validateAllowed(ps *problems, path string, u *User) {
	for i, name := range u.AllowedModels {
		if !slices.ContainsFunc(slices.Collect(maps.Values(c.Models)), func(m *Model) bool { return m.Name == name }) {
			ps.warn(at(join(path, "allowed_models"), i), "no model has the name %q", name)
		}
	}
}

// Digest returns the SHA-256 of the user's token.
func (u *User) Digest() [sha256.Size]byte {
	if u.TokenSHA256 == "" {
		return sha256.Sum256([]byte(u.Token.Reveal()))
	}
	var d [sha256.Size]byte
	_, _ = hex.Decode(d[:], []byte(u.TokenSHA256)) // validate has seen that it is hexadecimal
	return d
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

func validateTags(ps *problems, path string, tags []string) {
	for i, t := range tags {
		if t == "" || strings.ContainsRune(t, ',') {
			ps.fail(at(join(path, "tags"), i), "a tag is not empty and has no comma, which separates tags for strategies")
		}
	}
}

func (c *Config) validateProviders(known Known, ps *problems) {
	for id, p := range c.Providers {
		path := join("providers", id)
		if !slices.Contains(known.Types, p.Type) {
			ps.fail(join(path, "type"), "%s", unknown("type", p.Type, slices.Clone(known.Types)))
		}
		if message := badBaseURL(p.BaseURL); message != "" {
			ps.fail(join(path, "base_url"), "%s", message)
		}
		atLeast(ps, join(path, "timeout_seconds"), int64(p.TimeoutSeconds), 0)
		if !httpguts.ValidHeaderFieldValue(p.APIKey.Reveal()) {
			ps.fail(join(path, "api_key"), "it holds a character that no header can carry, such as a line break")
		}
		for name, value := range p.Headers {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value.Reveal()) {
				ps.fail(join(path, "headers", name), "it is no valid header")
			}
			if reserved := http.CanonicalHeaderKey(name); reserved == "Host" || reserved == "Content-Length" {
				ps.fail(join(path, "headers", name), "the gateway sets this header itself")
			}
		}
		for i, m := range p.Models {
			if m == "" || slices.Contains(p.Models[:i], m) {
				ps.fail(at(join(path, "models"), i), "%q is empty or stands there twice", m)
			}
		}
	}
}

// badBaseURL says what is wrong with a base URL; "" if nothing is. It does not quote it: a URL can hold a password.
func badBaseURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return "it is missing; write what stands before /chat/completions, such as https://api.openai.com/v1"
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "it is no URL; write https://host/path, such as https://api.openai.com/v1"
	case u.User != nil:
		return "it holds a user name or password; put the key into api_key"
	case u.RawQuery != "" || u.Fragment != "":
		return "it has a query or a fragment; write what stands before /chat/completions"
	default:
		return ""
	}
}

func (c *Config) validateStrategies(known Known, ps *problems) {
	for name, s := range c.Strategies {
		path := join("strategies", name)
		if slices.Contains(known.Strategies, name) {
			ps.fail(path, "a strategy of this name is built in; choose another name")
		}
		if s.Path == "" {
			ps.fail(join(path, "path"), "it is missing; name the module's .wasm file")
		}
		s.SHA256 = strings.ToLower(s.SHA256)
		if s.SHA256 != "" && !isSHA256(s.SHA256) {
			ps.fail(join(path, "sha256"), "it must be 64 hexadecimal digits, as sha256sum prints them")
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

func (c *Config) hasStrategy(known Known, name string) bool {
	return c.Strategies[name] != nil || slices.Contains(known.Strategies, name)
}

func (c *Config) strategyNames(known Known) []string {
	return slices.Concat(known.Strategies, slices.Collect(maps.Keys(c.Strategies)))
}

func (c *Config) validateModels(known Known, ps *problems) {
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
		if m.Shadow != "" {
			if !c.hasStrategy(known, m.Shadow) {
				ps.fail(join(path, "shadow"), "%s", unknown("strategy", m.Shadow, c.strategyNames(known)))
			}
			ps.warn(join(path, "shadow"), "this version does not run shadow strategies yet")
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
	validateTags(ps, path, b.Tags)
}
