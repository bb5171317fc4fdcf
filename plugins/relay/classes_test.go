package relay_test

import (
	"fmt"
	"testing"

	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/internal/readmetest"
)

// The table of README.md is that of the code. (BERRY_UPDATE=1 writes it.)
func TestClasses(t *testing.T) {
	table := "| the provider says | another backend | whose health | for how long | alone |\n|---|---|---|---|---|\n"
	for _, c := range route.Classes() {
		moves := "is asked"
		if !c.Moves {
			moves = "is not asked"
		}
		scope := c.Scope.String()
		if c.Doubtful {
			scope += "; for others it counts once"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s | %s |\n", c.When, moves, scope, lasting(c), alone(c.Client))
	}
	readmetest.Table(t, "README.md", "classes", table)
}

func lasting(c route.Class) string {
	threshold := "after `failure_threshold` in a row, `cooldown_seconds`, doubled up to `max_cooldown_seconds`"
	switch c.Lasts {
	case route.AfterThreshold:
		return threshold
	case route.ForRetryAfter:
		return "`Retry-After`; without one " + threshold
	case route.AtOnce:
		if c.Scope == upstream.ScopeAccount {
			return "at once, `Retry-After`, or `cooldown_seconds`, doubled up to `max_cooldown_seconds`"
		}
		return "at once, `Retry-After`, or `cooldown_seconds`"
	default:
		return ""
	}
}

func alone(a route.ClientAnswer) string {
	return map[route.ClientAnswer]string{
		route.ProvidersAnswer: "the provider's answer", route.IfExplained: "the provider's answer if it is JSON, else 502 `upstream_error`",
		route.IfRateLimit: "502 `upstream_error`; the provider's answer if that is a 429", route.BadGateway: "502 `upstream_error`",
		route.ModelNotFound: "404 `model_not_found`", route.ContentFilter: "400 `content_filter`", route.TooLarge: "413 `request_too_large`",
	}[a]
}
