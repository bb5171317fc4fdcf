// Package auth is the stage that authenticates: it finds the user of a token, or rejects the request. It reads the request's headers only.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/failurelimit"
)

// A Digest is the SHA-256 of a token. Tokens are neither stored nor compared, so that the time of a comparison reveals nothing about them.
type Digest = [sha256.Size]byte

// Options are the operator's settings of authentication.
type Options struct {
	MaxFailuresPerMinute int            // of one address, which is then blocked; 0: no limit
	TrustedProxies       []netip.Prefix // whose X-Forwarded-For contains the client's address
}

// Plugin is the stage "auth".
type Plugin struct {
	users   map[Digest]*core.User
	proxies []netip.Prefix
	guard   *failurelimit.Limiter // of failures; nil: no limit
	lines   *failurelimit.Limiter // of log lines
	log     *slog.Logger
}

var _ core.Plugin = (*Plugin)(nil)

// New returns the stage for the users, by their tokens' digests. It shares the count of failures with earlier configs' stages. Rejections
// are logged for audit, with the beginning of the token's digest, never the token.
func New(users map[Digest]*core.User, o Options, failures *Failures, log *slog.Logger) (*Plugin, error) {
	lines, err := failures.log()
	if err != nil {
		return nil, err
	}
	p := &Plugin{users: users, proxies: o.TrustedProxies, lines: lines, log: log}
	if o.MaxFailuresPerMinute > 0 {
		p.guard, err = failures.guard(o.MaxFailuresPerMinute)
	}
	return p, err
}

// Handle sets x.User, or rejects the request with 401, or with 429 after too many failures of the address.
func (p *Plugin) Handle(ctx context.Context, x *core.Exchange) error {
	if p.guard != nil {
		if wait := p.guard.BlockedFor(failurelimit.ClientAddress(x.Request, p.proxies), time.Now()); wait > 0 {
			e := apierror.Invalid(http.StatusTooManyRequests, apierror.CodeTooManyFailures, "",
				"Too many requests from your address had an API key that this gateway does not know; check yours, and try again later.")
			e.RetryAfter = wait
			return e
		}
	}
	refusal := p.identify(ctx, x)
	if refusal == nil {
		return nil
	}
	if p.guard != nil && refusal.Code == apierror.CodeInvalidAPIKey && p.guard.Failed(failurelimit.ClientAddress(x.Request, p.proxies), time.Now()) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "address turned away: too many unknown tokens", slog.String("remote", failurelimit.ClientAddress(x.Request, p.proxies).String()))
	}
	return refusal
}

// identify sets x.User, or returns a 401.
func (p *Plugin) identify(ctx context.Context, x *core.Exchange) *apierror.Error {
	token, err := x.Operation.Protocol.Key(x.Request.Header)
	if err != nil {
		p.audit(ctx, x, err, "")
		return err
	}
	digest := sha256.Sum256([]byte(token))
	fingerprint := hex.EncodeToString(digest[:4])
	user := p.users[digest]
	switch {
	case user == nil:
		err = apierror.Invalid(http.StatusUnauthorized, apierror.CodeInvalidAPIKey, "",
			"This gateway does not know your API key; check it, or ask the operator for one.")
	case !user.Enabled:
		err = apierror.Invalid(http.StatusUnauthorized, apierror.CodeAccountDeactivated, "",
			"Your account is switched off; ask the operator of this gateway.")
	default:
		x.User = user
		return nil
	}
	p.audit(ctx, x, err, fingerprint)
	return err
}

// audit logs a rejection, the only log line of its exchange. The lines per address and minute are limited.
func (p *Plugin) audit(ctx context.Context, x *core.Exchange, refusal *apierror.Error, fingerprint string) {
	address, now := failurelimit.ClientAddress(x.Request, p.proxies), time.Now()
	if p.lines.BlockedFor(address, now) > 0 {
		return
	}
	p.lines.Failed(address, now)
	p.log.LogAttrs(ctx, slog.LevelWarn, "authentication refused",
		slog.String("request_id", x.ID), slog.String("code", refusal.Code), slog.String("token_fingerprint", fingerprint),
		slog.String("remote", address.String()), slog.String("route", x.Operation.Route()))
}
