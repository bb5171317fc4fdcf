// Package config is the typed form of Berry's TOML file: what it means, how it is read, and every way in which it can be
// wrong. It knows nothing of the rest of Berry; the names of types, stages and strategies that a file may use are passed in.
//
// config_example.toml shows every key with its meaning.
package config

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// A Config is one version of the file. It is not changed after Load.
type Config struct {
	Server     Server               `koanf:"server"`
	Auth       Auth                 `koanf:"auth"`
	Pipeline   Pipeline             `koanf:"pipeline"`
	Telemetry  Telemetry            `koanf:"telemetry"`
	Settings   Settings             `koanf:"settings"`
	Users      map[string]*User     `koanf:"users"`
	Providers  map[string]*Provider `koanf:"providers"`
	Models     map[string]*Model    `koanf:"models"`
	Strategies map[string]*Strategy `koanf:"strategies"`

	keys keys // that the file has
}

// Server is [server]: the listeners and their limits.
type Server struct {
	Listen               string   `koanf:"listen"`
	AdminListen          string   `koanf:"admin_listen"`
	AdminToken           Secret   `koanf:"admin_token"`
	AdminHosts           []string `koanf:"admin_hosts"` // names under which the admin pages answer without a token
	MaxBodyBytes         int64    `koanf:"max_body_bytes"`
	MaxEventBytes        int      `koanf:"max_event_bytes"`
	MaxTranslationBytes  int64    `koanf:"max_translation_bytes"` // 0 is a quarter of the process's memory limit, or 1 GiB
	TLSCert              string   `koanf:"tls_cert"`
	TLSKey               string   `koanf:"tls_key"`
	DebugHeaders         bool     `koanf:"debug_headers"`
	ShutdownDelaySeconds int      `koanf:"shutdown_delay_seconds"`
	ShutdownGraceSeconds int      `koanf:"shutdown_grace_seconds"`
	SessionHeader        string   `koanf:"session_header"`
	MaxInFlight          int      `koanf:"max_in_flight"`

	Certificate *tls.Certificate `koanf:"-"` // after Load: of TLSCert and TLSKey; nil without them
}

// Auth is [auth]: what guessers of tokens meet.
type Auth struct {
	MaxFailuresPerMinute int      `koanf:"max_failures_per_minute"`
	TrustedProxies       []string `koanf:"trusted_proxies"`

	Proxies []netip.Prefix `koanf:"-"` // after Load: TrustedProxies
}

// Pipeline is [pipeline]: the stages in their order.
type Pipeline struct {
	Plugins []string `koanf:"plugins"`
}

// Telemetry is [telemetry]: what is seen of the gateway, and how much of it.
type Telemetry struct {
	ServiceName         string   `koanf:"service_name"`
	SampleRatio         *float64 `koanf:"sample_ratio"` // nil if it is left to OTEL_TRACES_SAMPLER, or else 1
	KeepErrors          bool     `koanf:"keep_errors"`
	KeepSlowSeconds     int      `koanf:"keep_slow_seconds"`
	CaptureContent      bool     `koanf:"capture_content"`
	CaptureContentBytes int      `koanf:"capture_content_bytes"`
	LogLevel            string   `koanf:"log_level"`
	LogSampleRatio      float64  `koanf:"log_sample_ratio"`
	Decisions           int      `koanf:"decisions"`
}

// Captured returns how many bytes of a prompt, and of an answer, are put into traces; 0 is nothing of them.
func (t Telemetry) Captured() int {
	if !t.CaptureContent {
		return 0
	}
	return t.CaptureContentBytes
}

// Ratio returns SampleRatio, and whether the operator has set it; 1 if not.
func (t Telemetry) Ratio() (ratio float64, set bool) {
	if t.SampleRatio == nil {
		return 1, false
	}
	return *t.SampleRatio, true
}

// Level returns LogLevel as slog has it.
func (t Telemetry) Level() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(t.LogLevel)) // Load has checked it
	return l
}

// Settings is [settings]: times, retries and health.
type Settings struct {
	HealthCheckIntervalSeconds int `koanf:"health_check_interval_seconds"`
	HealthCheckTimeoutSeconds  int `koanf:"health_check_timeout_seconds"`
	HealthCheckFailures        int `koanf:"health_check_failures"`
	RequestTimeoutSeconds      int `koanf:"request_timeout_seconds"`
	TotalTimeoutSeconds        int `koanf:"total_timeout_seconds"`
	FirstTokenTimeoutSeconds   int `koanf:"first_token_timeout_seconds"`
	StreamIdleTimeoutSeconds   int `koanf:"stream_idle_timeout_seconds"`
	KeepAliveSeconds           int `koanf:"keep_alive_seconds"`
	RealtimeIdleTimeoutSeconds int `koanf:"realtime_idle_timeout_seconds"`
	MaxRetries                 int `koanf:"max_retries"`
	SameBackendRetries         int `koanf:"same_backend_retries"`
	RetryAfterWaitSeconds      int `koanf:"retry_after_wait_seconds"`
	FailureThreshold           int `koanf:"failure_threshold"`
	CooldownSeconds            int `koanf:"cooldown_seconds"`
	MaxCooldownSeconds         int `koanf:"max_cooldown_seconds"`
	MaxRetryAfterSeconds       int `koanf:"max_retry_after_seconds"`
}

// A User is [users.ID]: a client of the gateway. One of Token and TokenSHA256 is set, or both.
type User struct {
	Name          string   `koanf:"name"`
	Token         Secret   `koanf:"token"`
	TokenSHA256   string   `koanf:"token_sha256"`
	AllowedModels []string `koanf:"allowed_models"`
	AllowAll      *bool    `koanf:"allow_all_models"` // nil: if AllowedModels is empty
	FilesProvider string   `koanf:"files_provider"`
	Enabled       bool     `koanf:"enabled"`
	Tags          []string `koanf:"tags"`
}

// A Provider is [providers.ID]: an account at an LLM provider. After Load, APIKey holds what APIKeyFile names.
type Provider struct {
	Name               string            `koanf:"name"`
	Type               string            `koanf:"type"`
	BaseURL            string            `koanf:"base_url"`
	APIKey             Secret            `koanf:"api_key"`
	APIKeyFile         string            `koanf:"api_key_file"`
	Headers            map[string]Secret `koanf:"headers"`
	Models             []string          `koanf:"models"`
	TimeoutSeconds     int               `koanf:"timeout_seconds"`
	MaxInFlight        int               `koanf:"max_in_flight"`
	IdleTimeoutSeconds int               `koanf:"idle_timeout_seconds"`
	APIVersion         string            `koanf:"api_version"`
	CAFile             string            `koanf:"ca_file"`
	HealthCheck        bool              `koanf:"health_check"`
	Enabled            bool              `koanf:"enabled"`

	CA []byte `koanf:"-"` // after Load: what CAFile holds, certificates in PEM
}

// A Model is [models.KEY]: a name for clients and the backends behind it.
type Model struct {
	Name           string    `koanf:"name"`
	Strategy       string    `koanf:"strategy"`
	Shadow         string    `koanf:"shadow"`
	StreamRecovery string    `koanf:"stream_recovery"`
	ResponseModel  string    `koanf:"response_model"`
	Enabled        bool      `koanf:"enabled"`
	Backends       []Backend `koanf:"backends"`
}

// What becomes of a stream that breaks, by [models.x] stream_recovery.
const (
	RecoveryOff     = "off"     // its client is told
	RecoveryRestart = "restart" // its events were held back, and another backend begins anew
)

// Whose name of the model answers carry, by [models.x] response_model.
const (
	NameOfProvider = "provider"
	NameOfClient   = "client"
)

// A Backend is one of [[models.KEY.backends]].
type Backend struct {
	Provider      string   `koanf:"provider"`
	Model         string   `koanf:"model"`
	Weight        float64  `koanf:"weight"`
	Priority      int32    `koanf:"priority"`
	Tags          []string `koanf:"tags"`
	CostInput     float64  `koanf:"cost_input"`
	CostOutput    float64  `koanf:"cost_output"`
	ContextWindow int      `koanf:"context_window"`
	Enabled       bool     `koanf:"enabled"`
}

// A Strategy is [strategies.NAME]: a module of the operator's own. After Load, Path is relative to the working folder
// or absolute.
type Strategy struct {
	Path     string         `koanf:"path"`
	SHA256   string         `koanf:"sha256"`
	Fuel     int64          `koanf:"fuel"`
	MemoryMB int            `koanf:"memory_mb"`
	Fallback string         `koanf:"fallback"`
	Config   map[string]any `koanf:"config"`
}

// DefaultFallback is the strategy that picks when one without a fallback of its own faults.
const DefaultFallback = "failover"

// MaxFuel bounds [strategies.x] fuel: a guest cannot be preempted, and Go's stop-the-world waits for it.
const MaxFuel = 5_000_000

// Summary counts what the config has: "3 providers, 4 models, 2 users, 1 strategy".
func (c *Config) Summary() string {
	return strings.Join([]string{
		Count(len(c.Providers), "provider"), Count(len(c.Models), "model"), Count(len(c.Users), "user"), Count(len(c.Strategies), "strategy"),
	}, ", ")
}

// Seconds returns n seconds, as the keys ending in _seconds count them.
func Seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// maxCooldownSeconds is the default of max_cooldown_seconds: a backend that recovers is used again within half a minute.
const maxCooldownSeconds = 20

// defaults is a config before a file is read. A list has no default here: the decoder would write into it.
func defaults() *Config {
	return &Config{
		Server: Server{
			Listen: ":3000", AdminListen: "127.0.0.1:3001", MaxBodyBytes: 32 << 20, MaxEventBytes: 64 << 20,
			ShutdownGraceSeconds: 30, SessionHeader: "X-Session-Id",
		},
		Telemetry: Telemetry{
			ServiceName: "berry", CaptureContentBytes: 8192, LogLevel: "info", LogSampleRatio: 1, Decisions: 1000,
		},
		Settings: Settings{
			HealthCheckIntervalSeconds: 30, HealthCheckTimeoutSeconds: 10, HealthCheckFailures: 2,
			RequestTimeoutSeconds: 300, StreamIdleTimeoutSeconds: 120, KeepAliveSeconds: 5, RealtimeIdleTimeoutSeconds: 300,
			MaxRetries: 3, FailureThreshold: 5, CooldownSeconds: 10, MaxCooldownSeconds: maxCooldownSeconds, MaxRetryAfterSeconds: 300,
		},
	}
}

// setTableDefaults adds to the raw file what its tables of users, providers, models and strategies leave out.
func setTableDefaults(raw map[string]any) {
	each := func(table string, defaults func(key string) map[string]any) {
		entries, _ := raw[table].(map[string]any)
		for key, entry := range entries {
			setDefaults(entry, defaults(key))
		}
	}
	each("users", func(string) map[string]any { return map[string]any{"enabled": true} })
	each("providers", func(string) map[string]any {
		return map[string]any{"enabled": true, "type": "openai", "health_check": true}
	})
	each("models", func(key string) map[string]any {
		return map[string]any{"enabled": true, "name": key, "stream_recovery": RecoveryOff, "response_model": NameOfProvider}
	})
	each("strategies", func(string) map[string]any {
		return map[string]any{"fuel": int64(1_000_000), "memory_mb": int64(16), "fallback": DefaultFallback}
	})
	if settings, ok := raw["settings"].(map[string]any); ok { // one who asks for longer cooldowns need not name the longest
		if cooldown, ok := settings["cooldown_seconds"].(int64); ok && cooldown > maxCooldownSeconds {
			setDefaults(settings, map[string]any{"max_cooldown_seconds": cooldown})
		}
	}
	models, _ := raw["models"].(map[string]any)
	for _, entry := range models {
		model, _ := entry.(map[string]any)
		backends, _ := model["backends"].([]any)
		for _, b := range backends {
			setDefaults(b, map[string]any{"enabled": true, "weight": 1.0})
		}
	}
}

func setDefaults(entry any, defaults map[string]any) {
	table, ok := entry.(map[string]any)
	if !ok {
		return // the decoder says what is wrong with it
	}
	for key, value := range defaults {
		if _, set := table[key]; !set {
			table[key] = value
		}
	}
}
