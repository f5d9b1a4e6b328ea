# Two commands matter: `make demo` and `make test`. Each installs what it needs into .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types imports proto proto-check bench up lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP)  ## make .venv with everything pinned in requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.13 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	@echo "installing pinned packages into $(VENV) ..."
	@# Compiled once here: every process of the stack starts faster, also where PYTHONDONTWRITEBYTECODE is set.
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q media_plane control_plane workflows protos bench
	@touch $@

demo: install  ## one simulated phone call, end to end, on embedded servers
	@$(BIN)/voiceplane demo $(ARGS)

test: install  ## every test, against the real embedded servers
	@$(BIN)/python -m pytest $(ARGS)

up: install  ## the whole stack in the foreground, until Ctrl-C
	@$(BIN)/voiceplane up $(ARGS)

bench: install  ## measure the media plane beside its references; ARGS=gate holds it to the baseline
	@$(BIN)/voiceplane bench $(or $(ARGS),all)

lint: install  ## ruff: style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install  ## mypy, strict
	@$(BIN)/mypy

imports: install  ## the import contracts in pyproject.toml
	@$(BIN)/lint-imports

proto: install  ## regenerate protos/**/*_pb2*
	@$(BIN)/python -m protos.generate

proto-check: install  ## fail when generated code is stale, or the protocol is badly written or breaks the last release
	@$(BIN)/python -m protos.generate --check
	@$(BIN)/python -m protos.lint
	@$(BIN)/python -m protos.compatibility

lock: install  ## refresh requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --extra dev pyproject.toml --output-file requirements.lock

clean:  ## remove the venv, caches and local data
	rm -rf $(VENV) .voiceplane .mypy_cache .ruff_cache .pytest_cache
