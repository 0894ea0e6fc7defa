# The front door for people who work on hikube. `make demo` and `make test` do all the set-up that they need.
SHELL := /bin/bash
PATH := $(CURDIR)/.venv/bin:$(PATH)
export PATH
PYTEST ?= pytest
SEEDS ?= 1000
# Many tests wait for processes, limits and the simulated hosts' clock: two for each core keep the cores busy.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
# Tests start hundreds of interpreters; without compiled files each of them, and each worker, compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test check fmt lint types arch unit sim e2e bench clean

help: ## Say what each target does
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | expand -t 10

setup: ## Install what is missing: Debian packages (needs root) and the Python environment in .venv
	@scripts/setup

tools: setup ## Build the Kubernetes and the other programs that tests run, once, into the cache: about ten minutes
	@scripts/tools

demo: setup ## A GPU VM from YAML in a GPU host in a box: created, proven, deleted, nothing left
	@scripts/demo

test: setup ## All tests that this machine can run: what cannot run here is skipped by name
	@scripts/test

check: setup lint types arch unit ## Lint, types, layers and unit tests: what every change must pass

fmt: ## Format and fix what can be fixed
	ruff format . && ruff check --fix .

lint: ## Style and mistakes
	ruff check . && ruff format --check .

types: ## mypy, strict
	mypy

arch: ## The layers of ARCHITECTURE.md
	lint-imports --no-cache

unit: ## Pure code, contracts on the twins, step tables, the command line; a few simulated seeds
	$(PYTEST) tests --ignore=tests/libvirt --ignore=tests/gpu --ignore=tests/e2e --ignore=tests/kubernetes --ignore=tests/simulation/test_bugs.py -n $(WORKERS) --dist worksteal

sim: setup ## Seeds of a simulated fleet, on every core: make sim SEEDS=100000 for a night
	python -m tests.simulation --seeds $(SEEDS)

e2e: setup ## Real passthrough in a GPU host in a box
	$(PYTEST) tests/e2e -v

bench: setup ## What the control plane costs, beside raw libvirt, in one run
	python -m benchmarks

clean: ## Remove what was built in the tree; caches outside stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
