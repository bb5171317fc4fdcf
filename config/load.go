package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	tomlparser "github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/pelletier/go-toml/v2"
)

// Known are the names that a file may use and that other packages define.
type Known struct {
	Types      []string // of providers
	Stages     []string // of the pipeline, in their default order
	Optional   []string // stages that may be left out
	Anywhere   []string // stages that may stand anywhere
	Strategies []string // that are built in
}

// A Loaded is a file that was read, valid or not.
type Loaded struct {
	Config   *Config   // nil if the file has errors
	Warnings []Problem // things that work but are probably not meant
	Err      error     // an *Error, or why the file could not be read
}

// maxFile bounds a config file, in bytes; a larger one is not meant.
const maxFile = 16 << 20

// delim separates keys in koanf's paths. Names with dots are ordinary here, so it is a character that no name has.
const delim = "\x00"

// Load reads and checks the file. environ are the process's variables as os.Environ returns them: they fill in ${NAME}
// and, as BERRY_SECTION__KEY, override single keys. Everything wrong with the file is reported at once.
func Load(file string, environ []string, known Known) Loaded {
	raw, err := read(file)
	if err != nil {
		return Loaded{Err: err}
	}
	ps := &problems{}
	checkMode(file, ps)
	c := parse(raw, filepath.Dir(file), environ, known, ps)
	order := func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) }
	slices.SortStableFunc(ps.errors, order)
	slices.SortStableFunc(ps.warnings, order)
	l := Loaded{Config: c, Warnings: ps.warnings}
	if len(ps.errors) > 0 {
		l.Config, l.Err = nil, &Error{File: file, Problems: ps.errors}
	}
	return l
}

// read returns the file's bytes, or an error that says what to do.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("config: there is no %s; write one (config/config_simple.toml is a start) or name another with --config or CONFIG_PATH", file)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("config: %s may not be read by this user; change its owner or mode: %w", file, err)
	case err != nil:
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("config: %s is a directory; name the file in it", file)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("config: read %s: %w", file, err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("config: %s is larger than %d bytes; is it the right file?", file, maxFile)
	case len(bytes.TrimSpace(b)) == 0:
		return nil, fmt.Errorf("config: %s is empty; config/config_simple.toml is a start", file)
	}
	return b, nil
}

// checkMode warns of a file that others may read: it holds keys.
func checkMode(file string, ps *problems) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		ps.warn("", "the file holds secrets and others may read it (mode %04o); run chmod 600 on it", info.Mode().Perm())
	}
}

// parse turns a file's bytes into a Config, as far as they go, and gathers what is wrong.
func parse(raw []byte, folder string, environ []string, known Known, ps *problems) *Config {
	k := koanf.New(delim)
	if err := k.Load(rawbytes.Provider(raw), tomlparser.Parser()); err != nil {
		ps.fail("", "%s", syntax(err))
		return nil
	}
	vars := variables(environ)
	tree := k.Raw()
	expand(tree, "", vars, ps)
	override(tree, vars, ps)
	setTableDefaults(tree)
	conform(tree, reflect.TypeFor[Config](), "", ps)
	c := defaults()
	if err := decode(tree, c); err != nil {
		ps.fail("", "%v", err)
		return nil
	}
	if c.Pipeline.Plugins == nil {
		c.Pipeline.Plugins = slices.Clone(known.Stages)
	}
	c.resolve(folder, ps)
	c.validate(known, ps)
	return c
}

// syntax tells where TOML cannot be read. It does not quote the line, which may hold a secret.
func syntax(err error) string {
	var d *toml.DecodeError
	if errors.As(err, &d) {
		line, column := d.Position()
		return fmt.Sprintf("not TOML at line %d, column %d: %s", line, column, unquoted(d))
	}
	return "not TOML: " + unquoted(err)
}

// unquoted returns the parser's words without what they quote of the file, which may be a secret.
func unquoted(err error) string {
	return regexp.MustCompile("\"[^\"]*\"|`[^`]*`").ReplaceAllString(strings.TrimPrefix(err.Error(), "toml: "), "…")
}

// resolve makes paths relative to the file's folder and reads the API keys that stand in files.
func (c *Config) resolve(folder string, ps *problems) {
	relative := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	c.Server.TLSCert, c.Server.TLSKey = relative(c.Server.TLSCert), relative(c.Server.TLSKey)
	for _, s := range c.Strategies {
		s.Path = relative(s.Path)
	}
	for id, p := range c.Providers {
		if p.APIKeyFile == "" {
			continue
		}
		path := join("providers", id, "api_key_file")
		if p.APIKey.Reveal() != "" {
			ps.fail(path, "api_key is set too; keep one of them")
			continue
		}
		b, err := os.ReadFile(relative(p.APIKeyFile))
		key := strings.TrimSpace(string(b))
		switch {
		case err != nil:
			ps.fail(path, "%v", err)
		case key == "":
			ps.fail(path, "%s is empty; write the API key into it", p.APIKeyFile)
		default:
			p.APIKey = NewSecret(key)
		}
	}
}

// whole is a koanf provider of a tree that is already there.
type whole map[string]any

func (w whole) Read() (map[string]any, error) { return w, nil }
func (w whole) ReadBytes() ([]byte, error)    { return nil, errors.ErrUnsupported }
