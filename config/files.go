package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Files are the files that a config was read from, itself among them: for each path the SHA-256 of what stood there, in
// hexadecimal; "" for one that could not be read.
type Files map[string]string

// Limits of what is read, in bytes; larger files are not meant.
const (
	maxFile   = 16 << 20 // a config
	maxSecret = 1 << 20  // a key or certificate
	maxModule = 64 << 20 // a strategy
)

// read returns the bytes of the file at path and notes them.
func (fs Files) read(path string, most int64) ([]byte, error) {
	fs[path] = ""
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // or a pipe that nobody writes to would hold up every reload
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; name the file in it", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes; is it the right file?", path, most)
	}
	digest := sha256.Sum256(b)
	fs[path] = hex.EncodeToString(digest[:])
	return b, nil
}

// resolve makes paths relative to the config's folder and reads the files that they name, so that nothing on disk matters
// after it. It returns the strategies' modules by their names.
func (c *Config) resolve(folder string, files Files, ps *problems) map[string][]byte {
	relative := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	c.Server.TLSCert, c.Server.TLSKey = relative(c.Server.TLSCert), relative(c.Server.TLSKey)
	c.Server.resolve(files, ps)
	for id, p := range c.Providers {
		p.APIKeyFile, p.CAFile = relative(p.APIKeyFile), relative(p.CAFile)
		p.resolve(join("providers", id), files, ps)
	}
	modules := map[string][]byte{}
	for name, s := range c.Strategies {
		s.Path = relative(s.Path)
		modules[name] = s.resolve(join("strategies", name), files, ps)
	}
	return modules
}

func (s *Server) resolve(files Files, ps *problems) {
	if s.TLSCert == "" && s.TLSKey == "" {
		return
	}
	if s.TLSCert == "" || s.TLSKey == "" {
		ps.fail("server", "tls_cert and tls_key belong together; one is missing")
		return
	}
	certificate, err := files.read(s.TLSCert, maxSecret)
	if err != nil {
		ps.fail("server.tls_cert", "%v", err)
	}
	key, keyErr := files.read(s.TLSKey, maxSecret)
	checkMode("server.tls_key", s.TLSKey, ps)
	if keyErr != nil {
		ps.fail("server.tls_key", "%v", keyErr)
	}
	if err != nil || keyErr != nil {
		return
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		ps.fail("server.tls_cert", "%v", err)
		return
	}
	s.Certificate = &pair
}

func (p *Provider) resolve(path string, files Files, ps *problems) {
	if p.APIKeyFile != "" {
		p.readKey(join(path, "api_key_file"), files, ps)
	}
	if p.CAFile != "" {
		var err error
		if p.CA, err = files.read(p.CAFile, maxSecret); err != nil {
			ps.fail(join(path, "ca_file"), "%v", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(p.CA) {
			ps.fail(join(path, "ca_file"), "%s holds no certificate in PEM", p.CAFile)
		}
	}
}

func (p *Provider) readKey(path string, files Files, ps *problems) {
	if p.APIKey.Reveal() != "" {
		ps.fail(path, "api_key is set too; keep one of them")
		return
	}
	b, err := files.read(p.APIKeyFile, maxSecret)
	checkMode(path, p.APIKeyFile, ps)
	key := trimLine(string(b))
	odd := badKey(key)
	switch {
	case err != nil:
		ps.fail(path, "%v", err)
	case key == "":
		ps.fail(path, "%s is empty; write the API key into it", p.APIKeyFile)
	case odd != "":
		ps.fail(path, "%s: %s", p.APIKeyFile, odd)
	case strings.Contains(key, "${"):
		ps.fail(path, "%s %s", p.APIKeyFile, unexpanded)
	default:
		p.APIKey = NewSecret(key)
	}
}

// badKey says why no provider can have made an API key; "" if one can.
func badKey(key string) string {
	if strings.HasPrefix(strings.ToLower(key), "bearer ") {
		return "it begins with the word Bearer; write the key alone"
	}
	if odd := badCharacter(key, ""); odd != "" {
		return odd + ", which no API key has"
	}
	return ""
}

// resolve reads the strategy's module and holds it against its pin.
func (s *Strategy) resolve(path string, files Files, ps *problems) []byte {
	if s.Path == "" {
		ps.fail(join(path, "path"), "it is missing; name the module's .wasm file")
		return nil
	}
	module, err := files.read(s.Path, maxModule)
	if err != nil {
		ps.fail(join(path, "path"), "%v", err)
		return nil
	}
	s.SHA256 = strings.ToLower(s.SHA256)
	switch have := files[s.Path]; {
	case s.SHA256 == "" || s.SHA256 == have:
	case !isSHA256(s.SHA256):
		ps.fail(join(path, "sha256"), "it must be 64 hexadecimal digits, as sha256sum prints them")
	default:
		ps.fail(join(path, "sha256"), "%s has the SHA-256 %s, not the one that is pinned; check the file, then correct the pin", s.Path, have)
	}
	return module
}

// readConfig returns the config file's bytes, or an error that says what to do.
func readConfig(files Files, path string) ([]byte, error) {
	b, err := files.read(path, maxFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("config: there is no %s; write one (config/config_simple.toml is a start) or name another with --config or CONFIG_PATH", path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("config: %s may not be read by this user; change its owner or mode: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("config: %w", err)
	case strings.TrimSpace(string(b)) == "":
		return nil, fmt.Errorf("config: %s is empty; config/config_simple.toml is a start", path)
	}
	return b, nil
}
