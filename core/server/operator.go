package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/failurelimit"
)

// guessesPerMinute is how many wrong admin tokens an address may send per minute.
const guessesPerMinute = 30

// admitOperator rejects requests without the admin token, if there is one, and requests from web pages in the operator's browser.
func (s *Server) admitOperator(next echo.HandlerFunc) echo.HandlerFunc {
	pages := http.NewCrossOriginProtection() // checks Sec-Fetch-Site, else Origin, of all methods but GET, HEAD and OPTIONS
	return func(c echo.Context) error {
		r, conf := c.Request(), s.gateway.Config().Server
		if pages.Check(r) != nil || isEmbedded(r) {
			return apierror.Invalid(http.StatusForbidden, apierror.CodeForbiddenOrigin, "", "The admin pages take no requests from other web pages.")
		}
		if conf.AdminToken.Reveal() == "" {
			if !isOwnHost(r.Host, conf) {
				return apierror.Invalid(http.StatusForbidden, apierror.CodeForbiddenOrigin, "",
					"Without admin_token, the admin pages answer under an IP address, localhost or a name without a dot only: another name can be a web page's (DNS rebinding). Set [server] admin_token, or add the name to admin_hosts.")
			}
			return next(c)
		}
		if err := s.wantToken(r, conf.AdminToken.Reveal()); err != nil {
			return err
		}
		return next(c)
	}
}

// isEmbedded reports whether a page of another site made the browser send the request, unless its user followed a link. Over HTTP, browsers send
// Sec-Fetch-Site to loopback addresses only; Origin and Referer stand in elsewhere. The latter cannot tell a link from an image, so it is
// checked only where a GET costs something.
func isEmbedded(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Dest") != "document"
	case "":
		return isForeign(r.Header.Get("Origin"), r.Host) || strings.HasPrefix(r.URL.Path, "/debug/") && isForeign(r.Header.Get("Referer"), r.Host)
	}
	return false
}

// isForeign reports whether a page's URL has another host.
func isForeign(page, host string) bool {
	if page == "" {
		return false
	}
	u, err := url.Parse(page)
	return err != nil || !strings.EqualFold(u.Host, host)
}

// wantToken rejects requests without the admin token, and for a while addresses that guess.
func (s *Server) wantToken(r *http.Request, wanted string) error {
	address, now := failurelimit.ClientAddress(r, nil), time.Now()
	if wait := s.guesses.BlockedFor(address, now); wait > 0 {
		e := apierror.Invalid(http.StatusTooManyRequests, apierror.CodeTooManyFailures, "", "Too many requests from your address had a wrong admin token; check yours, and try again later.")
		e.RetryAfter = wait
		return e
	}
	token, err := apierror.Bearer(r.Header)
	if err != nil {
		return err
	}
	have, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(wanted))
	if subtle.ConstantTimeCompare(have[:], want[:]) == 1 {
		return nil
	}
	s.guesses.Failed(address, now)
	s.options.Log.Warn("admin token refused", "remote", address.String())
	return apierror.Invalid(http.StatusUnauthorized, apierror.CodeInvalidAPIKey, "", "The admin pages want the admin token: Authorization: Bearer ADMIN_TOKEN.")
}

// isOwnHost reports whether a Host header cannot be that of a web page elsewhere. A page can make its own name point to any address; its
// browser then takes that address for the page's host (DNS rebinding).
func isOwnHost(host string, c config.Server) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(c.AdminHosts, func(own string) bool { return strings.EqualFold(own, host) })
}
