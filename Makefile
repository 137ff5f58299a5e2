# `make` lists what there is. Every target sets up what it needs; only Python 3.11+, git and make
# must be there already.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= auto

# Whatever reaches the package index is the machine's business; everything else that the
# environment could tell pip or Python would make this set-up another one.
PIP_NETWORK := PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX PIP_FIND_LINKS PIP_TRUSTED_HOST \
  PIP_CERT PIP_CLIENT_CERT PIP_PROXY PIP_TIMEOUT PIP_DEFAULT_TIMEOUT PIP_RETRIES PIP_CACHE_DIR \
  PIP_NO_CACHE_DIR PIP_CONFIG_FILE PIP_KEYRING_PROVIDER PIP_DISABLE_PIP_VERSION_CHECK
unexport $(filter-out $(PIP_NETWORK),$(filter PIP_%,$(.VARIABLES))) PYTHONHOME PYTHONPATH

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PIP_LOCKED := $(PIP) install --quiet --require-hashes --no-deps --no-build-isolation

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(VENV)/.project ## Compile the quickstart, let a model write its methods, verify them
	@$(BIN)/python tools/demo.py

.PHONY: test
test: $(VENV)/.dev ## Run every test and the coverage floors
	@mkdir -p build
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal \
	  --cov --cov-report=term --cov-report=json:build/coverage.json
	@$(BIN)/python tools/coverage_floors.py build/coverage.json

CHECKS := lint types layers dependencies secrets generated locks fragments

.PHONY: check $(addprefix check-,$(CHECKS))
check: $(addprefix check-,$(CHECKS)) ## Run every check that is not a test

check-lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

check-types: $(VENV)/.dev
	@$(BIN)/mypy

check-layers: $(VENV)/.dev
	@$(BIN)/lint-imports --no-logo

check-dependencies: $(VENV)/.dev
	@$(BIN)/deptry src

check-secrets: $(VENV)/.dev
	@$(BIN)/python tools/secret_scan.py

check-generated: $(VENV)/.dev
	@$(BIN)/python tools/generate_error_codes.py --check
	@$(BIN)/python tools/generate_cli_reference.py --check
	@$(BIN)/python tools/generate_rule_pages.py --check
	@$(BIN)/python tools/generate_policy_page.py --check
	@$(BIN)/python tools/update_models.py --check

check-locks: $(VENV)/.dev
	@$(BIN)/python tools/check_locks.py

check-fragments: $(VENV)/.dev
	@$(BIN)/towncrier build --draft --version unreleased >/dev/null

.PHONY: generate
generate: $(VENV)/.dev ## Write ERROR_CODES.md and docs/reference/{cli.md,policies.md,rules} anew
	@$(BIN)/python tools/generate_error_codes.py
	@$(BIN)/python tools/generate_cli_reference.py
	@$(BIN)/python tools/generate_rule_pages.py
	@$(BIN)/python tools/generate_policy_page.py
	@$(BIN)/python tools/update_models.py

.PHONY: changelog
changelog: $(VENV)/.dev ## Show what the next release will say
	@$(BIN)/towncrier build --draft --version unreleased

.PHONY: bench
bench: $(VENV)/.dev ## Run the benchmarks and print their numbers
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

# Their versions are pinned here: nothing of the project depends on them.
.PHONY: bench-peers
bench-peers: $(VENV)/.dev ## Install what benchmarks compare with, in environments of their own
	@$(BIN)/python -m venv build/peers
	@build/peers/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	  openai==3.54.0 anthropic==2.12.0 litellm==1.110.2 aiohttp==3.14.5 msgspec
	@$(BIN)/python -m venv build/semgrep
	@build/semgrep/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	  semgrep==1.185.0

# EPAM's own server judges what the provider `dial` sends; it is too heavy a thing for the gate.
.PHONY: conformance
conformance: $(VENV)/.dev build/dial/.installed ## Run the provider `dial` against EPAM's own server
	@$(BIN)/python tools/check_dial.py

build/dial/.installed:
	@$(BIN)/python -m venv build/dial
	@build/dial/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	  aidial-sdk==0.46.0 uvicorn
	@touch $@

.PHONY: lock
lock: $(VENV)/.dev ## Lock what pyproject.toml newly asks for; the rest of requirements/*.lock stays
	@$(BIN)/python tools/check_locks.py --write

.PHONY: upgrade
upgrade: $(VENV)/.dev ## Lock the newest version of every dependency
	@$(BIN)/python tools/check_locks.py --upgrade

.PHONY: clean
clean: ## Remove the virtual environment, caches and build results
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One virtual environment in three layers, each remembered by a stamp.

$(VENV)/.base: requirements/build.lock requirements/base.lock
	@python=; for name in $${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo 'No Python 3.11 or newer found; set PYTHON=/path/to/python.' >&2; exit 2; fi; \
	echo "Setting up $(VENV) with $$($$python --version)" >&2; \
	$$python -m venv $(VENV)
	@$(PIP_LOCKED) -r requirements/build.lock
	@$(PIP_LOCKED) -r requirements/base.lock
	@touch $@

$(VENV)/.project: $(VENV)/.base pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.project requirements/dev.lock
	@$(PIP_LOCKED) -r requirements/dev.lock
	@touch $@
