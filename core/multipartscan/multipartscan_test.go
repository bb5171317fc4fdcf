package multipartscan

import (
	"bytes"
	"errors"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/complexitytest"
)

const kind = "multipart/form-data; boundary=b0und"

// body joins parts, whose lines are given with \n, with the boundary.
func body(parts ...string) string {
	text := ""
	for _, p := range parts {
		text += "--b0und\r\n" + strings.ReplaceAll(p, "\n", "\r\n") + "\r\n"
	}
	return text + "--b0und--\r\n"
}

func field(name, value string) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"\n\n" + value
}

func file(value string) string {
	return "Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\nContent-Type: audio/mpeg\n\n" + value
}

// scan gives the scanner the text in pieces of n bytes.
func scan(text string, n int) (*Scanner, error) {
	s, _, err := New(kind)
	if err != nil {
		return nil, err
	}
	for len(text) > 0 {
		piece := text[:min(n, len(text))]
		if _, err := s.Write([]byte(piece)); err != nil {
			return s, err
		}
		text = text[len(piece):]
	}
	return s, s.Close()
}

func TestScanner(t *testing.T) {
	model := field("model", "whisper-1")
	large := strings.Repeat("x\r\n--b0un", 10_000)
	for name, test := range map[string]struct {
		body  string
		model string
		err   error
	}{
		"model first":                {body(model, file("abc")), "whisper-1", nil},
		"file first":                 {body(file(large), model), "whisper-1", nil},
		"in between":                 {body(field("a", ""), model, file(large)), "whisper-1", nil},
		"without quotes":             {body("content-disposition: form-data; name=model\n\nm"), "m", nil},
		"with a type":                {body("Content-Disposition: form-data; name=\"model\"\nContent-Type: text/plain; charset=utf-8\n\nm"), "m", nil},
		"no model":                   {body(file("abc")), "", nil},
		"a file that looks like":     {body(file("Content-Disposition: form-data; name=\"model\"\n\nother\n"), model), "whisper-1", nil},
		"two models":                 {body(model, file("abc"), model), "whisper-1", ErrTwoModels},
		"two by case":                {body(model, field("Model", "x")), "whisper-1", ErrTwoModels},
		"another case":               {body(field("MODEL", "x")), "", ErrModel},
		"an empty model":             {body(field("model", "")), "", ErrModel},
		"a long model":               {body(field("model", strings.Repeat("m", 2000))), "", ErrModel},
		"a model that is no UTF-8":   {body(field("model", "\xff")), "", ErrModel},
		"a model in a file":          {body("Content-Disposition: form-data; name=\"model\"; filename=\"m\"\n\nm"), "", ErrModel},
		"a model in base64":          {body("Content-Disposition: form-data; name=\"model\"\nContent-Transfer-Encoding: base64\n\nbQ=="), "", ErrModel},
		"a name by RFC 2231":         {body("Content-Disposition: form-data; name*=utf-8''model\n\nm"), "", ErrHeader},
		"two names":                  {body("Content-Disposition: form-data; name=a; name=model\n\nm"), "", ErrHeader},
		"an escaped name":            {body("Content-Disposition: form-data; name=\"mo\\del\"\n\nm"), "", ErrHeader},
		"two dispositions":           {body("Content-Disposition: form-data; name=a\nContent-Disposition: form-data; name=model\n\nm"), "", ErrHeader},
		"a folded line":              {body("Content-Disposition: form-data;\n name=model\n\nm"), "", ErrHeader},
		"no header":                  {body("\nm"), "", ErrHeader},
		"a name in a parameter":      {body("Content-Disposition: form-data; b=\" name=model;\"; name=\"a\"\n\nm"), "", ErrHeader},
		"a name in a file's":         {body("Content-Disposition: form-data; filename=\"a; name=model\"; name=\"a\"\n\nm"), "", ErrHeader},
		"a name in an encoded word":  {body("Content-Disposition: form-data; name=\"=?utf-8?q?model?=\"\n\nm"), "", ErrHeader},
		"parts within a part":        {body("Content-Disposition: form-data; name=\"a\"\nContent-Type: Multipart/mixed; boundary=b\n\n--b\n"+field("model", "x")+"\n--b--", model), "", ErrHeader},
		"a list of models":           {body(field("model[]", "x")), "", ErrModel},
		"a file's name in two forms": {body("Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\"; c.mp3\"; filename*=utf-8''a\n\nx", model), "whisper-1", nil},
		"an attachment":              {body("Content-Disposition: attachment; name=model\n\nm"), "", ErrHeader},
		"a header of a megabyte":     {body("X: "+strings.Repeat("x", 1<<20)+"\n"+model, model), "", ErrHeader},
		"a header without an end":    {"--b0und\r\nX: " + strings.Repeat("x", 1<<20), "", ErrHeader},
		"no delimiter":               {"hello", "", ErrBoundary},
		"a preamble":                 {"\r\n" + body(model), "", ErrBoundary},
		"line feeds alone":           {strings.ReplaceAll(body(model), "\r\n", "\n"), "", ErrBoundary},
		"a delimiter of a line feed": {strings.Replace(body(file("abc"), model), "abc\r\n", "abc\n", 1), "", ErrBoundary},
		"a delimiter in a file":      {body(file("abc--b0und\n" + model)), "", ErrBoundary},
		"a longer delimiter":         {body(file("abc\n--b0under\n")), "", ErrBoundary},
		"an epilogue":                {body(model) + "--b0und\r\n", "whisper-1", ErrBoundary},
		"a cut":                      {strings.TrimSuffix(body(model), "--\r\n"), "", ErrCut},
		"a boundary never comes":     {strings.TrimSuffix(body(model, file(large)), "--b0und--\r\n"), "whisper-1", ErrCut},
		"nothing":                    {"", "", ErrCut},
	} {
		for _, n := range []int{1, 2, 7, 1000, 1 << 30} {
			s, err := scan(test.body, n)
			if !errors.Is(err, test.err) || s.Model.Text != test.model && err == nil {
				t.Errorf("%s, by %d: %q, %v; want %q, %v", name, n, s.Model.Text, err, test.model, test.err)
			}
			if v := s.Model; err == nil && v.Text != "" && test.body[v.Begin:v.End] != v.Text {
				t.Errorf("%s, by %d: %+v", name, n, v)
			}
			if cap(s.held) > 4*maxHeader && n <= 1000 {
				t.Errorf("%s, by %d: %d bytes are held", name, n, cap(s.held))
			}
		}
	}
}

func TestScannerNotes(t *testing.T) {
	s, err := scan(body(field("stream", "true"), field("user", "u"), file("abc")), 1<<30)
	if err != nil || !s.Stream || s.User != "u" || s.InFile || !s.Done {
		t.Errorf("%+v, %v", s, err)
	}
	for _, parts := range [][]string{{field("Stream", "true")}, {field("stream[]", "true")}, {field("stream", "false"), field("stream", "true")}, {field("stream", "true"), field("STREAM", "false")}} {
		if _, err := scan(body(parts...), 1<<30); !errors.Is(err, ErrStream) {
			t.Errorf("%q: %v, want that it has one stream", parts, err)
		}
	}
	s, err = scan(strings.TrimSuffix(body(file("abc")), "\r\n--b0und--\r\n"), 5)
	if !errors.Is(err, ErrCut) || !s.InFile {
		t.Errorf("%+v, %v", s, err)
	}
	for value, want := range map[string]bool{"True": true, "1": true, "on": true, "false": false, "0": false, "": false} {
		if s, err := scan(body(field("stream", value)), 3); err != nil || s.Stream != want {
			t.Errorf("%q: %v, %v", value, s.Stream, err)
		}
	}
	if s.Fits("a--b0und") || !s.Fits("whisper-1") {
		t.Error("what fits")
	}
}

func TestNew(t *testing.T) {
	for kind, want := range map[string]string{
		`multipart/form-data; boundary=abc`:                        `multipart/form-data; boundary=abc`,
		`Multipart/Form-Data; charset=utf-8; boundary="a b=c"`:     `multipart/form-data; boundary="a b=c"`,
		`multipart/form-data`:                                      "",
		`multipart/form-data; boundary=`:                           "",
		`multipart/form-data; boundary=ü`:                          "",
		`multipart/form-data; boundary=a; boundary=b`:              "",
		`multipart/mixed; boundary=a`:                              "",
		`application/json`:                                         "",
		`multipart/form-data; boundary=` + strings.Repeat("a", 71): "",
	} {
		if _, got, err := New(kind); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
	}
}

// However a form is split, the scanner says the same of it; and what it takes, mime/multipart reads with the same model, and with
// another in its place nothing else differs.
func FuzzScanner(f *testing.F) {
	f.Add(body(field("model", "whisper-1"), file("abc")), 3, "small")
	f.Add(body(file("a\r\n--b0un"), field("model", "m"), field("stream", "true")), 1, "")
	f.Add("--b0und\r\nContent-Disposition: form-data; name=\"mod\\el\"\r\n\r\n--b0und--", 2, "x")
	f.Fuzz(func(t *testing.T, text string, n int, model string) {
		var whole *Scanner
		var err error
		complexitytest.BoundedAllocs(t, len(text), func() { whole, err = scan(text, 1<<30) })
		split, splitErr := scan(text, n&0xff+1)
		if !errors.Is(splitErr, err) && (err == nil || splitErr == nil) || err == nil && (whole.Model != split.Model || whole.Stream != split.Stream || whole.User != split.User) {
			t.Fatalf("%+v, %v; split: %+v, %v", whole, err, split, splitErr)
		}
		if err != nil || whole.Model.Text == "" {
			return
		}
		v := whole.Model
		if text[v.Begin:v.End] != v.Text {
			t.Fatalf("%+v", v)
		}
		before := read(t, text)
		if before["model"] != v.Text {
			t.Fatalf("mime/multipart reads %q, the scanner %q", before["model"], v.Text)
		}
		if !whole.Fits(model) || model == "" {
			return
		}
		after := read(t, text[:v.Begin]+model+text[v.End:])
		if after["model"] != model || len(after) != len(before) {
			t.Fatalf("%v became %v", before, after)
		}
		for name, value := range before {
			if name != "model" && after[name] != value {
				t.Fatalf("%s: %q became %q", name, value, after[name])
			}
		}
	})
}

// read returns the parts' contents by their names, joined where names are the same.
func read(t *testing.T, text string) map[string]string {
	t.Helper()
	r := multipart.NewReader(strings.NewReader(text), "b0und")
	out := map[string]string{}
	for {
		p, err := r.NextRawPart()
		if err != nil {
			return out
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(p); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		out[p.FormName()] += b.String()
	}
}
