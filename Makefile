# make test    what CI runs: format, vet, build, lint, tests with the race detector, interop in its short form
# make full    the figures that take hours: all of test, and every test at full length
# make bench   wall-clock ratios, interleaved, median of 5, into docs/performance.md
# make fuzz    each fuzz target for FUZZTIME (60s)
#
# Needed: Go 1.26, git and make; the first run fetches modules through GOPROXY. A C compiler is used for the race
# detector where there is one.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help test full bench fuzz format vet build lint once race interop processes archtest

GO          ?= go
JOBS        ?= 2
FUZZTIME    ?= 60s
TIMEOUT     ?= 20m
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := mvdan.cc/gofumpt@v0.10.0

# The race detector needs cgo, and cgo a C compiler.
# Timers of a test bubble share one context of Go 1.26's race detector, and two that fire at once on two processors
# ruin it (go.dev/issue/78156 tells of one way): the program dies of a SIGSEGV. With one processor that cannot happen,
# and races are found all the same: the detector goes by what is ordered, not by what happens at once.
RACE := $(if $(shell command -v gcc || command -v cc || command -v clang),-race -exec 'env GOMAXPROCS=1',)

# Tests in these folders run whole nodes as processes of their own. The race detector would see only the test's side
# of that, and slow it down.
PROCESSES := ^github\.com/starlingp2p/starling/(cmd|examples/hello)(/|$$)

# Nested modules: interop/<wire>, interop/peers/<peer>-<version>, bench, networks/gen.
NESTED = $(shell find interop bench networks -name go.mod -not -path '*/testdata/*' 2>/dev/null | xargs -r -n1 dirname | sort)

help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile

# The last step is a run of go test, so that its lines end the output.
test: format vet build lint once interop race processes

full:
	$(MAKE) format vet build lint once
	STARLING_FULL=1 $(MAKE) interop race processes TIMEOUT=6h SHORT=

format:
	@unformatted=$$(git ls-files -z '*.go' | grep -zv -e '\.pb\.go$$' -e '/testdata/' | xargs -0 -r gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "make format: not gofmt'ed:"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

build:
	$(GO) build -p $(JOBS) ./...
	@for m in $(NESTED); do echo "vet $$m"; (cd $$m && $(GO) vet ./...); done

# A tool that cannot be fetched is told apart from what it finds.
define fetch
@$(GO) run $(1) $(2) >/dev/null || { \
  echo "make lint: $(1) could not be fetched or built; it comes through GOPROXY ($$($(GO) env GOPROXY))." \
       "Behind a firewall set GOPROXY to a proxy that you reach, or leave this step out: make test LINT=off" >&2; exit 1; }
endef

ifeq ($(LINT),off)
lint:
	@echo "make lint: left out (LINT=off)"
else
lint:
	$(call fetch,$(STATICCHECK),-version)
	$(GO) run $(STATICCHECK) ./...
	$(call fetch,$(GOFUMPT),-version)
	@loose=$$(git ls-files -z '*.go' | grep -zv -e '\.pb\.go$$' -e '/testdata/' | xargs -0 -r $(GO) run $(GOFUMPT) -l); \
	if [ -n "$$loose" ]; then echo "make lint: not gofumpt'ed (go run $(GOFUMPT) -w FILE):"; echo "$$loose"; exit 1; fi
endif

# Benchmarks for one iteration, and the gates on allocations (tests with Alloc in their name), which the race detector
# would disturb. Only packages that have one are compiled for it.
once:
	@dirs=$$(git ls-files -z '*_test.go' | grep -zv -e '^interop/' -e '^bench/' -e '^networks/gen/' | \
	  xargs -0 -r grep -lE '^func (Benchmark|Test[A-Za-z0-9_]*Alloc)' | xargs -r -n1 dirname | sort -u | sed 's|^|./|'); \
	$(GO) test -p $(JOBS) -timeout $(TIMEOUT) -run Alloc -bench . -benchtime 1x $$dirs

SHORT ?= -short
interop:
	@for m in $(NESTED); do echo "test $$m"; (cd $$m && $(GO) test -p $(JOBS) $(SHORT) -timeout $(TIMEOUT) ./...); done

# Product tests, fuzz seeds and archtest, once, with the race detector.
race:
	@if [ -z "$(RACE)" ]; then echo "no C compiler: the tests run without the race detector"; fi
	$(GO) test -p $(JOBS) $(RACE) -timeout $(TIMEOUT) $$($(GO) list ./... | grep -vE '$(PROCESSES)')

processes:
	$(GO) test -p 1 -timeout $(TIMEOUT) $$($(GO) list ./... | grep -E '$(PROCESSES)')

archtest:
	$(GO) test ./internal/archtest

bench:
	cd bench && $(GO) run . -rounds 5 -write ../docs/performance.md
	cd bench && $(GO) run ./devp2p -rounds 5 -write ../docs/performance.md
	cd bench && $(GO) run ./ontology -rounds 5 -write ../docs/performance.md
	cd bench && $(GO) run ./opstack -rounds 5 -write ../docs/performance.md

fuzz:
	@for pkg in $$(git ls-files '*_test.go' | grep -vE '^(interop|bench)/' | xargs -r grep -lE '^func Fuzz' | xargs -r -n1 dirname | sort -u); do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' $$pkg/*_test.go | sed 's/func //'); do \
	    echo "fuzz $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -parallel $(JOBS) ./$$pkg; \
	  done; \
	done
