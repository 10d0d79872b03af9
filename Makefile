# Weir's tasks; `make help` lists them. The demo needs Go; the tests install
# what else they need.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

GO       ?= go
BIN      := $(CURDIR)/bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s

# The versions of the tools, pinned.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.15.0
VERSITYGW     := github.com/versity/versitygw/cmd/versitygw v1.8.0

export PATH := $(BIN):$(PATH)

# Nothing is skipped for want of an installation.
REQUIRE := WEIR_REQUIRE_CLICKHOUSE=1 WEIR_REQUIRE_S3=1 WEIR_REQUIRE_SPECS=1

# Without the race detector everything is built in one way, that of the binary
# which is killed: it is compiled once.
WITHOUT_RACE := $(REQUIRE) CGO_ENABLED=0 $(GO) test -tags failpoint

.PHONY: help
help: ## list the tasks
	@echo 'make demo   see it work: collects from pretended apps into Parquet, and asks five questions'
	@echo 'make test   all tests'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build ./bin/weir, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X weir/internal/buildinfo.version=$(VERSION)' -o $(BIN)/weir .

.PHONY: demo
demo: build ## collect from pretended apps into Parquet; no account needed
	@$(BIN)/weir demo

.PHONY: test
test: compiler versitygw clickhouse specs ## run all tests: race detector, real ClickHouse, kill -9
	CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null .
	$(REQUIRE) CGO_ENABLED=1 $(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v /internal/e2e)
	$(WITHOUT_RACE) -timeout 30m ./sources/...
	$(WITHOUT_RACE) -timeout 10m ./pipeline
	names=$$(grep -rl --include='*_test.go' '^//go:build failpoint' sinks | xargs grep -ohE '^func Test\w+' | sed 's/^func //' | paste -sd '|'); \
	$(WITHOUT_RACE) -timeout 10m -run "^($$names)$$" ./sinks/...
	$(WITHOUT_RACE) -timeout 10m ./internal/crash
	@$(MAKE) test-e2e

# The built binary, killed and cheated. Apart, because the race detector sees
# nothing of it.
.PHONY: test-e2e
test-e2e:
	@kills=$$(mktemp); trap 'rm -f "$$kills"' EXIT; \
	WEIR_HISTOGRAM="$$kills" $(WITHOUT_RACE) -timeout 20m ./internal/e2e; \
	if [ -s "$$kills" ]; then echo 'kills by point:'; cat "$$kills"; fi

ROUNDS            ?= 1000
ROUNDS_CLICKHOUSE ?= 100
ROUNDS_ACTIONS    ?= 500

.PHONY: crash
crash: clickhouse ## kill the agent ROUNDS times (1000; 100 with ClickHouse, 500 amid actions) against the sandbox; print the matrix
	@matrix=$$(mktemp); trap 'cat "$$matrix"; rm -f "$$matrix"' EXIT; \
	$(REQUIRE) WEIR_CRASH_ROUNDS=$(ROUNDS) WEIR_CRASH_CLICKHOUSE=$(ROUNDS_CLICKHOUSE) WEIR_CRASH_ACTIONS=$(ROUNDS_ACTIONS) WEIR_CRASH_MATRIX="$$matrix" \
	$(GO) test -tags failpoint -timeout 3h -run '^(TestCrashRounds|TestActionRounds)' ./internal/crash

.PHONY: check
check: golangci-lint ## check format, lint, go.mod and that generated files are up to date
	$(GO) mod tidy -diff
	$(GO) vet -tags failpoint ./...
	$(BIN)/golangci-lint run ./...
	@$(MAKE) check-generated

# Generates in a copy, so that it works on any tree and changes nothing in it.
.PHONY: check-generated
check-generated:
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; mkdir "$$tmp/now" "$$tmp/new"; \
	tar -c --exclude=./bin --exclude=./.git --exclude=./.cache --exclude=./weir-demo . | tar -x -C "$$tmp/now"; \
	cp -a "$$tmp/now/." "$$tmp/new"; \
	$(MAKE) -C "$$tmp/new" generate >/dev/null; \
	cd "$$tmp"; diff -r -q now new || { echo 'generated files are out of date: run make generate' >&2; exit 1; }

.PHONY: fmt
fmt: golangci-lint ## format all Go files
	$(BIN)/golangci-lint fmt

.PHONY: generate
generate: ## write what is generated from the code: docs, example, JSON Schema
	$(GO) generate ./...

.PHONY: bench
bench: clickhouse ## convert 200,000 records here and with ClickHouse's engine; print the ratio
	$(GO) run ./bench

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (30s)
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r grep -oE '^func Fuzz\w+' | sed -E 's|/[^/]*:func | |' | \
	while read -r package target; do \
	  echo "$$package $$target"; \
	  $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x "$$package" </dev/null; \
	done

.PHONY: clickhouse
clickhouse: ## fetch a real ClickHouse for the tests into the user's cache
	@internal/clickhouseserver/install.sh

.PHONY: specs
specs: ## fetch the vendors' API specifications for the tests into the user's cache
	@GO='$(GO)' internal/spectest/install.sh

.PHONY: tools
tools: golangci-lint versitygw ## install the tools that tests and checks use, pinned, into ./bin

# install-tool PACKAGE VERSION, unless ./bin has it already.
define install-tool
	@$(GO) version -m $(BIN)/$(notdir $(1)) 2>/dev/null | awk '$$1 == "path" { p = $$2 } $$1 == "mod" { v = $$3 } END { exit !(p == "$(1)" && v == "$(2)") }' || \
	{ echo 'installing $(notdir $(1)) $(2)'; GOBIN=$(BIN) CGO_ENABLED=0 $(GO) install -trimpath $(1)@$(2); }
endef

.PHONY: golangci-lint
golangci-lint:
	$(call install-tool,$(word 1,$(GOLANGCI_LINT)),$(word 2,$(GOLANGCI_LINT)))

.PHONY: versitygw
versitygw:
	$(call install-tool,$(word 1,$(VERSITYGW)),$(word 2,$(VERSITYGW)))

# The race detector needs a C compiler.
.PHONY: compiler
compiler:
	@command -v "$$($(GO) env CC)" >/dev/null || { \
	  [ "$$(id -u)" = 0 ] || { echo 'a C compiler is needed for the race detector: install one (Debian: apt-get install gcc libc6-dev)' >&2; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev; }

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) .cache weir-demo
