# The one entry point; `make help` lists the targets. Each does its own set-up.
#
#   PYTHON=…   the interpreter to make the venv from (else the first CPython >= 3.11 found)
#   SECONDS=…  how long `run`, `stress`, `fuzz` and `soak` go on
#   ARGS=…     further arguments for pytest: make test ARGS="-k breaker -x"
#   TEST_SECONDS=…  how long one test may take, instead of 120; a slow machine wants more
#   JOBS=…     how many processes run the tests: as many as there are processors, 0 for none beside pytest

VENV     := .venv
BIN       = $(VENV)/bin
# Versions `make test-all` looks for; a t is for one without the GIL.
VERSIONS := 3.11 3.12 3.13 3.14 3.15 3.14t
# Empty, thread, address or heap; `tsan` and `asan` set it.
SANITIZE :=
# ON makes warnings of the C compiler errors, as .ci/run has it.
WERROR   := OFF
CMAKE_OPTIONS = -DHOLDFAST_SANITIZE=$(SANITIZE) -DHOLDFAST_WERROR=$(WERROR)
# What the extension modules are made from.
NATIVE   := CMakeLists.txt $(wildcard cmake/* csrc/*/*.[ch] src/holdfast/_native/*.p[xy][xd]) \
            src/holdfast/_version.py
C_FILES   = $(wildcard csrc/*/*.[ch] tests/c/*.[ch] tests/c/*/*.[ch])
STUBS     = $(patsubst src/holdfast/_native/%.pyi,holdfast._native.%,$(wildcard src/holdfast/_native/*.pyi))
# -qq leaves errors only: pip warns of settings of the machine that are no concern of ours.
PIP       = $(BIN)/python -m pip install -qq --disable-pip-version-check
PYTEST    = $(BIN)/python -m pytest $(LIMIT)
JOBS      = auto
# Who is done early takes tests over from the others.
PARALLEL  = -n $(JOBS) --dist worksteal
LIMIT     = $(if $(TEST_SECONDS),-o timeout=$(TEST_SECONDS) -o faulthandler_timeout=$$((3 * $(TEST_SECONDS))))
# Programs no package index has, as command:package of Debian.
PROGRAMS := cc:gcc cc:libc6-dev prometheus:prometheus promtool:prometheus pg_createcluster:postgresql etcd:etcd-server redis-server:redis-server

# cmake and ninja come from the system or, where it has none, from the venv.
export PATH := $(abspath $(VENV)/bin):$(PATH)

# One step at a time: two test runs, or two pips in one venv, would disturb each other.
.NOTPARALLEL:
# Half a venv would pass for a whole one the next time.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test quick test-all test-nogil pytest ctest tsan asan asan-greenlets stress fuzz soak bench peers mutants coverage \
        lint format hooks types docs wheel build system-packages clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- using it --------------------------------------------------------------------------------

run: build ## run the demo until Ctrl-C, or for SECONDS=20
	@$(BIN)/holdfast demo $(if $(SECONDS),--seconds $(SECONDS))

build: $(VENV)/.built ## install the package into .venv, editable

wheel: $(VENV)/.has-test ## build the source distribution and the wheel in dist/
	$(BIN)/python -m build --no-isolation

# --- testing it ------------------------------------------------------------------------------

test: ctest pytest ## run the quick tests, C and Python

QUICK := -m "not slow"
pytest: build $(VENV)/.has-test ## run the quick tests in Python
	$(PYTEST) $(PARALLEL) $(QUICK) $(ARGS)

# What starts servers, workers or builds, and what looks for leaks, is left to `make test`.
REAL := $(wildcard $(addprefix tests/,agent bench demo degradation/test_end_to_end.py frameworks health \
            machine project runtimes stores telemetry testing))
quick: build $(VENV)/.has-test ## in 90 seconds: contracts in C, and tests in Python that start nothing
	@$(MAKE) --no-print-directory ctest CTEST_ARGS="-L contract"
	$(PYTEST) $(PARALLEL) -m "not slow and not stress and not fuzz" -k "not leaks" $(REAL:%=--ignore=%) $(ARGS)

test-all: ctest ## run all tests on each installed Python of VERSIONS
	@for version in $(VERSIONS); do \
	    if python=$$(tools/find-python $$version); then \
	        echo "== Python $$version: $$python"; \
	        case $$version in \
	            *t) set -- test-nogil NOGIL=build/venv-$$version ;; \
	            *) set -- pytest VENV=build/venv-$$version ;; \
	        esac; \
	        $(MAKE) --no-print-directory "$$@" QUICK= PYTHON=$$python || exit; \
	    else \
	        echo "== Python $$version: this machine has none, left out"; \
	    fi; \
	done

NOGIL := build/venv-nogil
# Their tools have no wheels for it; what they look at is the same in every interpreter.
NOT_NOGIL := tests/project/test_settings.py
test-nogil: ## on a free-threaded PYTHON=…: quick tests, C stress tests under TSan, contention
	@test -n "$(PYTHON)" || { echo "name a free-threaded interpreter: make test-nogil PYTHON=…" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sysconfig as s, sys; sys.exit(not s.get_config_var("Py_GIL_DISABLED"))' || { \
	    echo "$(PYTHON) has a GIL; name a free-threaded interpreter" >&2; exit 1; }
	$(MAKE) --no-print-directory $(NOGIL)/.has-test-nogil build VENV=$(NOGIL)
	PYTHON_GIL=0 $(NOGIL)/bin/python -m pytest $(LIMIT) $(PARALLEL) $(QUICK) $(NOT_NOGIL:%=--ignore=%) $(ARGS)
	$(MAKE) --no-print-directory ctest SANITIZE=thread CTEST_ARGS="-L stress" PYTHON=
	PYTHON_GIL=0 $(NOGIL)/bin/python -m benchmarks.contention --threads 2

CTEST_DIR = build/ctest$(addprefix -,$(SANITIZE))
ctest: $(VENV)/.has-test ## run the C tests of the kernels
	@cmake -S tests/c -B $(CTEST_DIR) -G Ninja $(CMAKE_OPTIONS) >/dev/null
	@cmake --build $(CTEST_DIR)
	@ctest --test-dir $(CTEST_DIR) --parallel 2 --no-tests=error --output-on-failure $(CTEST_ARGS)

# $(call sanitized,thread,libtsan.so,tests): tests in Python on extensions built with the sanitizer,
# whose run-time has to be in the process before they are. Leaks are looked for in C only: the
# interpreter itself leaves memory to the end of the process.
define sanitized
$(MAKE) --no-print-directory build build/venv-$(1)/.has-test SANITIZE=$(1) VENV=build/venv-$(1)
TSAN_OPTIONS="exitcode=66 report_signal_unsafe=0 suppressions=$(CURDIR)/tests/c/tsan.supp" \
    ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
    LD_PRELOAD="$(foreach lib,$(2),$(shell $(CC) -print-file-name=$(lib)))" \
    build/venv-$(1)/bin/python -m pytest $(LIMIT) $(3) -p no:cacheprovider $(ARGS)
endef

# What is instrumented runs at a fraction of its speed.
tsan asan asan-greenlets: TEST_SECONDS ?= 600
tsan: ## run C tests and Python stress tests under ThreadSanitizer
	$(MAKE) --no-print-directory ctest SANITIZE=thread
	$(call sanitized,thread,libtsan.so,-m stress)

# Greenlets copy the C stack, and what the sanitizer has marked in it: they have a build of their own.
GREENLETS := tests/policies/timeout/test_greenlets.py tests/policies/timeout/test_libraries.py tests/runtimes
# The demo is traffic in real time, too much for what runs at a fraction of its speed.
# A container of the tests has no /proc, which a sanitizer reads as it begins.
NOT_ASAN  := tests/project tests/demo/test_demo_end_to_end.py tests/runtimes/test_containers.py
asan: ## run C tests and quick Python tests under AddressSanitizer and UBSan
	$(MAKE) --no-print-directory ctest SANITIZE=address
	$(call sanitized,address,libasan.so libubsan.so,$(QUICK) $(patsubst %,--ignore=%,$(NOT_ASAN) $(GREENLETS)))
	$(if $(ARGS),,$(MAKE) --no-print-directory asan-greenlets)

asan-greenlets: ## run tests with greenlets under UBSan and AddressSanitizer (heap only)
	$(call sanitized,heap,libasan.so libubsan.so,$(QUICK) $(GREENLETS) $(NOT_ASAN:%=--ignore=%))

stress: export STRESS_SCALE = 20
stress: build $(VENV)/.has-test ## run millions of operations from many threads
	@$(MAKE) --no-print-directory ctest CTEST_ARGS="-L stress"
	$(PYTEST) -m stress $(ARGS)

fuzz: export FUZZ_SECONDS = $(or $(SECONDS),600)
fuzz: TEST_SECONDS = 0
fuzz: build $(VENV)/.has-test ## run with random input for SECONDS=600
	$(PYTEST) -m fuzz $(ARGS)

soak: build $(VENV)/.has-test ## kill and break supervised processes, threads and nodes for SECONDS=600
	$(BIN)/python -m tools.soak --seconds $(or $(SECONDS),600) $(ARGS)

bench: build $(VENV)/.has-bench $(if $(ARGS),,$(VENV)/.has-compare) ## measure, compare, rewrite the tables; with ARGS="-k breaker" it only shows
	$(PYTEST) benchmarks -q --benchmark-sort=name --benchmark-columns=min,median,ops $(ARGS)
ifeq ($(ARGS),)
	$(BIN)/python -m benchmarks.contention
	$(BIN)/python -W ignore -m benchmarks.compare
	$(BIN)/python -m benchmarks.faces
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.charts
	$(BIN)/python -m benchmarks.growth_chart
	$(BIN)/python -m benchmarks.report
endif

# Apart from the venv: pytest would load their plugins for our tests as well.
PEER_TOOLS := build/peers/tools
peers: build $(VENV)/.has-dev $(PEER_TOOLS)/.has-peers ## run other libraries' own test suites against our faces of them
	$(BIN)/python -m tools.peers $(ARGS)

$(PEER_TOOLS)/.has-peers: pyproject.toml | $(VENV)/bin/python
	@$(PIP) --upgrade --target $(PEER_TOOLS) $$($(BIN)/python tools/requirements.py peers | grep -v '^aiobreaker')
	@$(PIP) --upgrade --target $(PEER_TOOLS) --no-deps $$($(BIN)/python tools/requirements.py peers | grep '^aiobreaker')
	@touch $@

mutants: build $(VENV)/.has-dev ## plant faults and count those that a test catches; SAMPLE=100 of the random ones
	$(BIN)/python -m tools.mutants.native --score
	$(BIN)/python -m tools.mutants.python --score $(if $(SAMPLE),--sample $(SAMPLE))
	$(BIN)/python -m tools.mutants.report

coverage: build $(VENV)/.has-dev ## measure coverage; policies/, pipeline/ and waiting/ need 95 %
	@$(MAKE) --no-print-directory ctest CTEST_DIR=build/ctest-coverage CMAKE_OPTIONS=-DHOLDFAST_COVERAGE=ON
	$(BIN)/gcovr --root . --filter csrc/holdfast/ build/ctest-coverage
	$(BIN)/coverage run -m pytest $(QUICK) -q $(ARGS)
	$(BIN)/coverage report --include="src/holdfast/policies/*,src/holdfast/pipeline/*,src/holdfast/waiting/*" --fail-under=95

# --- looking after it ------------------------------------------------------------------------

lint: $(VENV)/.has-dev ## run ruff and clang-format; check that docs/ is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	$(BIN)/python tools/citations.py --check

format: $(VENV)/.has-dev ## let ruff and clang-format rewrite what they can; `make lint` names the rest
	$(BIN)/clang-format -i $(C_FILES)
	$(BIN)/ruff check --fix-only --exit-zero --quiet .
	$(BIN)/ruff format .

hooks: $(VENV)/.has-dev ## check what is committed, at each `git commit`
	$(BIN)/pre-commit install

types: build $(VENV)/.has-dev ## run mypy --strict and pyright; check stubs against the modules
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --ignore-disjoint-bases $(STUBS)

docs: build $(VENV)/.has-dev ## write requirements.md, traps.md and public-face.txt in docs/
	$(BIN)/python tools/citations.py
	$(BIN)/python -m tests.project.face

system-packages: ## install the Debian packages this machine lacks (root)
	@missing=; for pair in $(PROGRAMS); do \
	    command -v $${pair%:*} >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	if [ -z "$$missing" ]; then echo "no system package is missing"; \
	elif [ "$$(id -u)" -ne 0 ]; then \
	    echo "missing:$$missing; only root may install: sudo make system-packages" >&2; exit 1; \
	else apt-get update -qq && apt-get install -qq --no-install-recommends $$missing; fi

clean: ## remove build results and the venv
	rm -rf build dist .venv .*_cache .hypothesis .benchmarks .coverage

# --- set-up: a venv, a stamp for each extra of pyproject.toml in it, then the native code -----

$(VENV)/bin/python:
	@python="$(or $(PYTHON),$$(tools/find-python))"; test -n "$$python" || { \
	    echo "no CPython >= 3.11 with venv and C headers found; name one: make PYTHON=…" >&2; exit 1; }; \
	"$$python" -m venv $(VENV)

$(VENV)/.has-%: pyproject.toml | $(VENV)/bin/python
	@$(PIP) $$($(BIN)/python tools/requirements.py $*)
	@touch $@

# One by one: a library that cannot be had is left out of the comparison, with a word there.
$(VENV)/.has-compare: pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python tools/requirements.py compare | while read -r wanted; do \
	    $(PIP) "$$wanted" || echo "left out of the comparison: $$wanted"; \
	done
	@$(PIP) --no-deps aiobreaker || echo "left out of the comparison: aiobreaker"
	@touch $@

$(VENV)/.built: pyproject.toml $(NATIVE) | $(VENV)/.has-demo
	@$(PIP) --no-build-isolation --no-deps --editable . \
	    -Cbuild-dir="build/$(or $(SANITIZE),{wheel_tag})" $(CMAKE_OPTIONS:-D%=-Ccmake.define.%)
	@touch $@
