# One command for each target: anything longer is a script.
.DEFAULT_GOAL := help
.PHONY: help assets debian binaries images demo cluster cluster-down test bench fuzz lint fmt-check clippy tidy deny fmt

# Nodes of `make cluster`.
NODES ?= 2
# The area that `make bench` measures; all areas if empty.
AREA ?=
# Set to any value for the largest sizes.
FULL ?=

# The program behind demo and cluster, built as for the tests.
PLAYGROUND = cargo run --locked --package fastrak-e2e --bin playground --

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 15

assets: ## find the Kubernetes programs, or build them once (about 15 min on 2 cores)
	@testbed/assets.sh

debian: ## install what the test bed needs (as root on Debian; prints it elsewhere)
	@testbed/debian.sh

binaries: ## build the programs as they ship, into target/static
	@deploy/binaries.sh

images: ## build the container images (TAG=dev)
	@deploy/images.sh

demo: debian assets binaries ## show fastrak on a real Kubernetes
	@$(PLAYGROUND) demo

cluster: debian assets binaries ## the same cluster, left running until Ctrl-C (NODES=2)
	@$(PLAYGROUND) cluster --nodes $(NODES)

cluster-down: ## stop what `make cluster` left running
	@$(PLAYGROUND) down

test: debian assets binaries ## every test, against a real Kubernetes
	@cargo test --locked --workspace --no-fail-fast && echo 'test: ok' || { echo 'test: FAILED'; exit 1; }

bench: debian assets ## measure fastrak beside what it is compared with (AREA=main, admission, volumes or addresses)
	@deploy/binaries.sh --bench
	@target/static/bench $(if $(AREA),--area $(AREA)) $(if $(FULL),--full)

fuzz: ## run the fuzzer for a minute for each target
	@.ci/fuzz

lint: fmt-check clippy tidy deny ## check format, clippy, source rules and crates; needs no cluster

fmt-check:
	@cargo fmt --all --check

clippy:
	@cargo clippy --locked --workspace --all-targets -- -D warnings

tidy:
	@cargo test --locked --quiet -p fastrak-e2e --test source

deny:
	@.ci/deny

fmt: ## format all of the code
	@cargo fmt --all
