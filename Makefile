# ecluse: make targets. `make help` lists them.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  = -s -w -X ecluse/cmd/cli.Version=$(VERSION)
PREFIX  ?= /usr/local

# How long `make fuzz` stays with each target, and `make soak` kills at random.
FUZZTIME ?= 30s
SOAK     ?= 10m

# The race detector lets every process sleep for a second when it exits; the
# tests start thousands of them.
RACE = GORACE=atexit_sleep_ms=0 go test -race

# Not a tool line in go.mod: it would bring some 200 modules into go.sum.
GOLANGCI = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL = help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/ecluse
	go build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o bin/ecluse ./cmd/ecluse

.PHONY: install
install: build ## install ecluse in $(DESTDIR)$(PREFIX)/bin
	install -D -m 0755 bin/ecluse "$(DESTDIR)$(PREFIX)/bin/ecluse"

.PHONY: prepare
prepare: ## install and start what the tests need (git, tmux, Docker, Compose); as root
	sh .ci/prepare

.PHONY: vet
vet: ## look for mistakes that the compiler lets pass
	go vet ./...

# -count=1: the tests look at git, Docker and processes, which the test cache
# knows nothing of.
.PHONY: test
test: vet ## run all tests, crashes and a real Docker engine included
	go test -count=1 -parallel 4 -timeout 40m ./...

.PHONY: race
race: ## run all tests with the race detector (needs a C compiler)
	$(RACE) -count=1 -timeout 40m ./...

.PHONY: short
short: ## run the tests that take seconds
	go test -short ./...

.PHONY: crash
crash: ## kill ecluse at every point of every verb, and once more while it recovers
	ECLUSE_TEST_CRASH=all go test -count=1 -timeout 60m -v -run Crash ./cmd/ecluse

.PHONY: soak
soak: ## kill parallel agents at random times, for SOAK=10m
	ECLUSE_TEST_SOAK=$(SOAK) go test -count=1 -timeout 0 -v -run Soak ./cmd/ecluse

.PHONY: fuzz
fuzz: ## fuzz every decoder, each for FUZZTIME=30s
	@git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" </dev/null || exit 1; \
		done || exit 1; \
	done

.PHONY: bench
bench: ## run the benchmarks
	go test -run '^$$' -bench . -timeout 60m ./...

.PHONY: lint
lint: ## check the rules of the house (the first run builds the linter: minutes)
	$(GOLANGCI) run ./...

.PHONY: fmt
fmt: ## format the code
	gofmt -l -w cmd fsm saga steps store

.PHONY: schema
schema: ## write docs/schema and docs/configuration.md anew
	go test ./steps/settings -run Published -update
	go test ./cmd/ecluse -run PublishedSchemas -update

.PHONY: demo
demo: build ## show a crash and a recovery in a throw-away repository
	PATH="$(CURDIR)/bin:$$PATH" ./docs/demo.sh

.PHONY: ci
ci: ## do what continuous integration does, the preparation of the machine included
	.ci/run

.PHONY: clean
clean: ## remove what build made
	rm -rf bin
