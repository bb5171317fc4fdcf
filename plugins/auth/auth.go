// Package auth is the stage that learns who is asking: it turns a bearer token into a user, or refuses. It sees the
// request's headers only; the body has not been read.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"

	"github.com/berrygate/berry/core"
)

// A Digest is the SHA-256 of a token. Tokens themselves are neither kept nor compared, so that the time of a comparison
// tells nothing of them.
type Digest = [sha256.Size]byte

// Plugin is the stage "auth".
type Plugin struct {
	users map[Digest]*core.User
	log   *slog.Logger
}

var _ core.Plugin = (*Plugin)(nil)

// New returns the stage for the users, by their tokens' digests. Refusals are logged for audit, with the beginning of the
// token's digest, never the token.
func New(users map[Digest]*core.User, log *slog.Logger) *Plugin {
	return &Plugin{users, log}
}

// Handle sets x.User or refuses with 401.
func (p *Plugin) Handle(ctx context.Context, x *core.Exchange) error {
	token, err := core.Bearer(x.Request.Header)
	if err != nil {
		p.audit(ctx, x, err, "")
		return err
	}
	digest := sha256.Sum256([]byte(token))
	fingerprint := hex.EncodeToString(digest[:4])
	user := p.users[digest]
	switch {
	case user == nil:
		err = core.Invalid(http.StatusUnauthorized, core.CodeInvalidAPIKey, "",
			"This gateway does not know your API key; check it, or ask the operator for one.")
	case !user.Enabled:
		err = core.Invalid(http.StatusUnauthorized, core.CodeAccountDeactivated, "",
			"Your account is switched off; ask the operator of this gateway.")
	default:
		x.User = user
		return nil
	}
	p.audit(ctx, x, err, fingerprint)
	return err
}

func (p *Plugin) audit(ctx context.Context, x *core.Exchange, refusal *core.Error, fingerprint string) {
	p.log.LogAttrs(ctx, slog.LevelWarn, "authentication refused",
		slog.String("request_id", x.ID), slog.String("code", refusal.Code), slog.String("token_fingerprint", fingerprint),
		slog.String("remote", x.Request.RemoteAddr), slog.String("path", x.Request.URL.Path))
}
