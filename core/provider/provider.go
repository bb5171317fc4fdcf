// Package provider speaks to LLM providers, each type in the dialect that has its folder. README.md says what each can.
//
// Adding a type means adding its folder, and its line in types.
package provider

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/anthropic"
	"github.com/berrygate/berry/core/provider/azure"
	"github.com/berrygate/berry/core/provider/gemini"
	"github.com/berrygate/berry/core/provider/openai"
)

// Config is what a provider in the config says of itself.
type Config struct {
	BaseURL    string      // absolute
	Key        string      // the API key in the clear; empty if the provider wants none
	Headers    http.Header // sent with every request, over the client's
	APIVersion string      // empty is the type's default
}

type maker struct {
	name string
	make func(adapter.Endpoint) adapter.Adapter
}

func types() []maker {
	return []maker{
		{openai.Type, func(a adapter.Endpoint) adapter.Adapter { return openai.New(a) }},
		{azure.Type, func(a adapter.Endpoint) adapter.Adapter { return azure.New(a) }},
		{anthropic.Type, func(a adapter.Endpoint) adapter.Adapter { return anthropic.New(a) }},
		{gemini.Type, func(a adapter.Endpoint) adapter.Adapter { return gemini.New(a) }},
	}
}

// Types returns the names of the types that New knows.
func Types() []string {
	var names []string
	for _, t := range types() {
		names = append(names, t.name)
	}
	return names
}

// New returns the dialect of the type for the account; it may be a adapter.Translator. It fails if the type is unknown or
// the account's base URL is none.
func New(typ string, a Config) (adapter.Adapter, error) {
	base, err := url.Parse(a.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("provider: base URL: %w", err)
	}
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	for _, t := range types() {
		if t.name == typ {
			return t.make(adapter.Endpoint{Base: base, Key: a.Key, Headers: a.Headers, APIVersion: a.APIVersion}), nil
		}
	}
	return nil, fmt.Errorf("provider: no type %q", typ)
}
