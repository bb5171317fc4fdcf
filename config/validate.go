package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

// validate gathers everything that decoding cannot see: values out of range, names that lead nowhere, and what is allowed
// but probably not meant.
func (c *Config) validate(known Registry, ps *problems) {
	c.validateServer(ps)
	c.validateAuth(ps)
	c.validateTelemetry(ps)
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
		if message := badListenAddress(address); message != "" {
			ps.fail(path, "%s", message)
		}
	}
	for i, host := range s.AdminHosts {
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || u.Port() != "" || host == "" || strings.ContainsAny(host, "*% ") {
			ps.fail(at("server.admin_hosts", i), "%q is not a host name; write the name alone, such as berry.example.com, without scheme, port or wildcard", host)
		}
	}
	if s.Listen == s.AdminListen && !strings.HasSuffix(s.Listen, ":0") {
		ps.fail("server.admin_listen", "it equals server.listen; give the admin pages a port of their own")
	}
	checkToken(ps, "server.admin_token", s.AdminToken.Reveal())
	if host, _, err := net.SplitHostPort(s.AdminListen); err == nil && !isLoopback(host) && s.AdminToken.Reveal() == "" {
		ps.warn("server.admin_listen", "others can reach the admin pages; set admin_token or listen on 127.0.0.1")
	}
	atLeast(ps, "server.max_body_bytes", s.MaxBodyBytes, 1)
	atLeast(ps, "server.max_event_bytes", int64(s.MaxEventBytes), 64<<10)
	atLeast(ps, "server.max_translation_bytes", s.MaxTranslationBytes, 0)
	atLeast(ps, "server.shutdown_delay_seconds", int64(s.ShutdownDelaySeconds), 0)
	atLeast(ps, "server.shutdown_grace_seconds", int64(s.ShutdownGraceSeconds), 0)
	atLeast(ps, "server.max_in_flight", int64(s.MaxInFlight), 0)
	if !httpguts.ValidHeaderFieldName(s.SessionHeader) {
		ps.fail("server.session_header", "%q cannot be a header's name", s.SessionHeader)
	}
}

func (c *Config) validateTelemetry(ps *problems) {
	t := c.Telemetry
	sampled, _ := t.Ratio()
	for key, ratio := range map[string]float64{"sample_ratio": sampled, "log_sample_ratio": t.LogSampleRatio} {
		if !(ratio >= 0 && ratio <= 1) {
			ps.fail(join("telemetry", key), "it must be from 0 to 1")
		}
	}
	for _, n := range []struct {
		key         string
		value, most int
	}{
		{"keep_slow_seconds", t.KeepSlowSeconds, math.MaxInt32},
		{"capture_content_bytes", t.CaptureContentBytes, 1 << 20},
		{"decisions", t.Decisions, 100_000},
	} {
		if n.value < 0 || n.value > n.most {
			ps.fail(join("telemetry", n.key), "it is %d; it must be from 0 to %d", n.value, n.most)
		}
	}
	levels := []string{"debug", "info", "warn", "error"}
	if !slices.Contains(levels, t.LogLevel) {
		ps.fail("telemetry.log_level", "%s", unknown("level", t.LogLevel, levels))
	}
	if t.CaptureContent {
		ps.warn("telemetry.capture_content", "traces will hold what users ask and get; leave it off unless they have agreed")
	}
}

func (c *Config) validateAuth(ps *problems) {
	atLeast(ps, "auth.max_failures_per_minute", int64(c.Auth.MaxFailuresPerMinute), 0)
	for i, text := range c.Auth.TrustedProxies {
		proxy, err := netip.ParsePrefix(text)
		if address, notPrefix := netip.ParseAddr(text); notPrefix == nil {
			address = address.Unmap()
			proxy, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			ps.fail(at("auth.trusted_proxies", i), "%q is no address; write one, or a network such as 10.0.0.0/8", text)
			continue
		}
		if proxy.Bits() == 0 {
			ps.warn(at("auth.trusted_proxies", i), "it trusts every address, so a client can choose the address that failures are counted for, in X-Forwarded-For; name your proxies' own networks")
		}
		c.Auth.Proxies = append(c.Auth.Proxies, proxy)
	}
}

// badListenAddress says what is wrong with a listener's address; "" if nothing is.
func badListenAddress(address string) string {
	const longestSocket = 103 // bytes: what every Unix has room for in an address
	network, at := Network(address)
	if network == "unix" {
		switch {
		case at == "":
			return fmt.Sprintf("%q names no socket; write unix:/path", address)
		case len(at) > longestSocket:
			return fmt.Sprintf("the socket's path has %d bytes; an address has room for %d, so choose a shorter one", len(at), longestSocket)
		}
		return ""
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil || !isPort(port) || strings.ContainsFunc(host, unicode.IsSpace) {
		return fmt.Sprintf("%q is no address; write host:port, such as 127.0.0.1:3000, :3000 for every interface, or unix:/path for a socket", address)
	}
	return ""
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
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
// at any place.
func (c *Config) validatePipeline(known Registry, ps *problems) {
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
		default:
			ps.fail(path, "%q is missing; only %s may be left out", name, strings.Join(known.Optional, ", "))
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
		{"health_check_failures", s.HealthCheckFailures, 1},
		{"request_timeout_seconds", s.RequestTimeoutSeconds, 1},
		{"total_timeout_seconds", s.TotalTimeoutSeconds, 0},
		{"first_token_timeout_seconds", s.FirstTokenTimeoutSeconds, 0},
		{"stream_idle_timeout_seconds", s.StreamIdleTimeoutSeconds, 1},
		{"keep_alive_seconds", s.KeepAliveSeconds, 1},
		{"realtime_idle_timeout_seconds", s.RealtimeIdleTimeoutSeconds, 1},
		{"max_retries", s.MaxRetries, 0},
		{"same_backend_retries", s.SameBackendRetries, 0},
		{"retry_after_wait_seconds", s.RetryAfterWaitSeconds, 0},
		{"failure_threshold", s.FailureThreshold, 1},
		{"cooldown_seconds", s.CooldownSeconds, 1},
		{"max_cooldown_seconds", s.MaxCooldownSeconds, 1},
		{"max_retry_after_seconds", s.MaxRetryAfterSeconds, 0},
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
	var models []string
	for _, m := range c.Models {
		models = append(models, m.Name)
	}
	byDigest := map[[sha256.Size]byte]string{}
	for _, id := range slices.Sorted(maps.Keys(c.Users)) {
		u, path := c.Users[id], join("users", id)
		u.TokenSHA256 = strings.ToLower(u.TokenSHA256)
		token := u.Token.Reveal()
		switch {
		case token == "" && u.TokenSHA256 == "":
			if !ps.failed[join(path, "token_sha256")] {
				ps.fail(join(path, "token"), "it is missing; set token, or token_sha256 to its SHA-256")
			}
			continue
		case u.TokenSHA256 != "" && !isSHA256(u.TokenSHA256):
			ps.fail(join(path, "token_sha256"), "it must be 64 hexadecimal digits, as printf %%s TOKEN | sha256sum prints them")
			continue
		}
		checkToken(ps, join(path, "token"), token)
		for _, digest := range u.Digests() {
			if other, taken := byDigest[digest]; taken && other != id {
				ps.fail(join(path, "token"), "user %q has the same token; each user needs one of its own", other)
			}
			byDigest[digest] = id
		}
		if _, known := c.Providers[u.FilesProvider]; u.FilesProvider != "" && !known {
			ps.fail(join(path, "files_provider"), "%s", unknown("provider", u.FilesProvider, slices.Collect(maps.Keys(c.Providers))))
		}
		validateTags(ps, path, u.Tags)
		switch {
		case u.AllowAll == nil:
		case *u.AllowAll && len(u.AllowedModels) > 0:
			ps.fail(join(path, "allow_all_models"), "it is true, but allowed_models names some only; delete one of them")
		case !*u.AllowAll && len(u.AllowedModels) == 0:
			ps.fail(join(path, "allow_all_models"), "it is false, but allowed_models is empty, which means all; name some, or set enabled = false")
		}
		for i, name := range u.AllowedModels {
			if !slices.ContainsFunc(models, func(model string) bool { return Matches(name, model) }) {
				ps.warn(at(join(path, "allowed_models"), i), "no model has the name %q", name)
			}
		}
	}
}

// checkToken checks a token that clients send, unless there is none.
func checkToken(ps *problems, path, token string) {
	const short = 16
	switch odd := badCharacter(token, ","); {
	case odd != "":
		ps.fail(path, "%s, which no bearer token can hold", odd)
	case token != "" && len(token) < short:
		ps.warn(path, "it is shorter than %d characters and can be guessed; openssl rand -hex 24 makes a strong one", short)
	}
}

// Matches tells whether a model has the name that one of [users.x] allowed_models gives, in which each * stands for any text.
func Matches(pattern, name string) bool {
	front, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	after, ok := strings.CutPrefix(name, front)
	if !ok {
		return false
	}
	for i := range len(after) + 1 {
		if Matches(rest, after[i:]) {
			return true
		}
	}
	return false
}

// Digests returns the SHA-256 of each token that the user may send: of Token, and TokenSHA256. There are two while one is
// being replaced by the other.
func (u *User) Digests() [][sha256.Size]byte {
	var ds [][sha256.Size]byte
	if token := u.Token.Reveal(); token != "" {
		ds = append(ds, sha256.Sum256([]byte(token)))
	}
	if b, err := hex.DecodeString(u.TokenSHA256); err == nil && len(b) == sha256.Size {
		ds = append(ds, [sha256.Size]byte(b))
	}
	return ds
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
