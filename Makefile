# The two commands are `make demo` and `make test`; `make check` is the fast part, `make bench` measures.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.9
# Modules are compiled once, as an installation has them, instead of once in each command that is tested.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check chromium screenshots bench format image

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or later is needed; name it: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "this Python has no venv or ensurepip; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "making the virtual environment"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --quiet --frozen --inexact --python $(BIN)/python
	@touch $@

demo: $(READY)
	@$(BIN)/python examples/demo.py

test: check chromium
	@$(BIN)/python -m tests.programs
# The slow modules come first: by their number of tests, those that start a cluster would be left to the end.
	@$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder tests/integration tests/contract

check: $(READY)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/python -m pytest -q -n 3 --cov --cov-report= tests/unit
	@echo "branch coverage of the unit tests: $$($(BIN)/coverage report --format=total) %"

# Debian's Chromium drives the tests of the page, which are skipped without it.
chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && echo "installing Chromium" && apt-get update -qq \
	  && apt-get install -y -qq chromium fonts-dejavu-core >/dev/null; } \
	  || echo "no Chromium: the page is not tested in a browser; on Debian: apt-get install -y chromium fonts-dejavu-core" >&2

# The pictures are of example states, so that they show the same wherever they are made.
screenshots: $(READY) chromium
	@$(BIN)/python -m tests.browser.screenshots docs/images

bench: $(READY) chromium
	@$(BIN)/python -m benchmarks

# An OCI layout in dist/image. BASE: a layout with Python; without one, Debian's packages are downloaded.
image: $(READY)
	@$(BIN)/python -m image $(if $(BASE),--base $(BASE))

format: $(READY)
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
