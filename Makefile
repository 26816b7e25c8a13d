# The one entry point; `make help` lists the targets. Each does its own set-up.
#
# PYTHON=…   the interpreter to make .venv from (else the first CPython >= 3.11 that is found)
# SECONDS=…  how long `run` and `fuzz` go on
# ARGS=…     further arguments for pytest (`make test ARGS="-k breaker"`)

VENV := .venv
BIN  := $(VENV)/bin
# Versions `make test-all` looks for.
VERSIONS := 3.11 3.12 3.13
# What the extension modules are made from.
NATIVE := CMakeLists.txt $(wildcard cmake/* csrc/*/*.[ch] src/holdfast/_native/*.p[xy][xd]) src/holdfast/_version.py
# -qq keeps pip to errors: it warns of settings of the machine that are no concern of ours.
PIP     = $(BIN)/python -m pip install -qq --disable-pip-version-check
PYTEST  = $(BIN)/python -m pytest
# cmake and ninja come from the system or, where it has none, from the venv.
export PATH := $(abspath $(BIN)):$(PATH)

# One step at a time: test runs share two cores badly, and pip two installs worse.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help run test test-all pytest ctest tsan asan stress fuzz bench coverage lint format types wheel build system-packages clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: build ## the demo on real traffic, until Ctrl-C; SECONDS=20 ends it
	@$(BIN)/holdfast demo $(if $(SECONDS),--seconds $(SECONDS))

test: ctest pytest ## the quick tests: C and Python

test-all: ctest ## every test, on each Python the machine has
	@for version in $(VERSIONS); do \
	    if python=$$(tools/find-python $$version); then \
	        echo "== Python $$version: $$python"; \
	        $(MAKE) --no-print-directory pytest QUICK= PYTHON=$$python VENV=build/venv-$$version || exit 1; \
	    else \
	        echo "== Python $$version: not on this machine, left out"; \
	    fi; \
	done

QUICK = -m "not slow"
pytest: build $(VENV)/.has-test
	$(PYTEST) $(QUICK) $(ARGS)

build: $(VENV)/.built ## the package, editable, in .venv

# --- set-up: a venv, then one stamp an extra of pyproject.toml, then the native code ---------

$(BIN)/python:
	@python="$(or $(PYTHON),$$(tools/find-python))" && test -n "$$python" || \
	    { echo "holdfast needs a CPython >= 3.11 with venv and C headers; name one: make PYTHON=…" >&2; exit 1; }; \
	"$$python" -m venv $(VENV)

$(VENV)/.has-%: pyproject.toml | $(BIN)/python
	@$(PIP) $$($(BIN)/python tools/requirements.py $*)
	@touch $@

$(VENV)/.built: pyproject.toml $(NATIVE) | $(VENV)/.has-demo
	@$(PIP) --no-build-isolation --no-deps $(BUILD_FLAGS) -e .
	@touch $@

clean: ## remove what was built, and the venv
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage
