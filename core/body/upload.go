package body

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/multipartscan"
	"github.com/berrygate/berry/core/provider/adapter"
)

// FormError returns the error response for an invalid form.
func FormError(err error) *apierror.Error {
	if errors.Is(err, multipartscan.ErrRefused) {
		return apierror.Invalid(http.StatusForbidden, apierror.CodeModelNotAllowed, "", "The form %s.", err.Error())
	}
	code, param := apierror.CodeInvalidForm, ""
	if errors.Is(err, multipartscan.ErrTwoModels) || errors.Is(err, multipartscan.ErrModel) {
		code, param = apierror.CodeInvalidModel, "model"
	}
	if errors.Is(err, multipartscan.ErrStream) {
		code, param = apierror.CodeInvalidValue, "stream"
	}
	return apierror.Invalid(http.StatusBadRequest, code, param, "The form %s.", err.Error())
}

// An Upload is a request's body that is not read into memory. What has arrived before the first attempt is spooled, and can be sent any
// number of times; the rest passes from the client to one provider as it arrives, and cannot be sent again. Methods may be called on nil,
// which stands for a JSON body. It is safe for concurrent use: net/http sends it in a goroutine of its own.
type Upload struct {
	contentType string
	in          bodyReader
	kept        spool
	ended       bool // the client has sent all of it

	mu      sync.Mutex
	scanner *multipartscan.Scanner // nil if the body names no model
	turn    *uploadReader          // the one that may read on; nil: none
	sent    bool                   // a part that was not spooled
	err     error                  // why it cannot be sent
}

// NewUpload starts to read a body of the content type. scanner is nil if the body names no model.
func NewUpload(src Source, contentType string, scanner *multipartscan.Scanner) (*Upload, error) {
	in, err := newBodyReader(src)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(in.connection.EnableFullDuplex(), in.connection.SetReadDeadline(time.Time{})); err != nil { // a provider may respond before it has read all
		return nil, apierror.Internal(err)
	}
	if src.Request.ProtoMajor == 1 {
		src.Writer.Header().Set("Connection", "close") // else net/http would take the unread rest for the next request
	}
	return &Upload{contentType: contentType, in: in, scanner: scanner}, nil
}

// Begin reads and spools the form until its model is known and a file follows, or to the end.
func (u *Upload) Begin() error {
	piece := make([]byte, 32<<10)
	for u.scanner.Model.Text == "" || !u.scanner.InFile {
		n, err := u.in.Read(piece)
		if scanErr := u.scan(piece[:n]); scanErr != nil {
			return scanErr
		}
		if _, err := u.kept.Write(piece[:n]); err != nil {
			return apierror.Internal(err)
		}
		if errors.Is(err, io.EOF) {
			u.ended = true
			u.in.Writer.Header().Del("Connection")
			return u.whole()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scan parses a piece of the form.
func (u *Upload) scan(piece []byte) error {
	if u.scanner == nil || len(piece) == 0 {
		return nil
	}
	if _, err := u.scanner.Write(piece); err != nil {
		return FormError(err)
	}
	return nil
}

// whole returns an error if the form may not end here.
func (u *Upload) whole() error {
	if u.scanner == nil {
		return nil
	}
	if err := u.scanner.Close(); err != nil {
		return FormError(err)
	}
	if u.scanner.Model.Text == "" {
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeMissingModel, "model",
			`The form names no model; send a part "model" with one that GET /v1/models lists.`)
	}
	return nil
}

// Send makes the upload the body of r, with model in place of the form's model. waits is called before each wait for the client, and its
// result afterwards. It fails if the model's name contains the form's boundary.
func (u *Upload) Send(r *http.Request, model string, waits func() (over func())) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	length := u.in.Request.ContentLength
	if u.ended {
		length = u.kept.length
	}
	kept := u.kept.section(0, u.kept.length)
	if u.scanner != nil {
		if !u.scanner.Fits(model) {
			return adapter.Invalid("model", "cannot be replaced, since its name has the form's boundary in it; choose another boundary.")
		}
		at := u.scanner.Model
		kept = io.MultiReader(u.kept.section(0, at.Begin), strings.NewReader(model), u.kept.section(at.End, u.kept.length))
		if length >= 0 {
			length += int64(len(model)) - (at.End - at.Begin)
		}
	}
	r.Header["Content-Type"] = []string{u.contentType}
	u.turn = &uploadReader{u, kept, waits}
	r.Body, r.ContentLength = u.turn, length
	return nil
}

// Detach takes the upload away from the latest request: net/http may still read it after the response. It reports whether the upload can be
// sent again.
func (u *Upload) Detach() (again bool) {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn = nil
	return !u.sent
}

// Interrupt ends a wait for the client: net/http's transport does not return before.
func (u *Upload) Interrupt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.turn != nil && u.sent && !u.ended {
		u.turn = nil
		_ = u.in.connection.SetReadDeadline(time.Unix(1, 0)) // it fails if the connection is gone
	}
}

// Consumed reports whether a part of the upload was sent that cannot be sent again.
func (u *Upload) Consumed() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sent
}

// Complete reports whether the client has sent all of the upload.
func (u *Upload) Complete() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ended
}

// Err returns why the upload cannot be sent; nil if it can. It is an *apierror.Error.
func (u *Upload) Err() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// Stream reports whether the form has asked for a stream so far; the field may follow the file.
func (u *Upload) Stream() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.scanner != nil && u.scanner.Stream
}

// End removes what was spooled, after the response.
func (u *Upload) End() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn = nil // a reader fails from now on
	return u.kept.Close()
}
