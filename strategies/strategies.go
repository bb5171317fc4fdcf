// Package strategies holds the built-in strategies, each a guest in a folder of its own, and embeds the modules that are
// built from them.
package strategies

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// modules has a file for each built-in strategy, if they were built before this package was compiled.
//
//go:embed all:wasm
var modules embed.FS

// ErrNotBuilt is a binary that was compiled before the strategies were.
var ErrNotBuilt = errors.New("strategies: this binary was built without its built-in strategies; run make build")

// Names returns the built-in strategies.
func Names() []string {
	return []string{"weighted_random", "round_robin", "least_latency", "failover", "random"}
}

// Module returns the WebAssembly module of a built-in strategy.
func Module(name string) ([]byte, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("strategies: no strategy %q is built in", name)
	}
	b, err := modules.ReadFile("wasm/" + name + ".wasm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%s is missing)", ErrNotBuilt, name)
	}
	return b, err
}
