# make demo          a first batch on a fresh machine
# make test          every test but the long ones, with private RabbitMQ nodes
# make test-faults   the long tests of what happens when things break, with private RabbitMQ nodes
# make test-sdks    the imitations of providers against the newest versions of the providers' own libraries
# make fuzz          libFuzzer against every decoder, FUZZ_SECONDS each
# make bench         Sheaf's cost beside other programs; BENCH_ROWS="1 2" BENCH_RECORDS=20000 BENCH_ROUNDS=1 for a quick look
# make               the release build, .build/release/sheaf

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

SWIFT ?= swift
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BUILD_PACKAGES := libhiredis-dev librabbitmq-dev libsqlite3-dev libssl-dev pkg-config zlib1g-dev
FUZZ_SECONDS ?= 600
FUZZ_DECODERS := $(notdir $(wildcard Tests/FuzzingTests/Corpus/*))
# The long tests measure time, so they run one at a time.
FAULT_TARGETS := FaultTests SheafFaultTests SheafRabbitMQFaultTests
# ShortenTests are the tests of the example package docs/swift-flow.
TEST_TARGETS := $(filter-out $(FAULT_TARGETS),$(notdir $(wildcard Tests/*Tests))) ShortenTests
TEST_PACKAGES := rabbitmq-server redis-server python3-venv openssl chromium prometheus
BENCH_PACKAGES := parallel findutils
BENCH_PYTHON := .build/bench/bin/python

# Installs the missing packages of $(1); prints nothing if all are installed.
define install
	missing=(); \
	for package in $(1); do \
	    dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$$package"); \
	done; \
	if (( $${#missing[@]} )); then \
	    echo "installing $${missing[*]}"; \
	    $(SUDO) apt-get update -qq; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; \
	fi
endef

.PHONY: build demo test test-faults test-sdks fuzz bench lint format docs install-build-packages install-test-packages clean

install-build-packages:
	@command -v $(SWIFT) >/dev/null || { echo "Swift 6.3 is missing: see https://www.swift.org/install"; exit 1; }
	@$(call install,$(BUILD_PACKAGES))

install-test-packages: install-build-packages
	@$(call install,$(TEST_PACKAGES))

build: install-build-packages
	$(SWIFT) build -c release --product sheaf

demo: build
	@docs/demo.sh .build/release/sheaf

test: install-test-packages
	$(SWIFT) build --build-tests
	SWIFT='$(SWIFT)' Tests/each $(TEST_TARGETS)

test-faults: install-test-packages
	$(SWIFT) build --build-tests
	SWIFT='$(SWIFT)' TEST_OPTIONS=--no-parallel Tests/each $(FAULT_TARGETS)

test-sdks: install-test-packages
	$(SWIFT) build --build-tests
	SHEAF_NEWEST_SDKS=1 $(SWIFT) test --skip-build --disable-xctest --filter '^SheafProvidersTests\.SDKTests'

fuzz: install-build-packages
	SWIFT='$(SWIFT)' Tests/fuzz $(FUZZ_SECONDS) $(FUZZ_DECODERS)

$(BENCH_PYTHON): Tests/Benchmarks/requirements.txt
	python3 -m venv .build/bench
	.build/bench/bin/pip install --quiet --requirement $<
	@touch $@

bench: install-test-packages
	@$(call install,$(BENCH_PACKAGES))
	@$(MAKE) --no-print-directory $(BENCH_PYTHON)
	$(SWIFT) build -c release --product sheaf
	$(SWIFT) build -c release --product RawLoops
	$(SWIFT) build -c release --product BenchProbe
	@Tests/rabbitmq-node run $(BENCH_PYTHON) Tests/Benchmarks/bench.py

lint:
	$(SWIFT) format lint --strict --parallel --recursive Sources Tests Package.swift

format:
	$(SWIFT) format --in-place --parallel --recursive Sources Tests Package.swift

docs:
	$(SWIFT) package generate-documentation --target Sheaf --warnings-as-errors

clean:
	rm -rf .build
