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

// FormError says what is wrong with a form.
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

// An Upload is a request's body that is not held in memory. What has arrived before the first attempt is kept, and can be sent any
// number of times; the rest passes from the client to one provider as it comes, and then cannot be sent again. A nil Upload is that
// of an exchange whose body is JSON. Its methods are safe for concurrent use: the goroutine that sends is not the exchange's.
type Upload struct {
	contentType string
	in          bodyReader
	kept        spool
	ended       bool // all of it is kept

	mu      sync.Mutex
	scanner *multipartscan.Scanner // nil if the body names no model
	turn    *uploadReader          // who may read on; nil is nobody
	sent    bool                   // a part of what was not kept
	err     error                  // why it cannot be sent whole
}

// NewUpload begins to read a body of the type.
func NewUpload(src Source, contentType string, scanner *multipartscan.Scanner) (*Upload, error) {
	in, err := newBodyReader(src)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(in.connection.EnableFullDuplex(), in.connection.SetReadDeadline(time.Time{})); err != nil { // a provider may answer before it has read all
		return nil, apierror.Internal(err)
	}
	if src.Request.ProtoMajor == 1 {
		src.Writer.Header().Set("Connection", "close") // else net/http would take what is not read of the body for the next request
	}
	return &Upload{contentType: contentType, in: in, scanner: scanner}, nil
}

// Begin reads and keeps the form until its model is known and a file follows, or to its end.
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

// scan looks at a piece of the form.
func (u *Upload) scan(piece []byte) error {
	if u.scanner == nil || len(piece) == 0 {
		return nil
	}
	if _, err := u.scanner.Write(piece); err != nil {
		return FormError(err)
	}
	return nil
}

// whole tells whether the body may end here.
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

// Send makes the upload the body of r, with model in place of the form's. While the client is waited for, waits runs, and the
// function that it returns when that is over. It fails if the model cannot stand in the form.
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

// Detach ends the sending under way: net/http may still read when its answer is here. It tells whether the upload can be sent again.
func (u *Upload) Detach() (again bool) {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn = nil
	return !u.sent
}

// Interrupt ends the sending under way if it may wait for the client: net/http's transport does not give up before.
func (u *Upload) Interrupt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.turn != nil && u.sent && !u.ended {
		u.turn = nil
		_ = u.in.connection.SetReadDeadline(time.Unix(1, 0)) // if that fails, the connection has
	}
}

// Consumed tells whether a part of the upload was sent that cannot be sent again.
func (u *Upload) Consumed() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sent
}

// Complete tells whether nothing of the upload is left for the client to send.
func (u *Upload) Complete() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ended
}

// Err returns why the upload cannot be sent whole; nil if nothing was wrong with it so far. It is an *Error.
func (u *Upload) Err() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// Stream tells whether the form has asked for a stream so far; its last word may have come after its file.
func (u *Upload) Stream() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.scanner != nil && u.scanner.Stream
}

// End lets go of what is kept, when the client has its answer.
func (u *Upload) End() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn = nil // whoever reads on now gets nothing
	return u.kept.Close()
}
