package config

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a string that prints as [redacted] in every form: fmt's, JSON, text and logs. The zero value is empty.
// The string stands behind a pointer, since fmt prints an unexported field of a struct without asking its methods.
type Secret struct{ value *string }

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the string itself.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Format writes [redacted], whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) } // fmt keeps the error

// String returns [redacted].
func (s Secret) String() string { return redacted }

// MarshalText returns [redacted]; encoding/json uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
