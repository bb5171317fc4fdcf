// Package azure is the dialect of OpenAI's models at Azure (https://learn.microsoft.com/azure/ai-foundry/openai/reference).
// Requests and answers pass as they are; what differs is where they go, and the key's header. A model's name at the provider
// is that of its deployment.
package azure

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
)

// Type is the name of this dialect in the config.
const Type = "azure"

// An Adapter directs calls to one resource.
type Adapter struct {
	account     adapter.Endpoint // whose base ends before /openai
	deployments bool             // each deployment has a path of its own, as it is for APIs with a dated version
	query       string
}

var _ adapter.Adapter = (*Adapter)(nil)

// New returns the dialect for the account. Its base URL is the resource's, such as https://NAME.openai.azure.com. With an
// API version, such as 2024-10-21, calls go to the deployments' paths; without one, or if the base URL ends in /openai/v1, to
// the newer surface, which is OpenAI's own.
func New(a adapter.Endpoint) *Adapter {
	base, isV1 := strings.CutSuffix(a.Base.Path, "/openai/v1")
	u := *a.Base
	u.Path, u.RawPath = strings.TrimSuffix(base, "/openai"), ""
	a.Base = &u
	d := &Adapter{account: a, deployments: !isV1 && a.APIVersion != ""}
	if a.APIVersion != "" {
		d.query = url.Values{"api-version": {a.APIVersion}}.Encode()
	}
	return d
}

// Serves tells that all calls of OpenAI's are passed on but those that are not had at Azure.
func (d *Adapter) Serves(path string) bool {
	return path != "/moderations" && path != "/images/variations" && !strings.HasPrefix(path, "/messages")
}

// SetTarget fills in r's URL and its credentials.
func (d *Adapter) SetTarget(r *http.Request, c adapter.Call) {
	switch {
	case c.Path == "/realtime":
		d.realtime(r, c.Model)
	case !d.deployments:
		d.direct(r, "/openai/v1"+c.Path)
	case strings.HasPrefix(c.Path, "/files"), strings.HasPrefix(c.Path, "/batches"): // are no deployment's
		d.direct(r, "/openai"+c.Path)
	case strings.HasPrefix(c.Path, "/responses"): // names its deployment in the body
		d.direct(r, "/openai"+c.Path)
	default:
		d.direct(r, "/openai/deployments/"+url.PathEscape(c.Model)+c.Path)
	}
}

// realtime directs r, the handshake of a WebSocket, which has no body to name the deployment in.
func (d *Adapter) realtime(r *http.Request, deployment string) {
	path, name := "/openai/v1/realtime", "model"
	if d.deployments {
		path, name = "/openai/realtime", "deployment"
	}
	d.direct(r, path)
	q := r.URL.Query()
	q.Set(name, deployment)
	r.URL.RawQuery = q.Encode()
}

// Check directs r to the list of models.
func (d *Adapter) Check(r *http.Request) {
	if d.deployments {
		d.direct(r, "/openai/models")
	} else {
		d.direct(r, "/openai/v1/models")
	}
}

func (d *Adapter) direct(r *http.Request, path string) {
	r.URL = adapter.Join(d.account.Base, path)
	r.URL.RawQuery, r.Host = d.query, r.URL.Host
	if d.account.Key != "" {
		r.Header.Set("Api-Key", d.account.Key)
	}
	maps.Copy(r.Header, d.account.Headers)
}
