package route

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/openai"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// servingOnly is a type that answers calls with one path.
type servingOnly struct {
	adapter.Adapter
	path string
}

func (s servingOnly) Serves(path string) bool { return path == s.path }

// A backend whose type does not serve the call is no candidate; if none does, the client is told what is wrong.
func TestServing(t *testing.T) {
	x := exchange(3, choose(func(q *core.Query) (int, error) {
		if len(q.Candidates) != 1 || q.Candidates[0].Provider != "p1" {
			t.Errorf("candidates %+v", q.Candidates)
		}
		return 0, nil
	}))
	x.Operation.Path, x.Operation.Protocol = "/embeddings", openai.Protocol{}
	for i, path := range []string{"/chat/completions", "/embeddings", "/chat/completions"} {
		x.Model.Backends[i].Adapter = servingOnly{path: path}
	}
	step(t, x, at(0), &core.Failure{Result: abi.ServerError, Retryable: true, Err: errors.New("failed")})
	if s, ok := (Rules{MaxRetries: 5, Budget: 0}).After(x, at(0), 0); ok {
		t.Errorf("after the only one that serves: %s", namesOf(s.Among))
	}
	x.Model.Backends[1].Upstream.End(at(0), upstream.Report{Began: at(0), Result: abi.ServerError}, policy)
	_, err := Next(context.Background(), x, x.Model.Backends, at(1), 0)
	var e *apierror.Error
	if !errors.As(err, &e) || e.Code != apierror.CodeNoBackend {
		t.Errorf("while it cools: %v", err)
	}
	x.Operation.Path = "/completions"
	_, err = Next(context.Background(), x, x.Model.Backends, at(0), 0)
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Code != apierror.CodeNotServed {
		t.Errorf("served by none: %v", err)
	}
}

// A request that a backend has no words for goes to others only, and is no fault of the one that was not asked.
func TestUnfit(t *testing.T) {
	x := exchange(2, choose(first))
	a := step(t, x, at(0), &core.Failure{Result: abi.ClientError, Untranslatable: true, Err: errors.New("no words")})
	s, ok := (Rules{MaxRetries: 0, SameBackendRetries: 5}).After(x, at(0), 0) // nobody was asked: it is no retry
	if !ok || s.Wait != 0 || namesOf(s.Among) != "p1" {
		t.Errorf("%v %s", ok, namesOf(s.Among))
	}
	if v := a.Backend.Upstream.View(at(0)); v.Status != upstream.Healthy || v.Averages.Samples != 0 {
		t.Errorf("%+v", v)
	}
	step(t, x, at(0), nil)
	x.Attempts[1].Backend = x.Model.Backends[1]
	x.Attempts[1].Failure = &core.Failure{Result: abi.ClientError, Untranslatable: true, Err: errors.New("no words")}
	if _, ok := (Rules{MaxRetries: 5}).After(x, at(0), 0); ok {
		t.Error("there is nobody left")
	}
}
