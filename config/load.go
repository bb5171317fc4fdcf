package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	tomlparser "github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// Registry are the names that a file may use and that other packages define.
type Registry struct {
	Types      []string // of providers
	Stages     []string // of the pipeline, in their default order
	Optional   []string // stages that may be left out
	Anywhere   []string // stages that may stand anywhere
	Strategies []string // that are built in
}

// A Loaded is a file that was read, valid or not.
type Loaded struct {
	Config   *Config           // nil if the file has errors
	Modules  map[string][]byte // of the operator's own strategies, by their names
	Digest   string            // the config file's SHA-256, as sha256sum prints it; "" if it could not be read
	Files    Files             // everything that was read, as far as reading went
	Warnings []Problem         // things that work but are probably not meant
	Err      error             // an *Error, or why the file could not be read
}

// delim separates keys in koanf's paths. Names with dots are ordinary here, so it is a character that no name has.
const delim = "\x00"

// Load reads and checks the file and the files that it names. environ are the process's variables as os.Environ returns
// them: they fill in ${NAME} and, as BERRY_SECTION__KEY, override single keys. Everything wrong is reported at once.
func Load(file string, environ []string, known Registry) Loaded {
	l := Loaded{Files: Files{}}
	raw, err := readConfig(l.Files, file)
	if err != nil {
		l.Err = err
		return l
	}
	l.Digest = l.Files[file]
	ps := &problems{}
	checkMode("", file, ps)
	text, message := decodeText(raw)
	if message == "" {
		l.Config, l.Modules = parse(text, filepath.Dir(file), environ, known, l.Files, ps)
	} else {
		ps.fail("", "%s", message)
	}
	ps.place(file, text)
	l.Warnings = ps.warnings
	if len(ps.errors) > 0 {
		shown := ps.errors[:min(len(ps.errors), mostProblems)]
		l.Config, l.Modules, l.Err = nil, nil, &Error{File: file, Problems: shown, More: len(ps.errors) - len(shown)}
	}
	return l
}

// mostProblems bounds the errors that are printed: whoever has so many has one mistake that makes all of them.
const mostProblems = 50

// checkMode warns of a file that others may read: it holds keys.
func checkMode(path, file string, ps *problems) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		what := "the file"
		if path != "" {
			what = file
		}
		ps.warn(path, "%s holds secrets and others may read it (mode %04o); run chmod 600 on it", what, info.Mode().Perm())
	}
}

// parse turns a file's bytes into a Config and its modules, as far as they go, and gathers what is wrong.
func parse(raw []byte, folder string, environ []string, known Registry, files Files, ps *problems) (*Config, map[string][]byte) {
	k := koanf.New(delim)
	if err := k.Load(rawbytes.Provider(raw), tomlparser.Parser()); err != nil {
		message, offset := syntax(raw, err)
		ps.add(Problem{Message: message, offset: offset})
		ps.unreadable = true
		return nil, nil
	}
	vars := variables(environ)
	tree := k.Raw()
	found := keys{}
	found.add("", tree)
	override(tree, vars, ps)
	setTableDefaults(tree)
	checker{vars, ps}.checkTypes(tree, reflect.TypeFor[Config](), "")
	c := defaults()
	if err := decode(tree, c); err != nil {
		ps.fail("", "%v", err)
		return nil, nil
	}
	if c.Pipeline.Plugins == nil {
		c.Pipeline.Plugins = slices.Clone(known.Stages)
	}
	modules := c.resolve(folder, files, ps)
	c.validate(known, ps)
	c.keys = found
	return c, modules
}

// whole is a koanf provider of a tree that is already there.
type whole map[string]any

func (w whole) Read() (map[string]any, error) { return w, nil }
func (w whole) ReadBytes() ([]byte, error)    { return nil, errors.ErrUnsupported }
