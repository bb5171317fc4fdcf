package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/endpoints"
	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/internal/readmetest"
)

// README.md's table describes each operation, and the public listener has a route for each.
func TestOperationsTable(t *testing.T) {
	routes := (&Server{}).routes().(*echo.Echo).Routes()
	table := "| | operation | its model is found in | tried again | a stream's last event | JSON alone | " + strings.Join(provider.Types(), " | ") + " |\n" +
		"|---|---|---|---|---|---|" + strings.Repeat("---|", len(provider.Types())) + "\n"
	for _, op := range endpoints.All() {
		if !slices.ContainsFunc(routes, func(r *echo.Route) bool { return r.Method == op.Method && r.Path == pattern(op) }) {
			t.Errorf("%s %s has no route", op.Method, op.Route())
		}
		cells := []string{"`" + op.Method + " " + op.Route() + "`", op.Name, found(op), again(op), last(op), mark(!op.Media)}
		for _, typ := range provider.Types() {
			d, err := provider.New(typ, provider.Config{BaseURL: "https://provider.example/v1"})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case !d.Serves(op.Path) && op.Protocol.Serves(d, op.Path):
				cells = append(cells, "translated")
			default:
				cells = append(cells, mark(d.Serves(op.Path)))
			}
		}
		table += "| " + strings.Join(cells, " | ") + " |\n"
	}
	readmetest.Table(t, "README.md", "operations", table)
}

// pattern returns the operation's route in Echo's syntax.
func pattern(op core.Operation) string { return strings.Replace(op.Route(), "{id}", ":id", 1) }

func found(op core.Operation) string {
	switch op.Resolver.(type) {
	case nil, core.NewResponse:
		return "a JSON member"
	case core.FormModel:
		return "a form's part"
	case core.StoredResponse:
		return "a response's id"
	case core.RealtimeSession:
		return "the query"
	case core.AccountCall:
		return "an account"
	default:
		return fmt.Sprintf("%T", op.Resolver)
	}
}

func again(op core.Operation) string {
	switch op.Resolver.(type) {
	case core.FormModel:
		return "until its file is sent"
	case core.StoredResponse:
		return "there"
	case core.RealtimeSession:
		return "until its first message"
	case core.AccountCall:
		return "there, until its body is sent"
	default:
		return "✓"
	}
}

func last(op core.Operation) string {
	switch op.Resolver.(type) {
	case core.AccountCall, core.StoredResponse, core.RealtimeSession:
		if op.Terminal == "" {
			return ""
		}
	}
	switch {
	case op.Path == "/messages/count_tokens": // never streamed
		return ""
	case op.Terminal == "":
		return "`[DONE]`"
	}
	return "`" + op.Terminal + "`"
}

func mark(yes bool) string {
	if yes {
		return "✓"
	}
	return "–"
}

// Every route below /v1, except the lists of models, is in the table.
func TestRoutesAreOperations(t *testing.T) {
	for _, r := range (&Server{}).routes().(*echo.Echo).Routes() {
		known := slices.ContainsFunc(endpoints.All(), func(op core.Operation) bool { return op.Method == r.Method && pattern(op) == r.Path })
		if strings.HasPrefix(r.Path, "/v1/") && !strings.HasPrefix(r.Path, "/v1/models") && !known && r.Method != http.MethodOptions {
			t.Errorf("%s %s is not in the table", r.Method, r.Path)
		}
	}
}
