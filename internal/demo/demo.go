// Package demo implements "berry demo": three fake providers on loopback, a config for a gateway in front of them, and a banner that explains
// what to try.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/berrygate/berry/internal/fakeprovider"
)

//go:embed demo.toml
var configText []byte

//go:embed banner.txt
var bannerText string

// A Demo is three running providers and the config of a gateway in front of them.
type Demo struct {
	ConfigFile string   // in a temporary folder
	Environ    []string // variables that the config refers to: the providers' addresses

	folder  string
	servers []*http.Server
	lines   []string // of the banner, one per provider
}

// Start starts the providers. The caller must Close the demo.
func Start(ctx context.Context) (*Demo, error) {
	folder, err := os.MkdirTemp("", "berry-demo-")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	d := &Demo{ConfigFile: filepath.Join(folder, "demo.toml"), folder: folder}
	if err := os.WriteFile(d.ConfigFile, configText, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: %w", err), d.Close())
	}
	for _, p := range []*fakeprovider.Provider{
		{Name: "fast", Key: "sk-demo-fast", Latency: 40 * time.Millisecond, TokenDelay: 30 * time.Millisecond},
		{Name: "slow", Key: "sk-demo-slow", Latency: 600 * time.Millisecond, TokenDelay: 120 * time.Millisecond},
		{Name: "flaky", Key: "sk-demo-flaky", Latency: 80 * time.Millisecond, TokenDelay: 30 * time.Millisecond, FailEvery: 2},
	} {
		if err := d.start(ctx, p); err != nil {
			return nil, errors.Join(fmt.Errorf("demo: %w", err), d.Close())
		}
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context, p *fakeprovider.Provider) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second}
	d.servers = append(d.servers, s)
	d.Environ = append(d.Environ, strings.ToUpper(p.Name)+"="+l.Addr().String())
	line := fmt.Sprintf("%-6s http://%s   first byte after %v", p.Name, l.Addr(), p.Latency)
	if p.FailEvery > 0 {
		line += fmt.Sprintf("; 1 request in %d fails", p.FailEvery)
	}
	d.lines = append(d.lines, line)
	go func() { _ = s.Serve(l) }() // until Close
	return nil
}

// Banner writes a description of the demo, with curl commands for the gateway's public and admin addresses.
func (d *Demo) Banner(w io.Writer, public, admin string) error {
	t, err := template.New("banner").Parse(bannerText)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return t.Execute(w, map[string]any{"Public": "http://" + public, "Admin": "http://" + admin, "Providers": d.lines, "Config": d.ConfigFile})
}

// Close stops the providers and removes the config.
func (d *Demo) Close() error {
	var errs []error
	for _, s := range d.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(d.folder))...)
}
