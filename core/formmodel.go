package core

import (
	"strings"

	"github.com/berrygate/berry/core/body"
	"github.com/berrygate/berry/core/multipartscan"
	"github.com/berrygate/berry/core/othermodels"
)

// FormModel finds the model of a call whose body is a multipart/form-data form, in the part "model".
type FormModel struct{}

// Resolve implements Resolver. It reads the form until the model is known and a file follows, or to the end.
func (FormModel) Resolve(c *Catalog, x *Exchange) error {
	types := x.Request.Header["Content-Type"]
	scanner, plain, err := multipartscan.New(strings.Join(types, ",")) // of two, some parsers use the first and some the last
	if err != nil {
		return body.FormError(err)
	}
	if !x.User.MayAll() {
		scanner.Refuses = othermodels.Part
	}
	u, err := body.NewUpload(x.source(), plain, scanner)
	if err != nil {
		return err
	}
	x.Body.Upload = u
	if err := u.Begin(); err != nil {
		return err
	}
	x.Body.Model, x.Body.Stream, x.Body.User = scanner.Model.Text, scanner.Stream, scanner.User
	x.Model, err = c.Lookup(x.Body.Model)
	return err
}
