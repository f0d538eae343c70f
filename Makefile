# Firth. `make demo` shows it, `make test` proves it; each installs what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
GO    ?= go
BIN   := bin/firth
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINT_VERSION := v2.15.0
export FIRTH_CACHE ?= $(HOME)/.cache/firth

.PHONY: build demo test full lint bench crashtest long engines need clean

build: need
	$(GO) build -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/firth

need:
	@build/need gcc:gcc g++:g++

# A server on throw-away data, a month of a company's calls through the real API, three answers; ends with Ctrl-C.
demo: build
	@$(BIN) demo

# Everything that proves a change: unit, golden and fuzz corpora, crash tests in their short form, real SDKs, real Iceberg readers, real
# PostgreSQL, MariaDB and S3-compatible servers.
test: build
	@test/setup
	@source test/env && CI=true FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 15m ./...

# The long forms, one after the other, some hours on two cores: 100 rounds of kills and the crash matrices in full, ten minutes of everything at
# once, a year of commits, a second version of MariaDB, the race detector, longer fuzzing. Run it before a release.
full: test lint
	@test/setup full
	@$(MAKE) crashtest long
	@source test/env && CI=true FIRTH_LONG=$(LONG) FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 60m ./test/server ./test/warehouse
	@source test/env && CI=true FIRTH_TEST_MARIADB=10.11 $(GO) test -count=1 -timeout 60m -skip '^TestErrors$$' ./internal/warehouse/mysql
	@source test/env && CI=true FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -race -short -timeout 60m ./internal/...
	@build/fuzz 30s

# Kills of the real server under load with mergers, expiry and sweeper at work; a full disk; and a crash, with and without loss of what was not
# synced, at every operation and every named step of the journal, the lake and the warehouse; warehouses that are servers, killed, cut off and
# restarted while they are loaded; mirrors of all kinds, killed while they copy. SEED=N repeats the draws of an earlier run.
crashtest: build
	@test/setup
	FIRTH_CRASH_ROUNDS=$(ROUNDS) FIRTH_SEED=$(SEED) FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 3h -v -run '$(CRASHES)' \
	  ./test/crash ./test/disk ./internal/journal ./internal/lake/... ./internal/warehouse/duckdb ./internal/disk/... ./test/warehouse ./test/mirror ./test/derived | build/brief
ROUNDS  ?= 100
SEED    ?=
CRASHES := Kill|Crash|Cut|Restarts|Fail|Fault|Full|Flip|Grown|Restore|Mend|While|Warehouse

# Everything at once, read all the while (ten minutes), the same on an object store that fails now and then, and a simulated year.
long: build
	FIRTH_LONG=$(LONG) FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 2h -v ./test/long ./test/move ./test/clock | build/brief
	@test/setup
	@source test/env && CI=true FIRTH_LONG=$(LONG) FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 2h -v ./test/store | build/brief
	FIRTH_YEAR=1 $(GO) test -count=1 -timeout 2h -v -run Year ./internal/lake | build/brief
LONG ?= 10m

# Spark and Trino read the lake by the URL of its catalog, on local disk and on an S3-compatible store, and fail to write. The first time they are
# installed: 2.5 GB and some minutes.
engines: build
	@test/server/setup.sh
	@test/engine/full/setup.sh
	@source test/env && CI=true FIRTH_ENGINES=1 FIRTH_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 60m -v ./test/engine/full | build/brief

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
