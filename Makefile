# Firth. `make demo` shows it, `make test` proves it; each installs what it needs.

SHELL := /bin/bash
GO    ?= go
BIN   := bin/firth
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINT_VERSION := v2.15.0
export FIRTH_CACHE ?= $(HOME)/.cache/firth

.PHONY: build demo test full lint bench crashtest need clean

build: need
	$(GO) build -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/firth

need:
	@build/need gcc:gcc g++:g++

# A server on throw-away data, a month of a company's calls through the real API, three answers; ends with Ctrl-C.
demo: build
	@$(BIN) demo

# Everything that proves a change: unit, golden and fuzz corpora, crash tests in their short form, real SDKs, real Iceberg readers.
test: build
	@test/setup
	@source test/env && CI=true FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 15m ./...

# The long forms: more kills, longer fuzzing, the race detector. Run it before a release.
full: test lint crashtest
	@source test/env && CI=true FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -race -short -timeout 30m ./internal/...
	@build/fuzz 30s

crashtest: build
	FIRTH_CRASH_ROUNDS=20 FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 30m -run Kill ./internal/journal ./internal/lake/... ./test/crash

lint:
	@test -x "$(FIRTH_CACHE)/bin/golangci-lint-$(LINT_VERSION)" || { \
	  echo "installing golangci-lint $(LINT_VERSION)"; \
	  GOBIN="$(FIRTH_CACHE)/bin" $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) && \
	  mv "$(FIRTH_CACHE)/bin/golangci-lint" "$(FIRTH_CACHE)/bin/golangci-lint-$(LINT_VERSION)"; }
	@$(GO) vet ./...
	@"$(FIRTH_CACHE)/bin/golangci-lint-$(LINT_VERSION)" run ./...

bench: build
	@$(BIN) bench ingest

clean:
	rm -rf bin
