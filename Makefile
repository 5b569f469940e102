# Entry points of the project; `make help` lists them.
#
# Fetched and built files are kept in the cache, so that later runs and clean clones reuse them. The
# cache is $POQ_CACHE, else $XDG_CACHE_HOME/poq, else ~/.cache/poq.

SHELL := /bin/sh
.DEFAULT_GOAL := help

export POQ_CACHE := $(or $(POQ_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/poq)
export BUF_CACHE_DIR := $(POQ_CACHE)/downloads/buf
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(POQ_CACHE)/target)

# poq-testnet reads these; empty means its default.
export VALIDATORS INFERENCE EVALUATORS OUTPUT BASE_PORT
# PROMPT as typed: make must not expand a question.
override export PROMPT := $(value PROMPT)

BIN := $(CARGO_TARGET_DIR)/debug
# Old messages must stay readable: the wire format is compared with the newest release, or with
# the previous commit if there is no release.
PROTO_BASE ?= $(shell git describe --tags --match 'v*' --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD~1)
PROTO_ARCHIVE := $(CARGO_TARGET_DIR)/proto-base.tar

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

.PHONY: testnet
testnet: programs ## run a local network, ask PROMPT, stay up until Ctrl-C
	@exec "$(BIN)/poq-testnet" run

.PHONY: testnet-once
testnet-once: programs ## run a local network, ask PROMPT, stop after the receipt
	@exec "$(BIN)/poq-testnet" run --once

# For a second terminal; these build nothing, so they answer at once.
.PHONY: testnet-status testnet-logs testnet-start testnet-stop testnet-add testnet-prompt
testnet-status: ## show the status of every process of the running network
	@exec "$(BIN)/poq-testnet" status

testnet-logs: ## follow the log of NAME, for example node1
	@exec "$(BIN)/poq-testnet" logs "$(NAME)" --follow

testnet-start: ## start the stopped or crashed process NAME
	@exec "$(BIN)/poq-testnet" start "$(NAME)"

testnet-stop: ## stop the process NAME
	@exec "$(BIN)/poq-testnet" stop "$(NAME)"

testnet-add: ## add another worker of ROLE: evaluator or inference-node
	@exec "$(BIN)/poq-testnet" add "$(or $(ROLE),evaluator)"

testnet-prompt: ## ask the running network PROMPT
	@exec "$(BIN)/poq-testnet" prompt

.PHONY: test
test: build ## run all tests, from unit to end-to-end
	@testnet/setup/setup.sh tests
	@# The Python pipeline that trains judges, from data to the evaluator's score.
	POQ_EVALUATOR="$(BIN)/poq-evaluator" PYTHONPATH="lab/judge:$(POQ_CACHE)/pytorch" PYTHONDONTWRITEBYTECODE=1 \
		python3 -W ignore -m unittest discover -s lab/judge/tests
	cargo test --workspace --locked
	@# Scores must have the same bits in every profile.
	cargo test --release --package poq-reference-evaluator --test golden --locked

.PHONY: setup
setup: ## fetch the needs of a network: system packages, CometBFT, ONNX Runtime, models
	@testnet/setup/setup.sh network >&2

# Build output goes to stderr, because stdout is for the receipt.
.PHONY: programs
programs: setup ## compile only the programs of a network
	@testnet/setup/build.py
	@"$(BIN)/poq-evaluator" transcode >&2

# Programs are built first; both steps use the same features, so nothing is compiled twice.
.PHONY: build
build: programs ## compile all binaries and tests
	@cargo build --workspace --all-targets --locked >&2

.PHONY: lint
lint: setup ## check formatting, clippy, documentation, licences and advisories, wire format
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@testnet/setup/features.py
	@testnet/setup/setup.sh lint
	"$(POQ_CACHE)/bin/cargo-deny" --workspace check licenses bans sources
	@if "$(POQ_CACHE)/bin/cargo-deny" --workspace fetch db; then "$(POQ_CACHE)/bin/cargo-deny" --workspace check advisories; \
	else echo 'lint: ADVISORIES ARE NOT CHECKED: their database cannot be fetched' >&2; fi
	"$(POQ_CACHE)/bin/buf" lint proto
	@if [ -n "$(PROTO_BASE)" ]; then \
		git archive --format=tar --output="$(PROTO_ARCHIVE)" "$(PROTO_BASE)" proto && set -x && \
		"$(POQ_CACHE)/bin/buf" breaking proto --against "$(PROTO_ARCHIVE)#subdir=proto"; fi

.PHONY: clean-testnet
clean-testnet: ## remove the homes and logs of the local network
	rm -rf .testnet
