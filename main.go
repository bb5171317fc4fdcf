// Berry is an OpenAI-compatible gateway for LLM providers, with routing strategies in WebAssembly.
package main

import (
	"os"

	"github.com/berrygate/berry/internal/cli"
)

func main() { os.Exit(cli.Main()) }
