# Berry's tasks. "make help" lists them.

STRATEGIES   := weighted_random round_robin least_latency failover random
MODULES      := $(STRATEGIES:%=strategies/wasm/%.wasm)
GUEST        := GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w"
LINT_VERSION := v2.15.0
LINT         := .tools/golangci-lint-$(LINT_VERSION)

.DEFAULT_GOAL := help
.PHONY: help run build strategies wabt node httpx test lint bench bench-gateway bench-telemetry profile soak fuzz clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Start the demo: a gateway with three fake providers
	@./bin/berry demo

# What the compiler optimises by (https://go.dev/doc/pgo); "make profile" records it anew.
PROFILE := internal/gatewaybench/berry.pgo

build: strategies ## Write bin/berry
	@echo "building  bin/berry"
	@go build -trimpath -pgo=$(PROFILE) -o bin/berry .

strategies: $(MODULES) ## Compile the built-in strategies to WebAssembly

strategies/wasm/%.wasm: strategies/%/main.go $(wildcard sdk/*.go sdk/abi/*.go)
	@echo "compiling $@"
	@$(GUEST) -o $@ ./strategies/$*

# The race detector needs a C compiler.
RACE := $(if $(shell command -v $$(go env CC)),-race)

# Tests write guests in WebAssembly's text format, which wabt's wat2wasm compiles.
wabt:
	@command -v wat2wasm >/dev/null || { \
		echo "installing wabt, which the tests need"; \
		(apt-get update && apt-get install -y wabt) >/dev/null 2>&1; \
		command -v wat2wasm >/dev/null || { echo "install wabt, which the tests need: apt-get install wabt, or brew install wabt"; exit 1; }; }

# Tests run the official clients for Node.js.
NODE_CLIENT := internal/e2e/testdata/openai-node/node_modules

node: $(NODE_CLIENT)

$(NODE_CLIENT): internal/e2e/testdata/openai-node/package-lock.json
	@command -v npm >/dev/null || { \
		echo "installing Node.js and npm, which the tests need"; \
		(apt-get update && apt-get install -y nodejs npm) >/dev/null 2>&1; \
		command -v npm >/dev/null || { echo "install Node.js 20 or later and npm, which the tests need"; exit 1; }; }
	@echo "installing the official clients for Node.js"
	@cd internal/e2e/testdata/openai-node && npm ci --no-audit --no-fund --silent && touch node_modules

# Tests run httpx, the HTTP client of Python's official clients.
httpx:
	@{ /usr/bin/python3 -c 'import httpx' || python3 -c 'import httpx'; } 2>/dev/null || { \
		echo "installing httpx for Python, which the tests need"; \
		(apt-get update && apt-get install -y python3-httpx) >/dev/null 2>&1; \
		{ /usr/bin/python3 -c 'import httpx' || python3 -c 'import httpx'; } 2>/dev/null || { echo "install httpx for Python, which the tests need: apt-get install python3-httpx, or pip install httpx"; exit 1; }; }

test: strategies wabt node httpx ## Run every test, under the race detector if there is a C compiler
	$(if $(RACE),,@echo "no C compiler: testing without the race detector")
	go vet ./...
	go test $(RACE) -timeout 40m ./...

lint: $(LINT) ## Run golangci-lint, of the version that this file pins
	$(LINT) run

$(LINT):
	@echo "installing golangci-lint $(LINT_VERSION), which takes some minutes"
	@mkdir -p .tools
	@GOBIN=$(CURDIR)/.tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv .tools/golangci-lint $@

bench: strategies ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-gateway: build ## Measure the CPU time of a request beside a bare ReverseProxy's
	@go run ./internal/gatewaybench

bench-telemetry: build ## Measure what metrics and traces cost a request
	@go run ./internal/gatewaybench -telemetry -only plain -rounds 21 -duration 1s

profile: build ## Record the CPU profile that make build optimises by
	@rm -rf bin/profiles && mkdir -p bin/profiles
	go run ./internal/gatewaybench -rounds 1 -duration 10s -profiles bin/profiles
	go tool pprof -proto bin/profiles/*.pprof >$(PROFILE)

soak: strategies wabt ## Reload, swap, fail and flap for minutes under load; run hostile guests; hold 10,000 connections
	BERRY_SOAK=1 go test -count=1 -v -timeout 40m -run 'TestRewritesUnderLoad|TestModuleIsReplacedUnderLoad|TestSwapsLeaveNothing|TestStreamOutlivesItsProvider|TestHostileGuests|TestBurningStrategy|TestMeteredPicks|TestChaos|TestRetryStorm|TestOutage|TestOpenConnections|TestWorkGrowsWithSize|TestFiveLargeBodiesAtOnce' ./core/gateway ./core/wasm ./plugins/relay ./internal/e2e

FUZZTIME ?= 30s
fuzz: strategies wabt ## Run each fuzzer for FUZZTIME (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z]*' $$dir/*_test.go | cut -c6-); do \
			echo "$$dir $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$dir || exit 1; \
		done; \
	done

clean: ## Remove what make built
	rm -rf bin .tools strategies/wasm/*.wasm $(NODE_CLIENT)
