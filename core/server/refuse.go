package server

import (
	"errors"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/core/api/endpoints"
	"github.com/berrygate/berry/core/apierror"
)

// refuse writes an error response in the client's API. Nothing must have been written before.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e *apierror.Error) {
	if e.Status == apierror.StatusClientGone {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if unread(r) {
		h.Set("Connection", "close")
	}
	body := errorBody(w, r, e)
	h.Set("Content-Length", strconv.Itoa(len(body))) // the client need not wait for the end of the connection
	w.WriteHeader(e.Status)
	if _, err := w.Write(body); err != nil {
		s.options.Log.DebugContext(r.Context(), "the client left before its error", "error", err)
	}
}

// routeError returns the error for a request without a route.
func routeError(c echo.Context, err error) *apierror.Error {
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return asError(err)
	}
	switch he.Code {
	case http.StatusNotFound:
		if meant := meantRoute(c); meant != "" {
			return apierror.Invalid(he.Code, apierror.CodeNotFound, "", "There is nothing at this path. Did you mean %s? Check the base URL that the client was given: slashes count, and /v1 stands in it once.", meant)
		}
		return apierror.Invalid(he.Code, apierror.CodeNotFound, "", "There is nothing at this path; the API begins at /v1, such as POST /v1/chat/completions.")
	case http.StatusMethodNotAllowed:
		return apierror.Invalid(he.Code, apierror.CodeMethodNotAllowed, "", "This path does not take this method; the Allow header lists those that it takes.")
	default:
		return apierror.Internal(err)
	}
}

// meantRoute returns the route that the client probably meant: without an extra slash, or with one /v1; "" if there is none.
func meantRoute(c echo.Context) string {
	r, clean := c.Request(), path.Clean(c.Request().URL.Path)
	_, rest, _ := strings.Cut(clean, "/v1/v1/")
	for _, meant := range []string{clean, "/v1" + clean, "/v1/" + rest} {
		found := c.Echo().NewContext(r, nil)
		c.Echo().Router().Find(r.Method, meant, found)
		if meant != r.URL.Path && found.Path() != "" {
			return r.Method + " " + found.Path()
		}
	}
	return ""
}

// errorBody returns the body of an error response in the API that the request's client speaks.
func errorBody(w http.ResponseWriter, r *http.Request, e *apierror.Error) []byte {
	protocol := endpoints.Protocol(r)
	name := protocol.RequestID()
	if name == "" {
		return protocol.ErrorBody(e, "")
	}
	id := w.Header().Get("X-Request-Id")
	if id == "" { // no exchange was made
		id = requestID(r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Request-Id", id)
	}
	w.Header().Set(name, id)
	return protocol.ErrorBody(e, id)
}
