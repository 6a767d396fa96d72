# Two commands matter: `make demo` and `make test`. Each builds .venv from the hashed lock first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
STAMP := .venv/.installed
JS := tests/compatibility/js
JS_STAMP := $(JS)/node_modules/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint types lock bench clean

help:  ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

venv: $(STAMP)  ## Build .venv from requirements/dev.txt, hashes checked

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "Building .venv from requirements/dev.txt, hashes checked: a minute or two, this one time."
ifneq ($(UV),)
	@uv venv --quiet --allow-existing --python "$(PYTHON)" .venv
	@uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	@uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@$(BIN)/python -m compileall -q src  # so that commands start fast even where Python may not write bytecode
	@touch $@
	@echo ".venv is ready."

demo: venv  ## The main job, end to end, on real speech: make demo ARGS="--realtime | --json"
	@$(BIN)/carillon demo $(ARGS)

test: venv $(JS_STAMP)  ## All tests
	@$(BIN)/python -m compileall -q src  # for the processes that tests start
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

$(JS_STAMP): $(JS)/package-lock.json  # the AWS SDK for JavaScript, which some tests run
	@if ! command -v npm >/dev/null; then \
		echo "npm is not on this machine: the tests of the AWS SDK for JavaScript WILL BE SKIPPED."; \
	elif (cd $(JS) && npm ci --ignore-scripts --no-audit --no-fund); then \
		touch $@; \
	else \
		echo "npm ci failed: the tests of the AWS SDK for JavaScript WILL BE SKIPPED."; \
	fi

lint: venv  ## Style and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv  ## Strict types
	$(BIN)/mypy
	$(BIN)/mypy bench/*.py  # scripts that nothing imports, so that they go on working

lock:  ## Resolve both locks anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/runtime.txt
	uv pip compile pyproject.toml --extra words --extra postgres --extra training --extra evaluation --group dev --constraint requirements/runtime.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.txt

bench: venv  ## Every benchmark under bench/
	@missed=0; for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || missed=1; done; exit $$missed

clean:  ## Remove what make built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis $(JS)/node_modules
