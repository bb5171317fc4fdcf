package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"
)

// A Catalog is the enabled models by the names that clients use. It is immutable and safe for concurrent use.
type Catalog struct{ models map[string]*Model }

// NewCatalog returns the catalog of the models; their names differ.
func NewCatalog(models []*Model) *Catalog {
	c := &Catalog{make(map[string]*Model, len(models))}
	for _, m := range models {
		c.models[m.Name] = m
	}
	return c
}

// Models returns the models in the order of their names.
func (c *Catalog) Models() []*Model {
	return slices.SortedFunc(maps.Values(c.models), func(a, b *Model) int { return cmp.Compare(a.Name, b.Name) })
}

// Lookup returns the model with the client-facing name, or a model_not_found error.
func (c *Catalog) Lookup(name string) (*Model, error) {
	if m := c.models[name]; m != nil {
		return m, nil
	}
	return nil, ModelNotFound(name)
}

// ModelNotFound returns the error of a model that does not exist, or must not be seen to.
func ModelNotFound(name string) *Error {
	return Invalid(http.StatusNotFound, CodeModelNotFound, "model",
		"The model %q does not exist; GET /v1/models lists those that you can use.", clip(name))
}

// Resolve reads the exchange's body and sets x.Body and x.Model, once: the first stage that needs them calls it, and for
// later ones it does nothing.
func (c *Catalog) Resolve(x *Exchange) error {
	if x.Model != nil {
		return nil
	}
	raw, err := readBody(x)
	if err != nil {
		return err
	}
	if x.Body, err = ParseBody(raw); err != nil {
		return err
	}
	x.Model, err = c.Lookup(x.Body.Model)
	return err
}

// How long a client may pause within its upload, and how long all of it may take; after that it is given up.
const (
	uploadPause = 30 * time.Second
	uploadTime  = 10 * time.Minute
)

// readBody reads the whole request body, of at most x.MaxBody bytes.
func readBody(x *Exchange) ([]byte, error) {
	connection := http.NewResponseController(x.Writer)
	const firstBuffer = 1 << 20 // a Content-Length is a claim: believe this much of it before the bytes are here
	tooLarge := Invalid(http.StatusRequestEntityTooLarge, CodeRequestTooLarge, "",
		"The request body is larger than this gateway's limit of %d bytes; send less.", x.MaxBody)
	length := x.Request.ContentLength
	if length > x.MaxBody {
		return nil, tooLarge
	}
	body := http.MaxBytesReader(x.Writer, x.Request.Body, x.MaxBody)
	b := make([]byte, 0, min(max(length+1, 512), firstBuffer))
	last := x.Started.Add(uploadTime)
	for {
		deadline := time.Now().Add(uploadPause)
		if deadline.After(last) {
			deadline = last
		}
		if err := connection.SetReadDeadline(deadline); err != nil {
			return nil, Internal(fmt.Errorf("read request body: %w", err))
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		var limit *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return b, connection.SetReadDeadline(time.Time{}) // or net/http takes the deadline for the client's leaving
		case errors.As(err, &limit):
			return nil, tooLarge
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, Invalid(http.StatusRequestTimeout, CodeRequestTimeout, "", "The request body did not arrive in time; send it faster, and without a pause.")
		case errors.Is(err, io.ErrUnexpectedEOF) || x.Request.Context().Err() != nil:
			return nil, Interrupted(fmt.Errorf("read request body: %w", cmp.Or(context.Cause(x.Request.Context()), err)))
		case err != nil:
			return nil, Invalid(http.StatusBadRequest, CodeInvalidJSON, "", "The request body cannot be read; is its chunked encoding right?")
		}
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
	}
}

// clip shortens what a client sent to what an error message can bear.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
