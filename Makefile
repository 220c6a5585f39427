# Everything a checkout can do. `make help` lists it; needs Python 3.11 to 3.14, git and make.
#
#   make PYTHON=/path/to/python3 ...   use this interpreter for a new environment
#   make VENV=/some/folder ...         keep the environment elsewhere
#   make test ARGS='tests/core -x'     hand arguments to pytest
#   make soak SECONDS=600              how long the soak tests run, all together, and then a node under load
#   make soak NAMESPACES=50 READS=1000 PUBLISHES=20   a smaller node under less load
#   make lock UPGRADE=1                raise every pin to the newest version allowed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VENV ?= .venv
SECONDS ?= 60
NAMESPACES ?= 10000
READS ?= 10000
PUBLISHES ?= 100
ARGS ?=
TARGET ?=
ROWS ?=
UV_VERSION := 0.13.9

env := $(abspath $(VENV))
python := $(env)/bin/python

# The versions the lock files were checked with; PYTHON= lifts the upper bound.
candidates := python3 python3.14 python3.13 python3.12 python3.11

.PHONY: help demo test lint type vectors vectors-write fmt dist fuzz sim soak bench bench-quick bench-smoke bench-gate bench-baseline lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: $(env)/.run ## real nodes on loopback: publish, resolve, verify, refuse
	@$(env)/bin/holo demo

test: $(env)/.dev ## the whole test suite, without the soak tests
	@$(python) -m pytest -n auto --dist worksteal $(ARGS)

lint: $(env)/.dev ## style, formatting and the direction of imports
	@$(env)/bin/ruff check .
	@$(env)/bin/ruff format --check .
	@$(env)/bin/lint-imports

type: $(env)/.dev ## mypy, strict
	@$(env)/bin/mypy

vectors: $(env)/.dev ## make the golden vectors again; fail when fixtures/ differs
	@$(python) -m tests.vectors --check

vectors-write: $(env)/.dev ## write the golden vectors into fixtures/
	@$(python) -m tests.vectors

fmt: $(env)/.dev ## put the code into the house style
	@$(env)/bin/ruff check --fix-only .
	@$(env)/bin/ruff format .

# The second build starts from the unpacked first sdist, elsewhere and later: equal bytes show that the sdist is
# complete and that no path, clock or stray file got in.
dist: $(env)/.run ## sdist and wheel into dist/, built twice and compared bit by bit
	@rm -rf build/dist dist
	@mkdir -p build/dist/tree
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)}; \
	export SOURCE_DATE_EPOCH; set -e; \
	$(python) -m hatchling build -t sdist -t wheel -d "$(CURDIR)/build/dist/first"; \
	tar -xzf build/dist/first/*.tar.gz -C build/dist/tree; \
	cd build/dist/tree/*; \
	$(python) -m hatchling build -t sdist -t wheel -d "$(CURDIR)/build/dist/second"
	@for file in build/dist/first/*; do cmp "$$file" "build/dist/second/$${file##*/}" || exit 1; done
	@mv build/dist/first dist
	@echo "two builds, the same bytes:"; ls -l dist

fuzz: $(env)/.fuzz ## search for SECONDS (60) for input that breaks a promise; TARGET=name for one place only
	@$(python) -m tests.fuzz --seconds $(SECONDS) --target "$(TARGET)" $(ARGS)

sim: $(env)/.dev ## whole nodes on a simulated network, with fresh seeds for SECONDS (60); a failure says how to see it again
	@$(python) -m tests.sim --seconds $(SECONDS) $(ARGS)

soak: $(env)/.dev ## tests with fresh seeds, then a node under load, each for SECONDS (60); drawn in build/bench/soak.svg
	@HOLO_SOAK_SECONDS=$(SECONDS) HOLO_HYPOTHESIS_PROFILE=soak $(python) -m pytest -m soak $(ARGS)
	@$(python) -m bench soak --seconds $(SECONDS) --namespaces $(NAMESPACES) --reads $(READS) --publishes $(PUBLISHES)

bench: $(env)/.dev ## holo beside its rivals on a million names; ROWS='resolve head' for some rows
	@$(python) -m bench run $(ROWS) $(ARGS)

bench-quick: $(env)/.dev ## the same, shorter; the figures are kept apart
	@$(python) -m bench run --quick $(ROWS) $(ARGS)

bench-smoke: $(env)/.dev ## every benchmark once and small: whether it runs, not how fast
	@$(python) -m bench run --smoke $(ROWS) $(ARGS)

bench-gate: $(env)/.dev ## counts instructions; fails where an operation takes a fifth more than it did
	@$(python) -m bench gate

bench-baseline: $(env)/.dev ## makes today's instructions the baseline of this version of Python
	@$(python) -m bench gate --write

lock: $(env)/bin/python ## resolve the dependencies again into requirements/*.lock
	@test -x build/uv-$(UV_VERSION)/bin/uv || { $(python) -m venv --clear build/uv-$(UV_VERSION) && \
	  build/uv-$(UV_VERSION)/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); }
	@set -e; for lock in "run pyproject.toml --group build" "dev pyproject.toml --group dev" "fuzz --group fuzz"; do \
	  set -- $$lock; file=requirements/$$1.lock; shift; \
	  build/uv-$(UV_VERSION)/bin/uv pip compile -q "$$@" -o $$file $(if $(UPGRADE),--upgrade) \
	    --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate; \
	  { echo "# Written by make lock, for Python 3.11 to 3.14."; cat $$file; } > build/new.lock; \
	  mv build/new.lock $$file; \
	done

clean: ## remove what was built and every cache, but not the environment
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find holo tests -name __pycache__ -type d -prune -exec rm -rf {} +

# -------------------------------------------------------------------------------------------- environment

# $(call install,LOCK): exactly the locked packages, then holo itself as it lies here.
define install
	@set -e; echo "installing $(1) into $(VENV)"; \
	if command -v uv >/dev/null 2>&1; then \
	  uv pip install -q --python $(python) --require-hashes -r $(1); \
	  uv pip install -q --python $(python) --no-deps --no-build-isolation -e .; \
	else \
	  $(python) -m pip --version >/dev/null 2>&1 || $(python) -m ensurepip >/dev/null; \
	  $(python) -m pip install -q --disable-pip-version-check --no-input --require-hashes -r $(1); \
	  $(python) -m pip install -q --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .; \
	fi
endef

$(env)/.run: requirements/run.lock pyproject.toml | $(env)/bin/python
	$(call install,requirements/run.lock)
	@touch $@

$(env)/.dev: requirements/dev.lock pyproject.toml | $(env)/bin/python
	$(call install,requirements/dev.lock)
	@touch $(env)/.run $@

$(env)/.fuzz: requirements/fuzz.lock $(env)/.dev
	$(call install,requirements/fuzz.lock)
	@touch $@

$(env)/bin/python:
	@found=; \
	if [ -n "$(PYTHON)" ]; then \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && found="$(PYTHON)"; \
	else \
	  for name in $(candidates); do \
	    if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then found=$$name; break; fi; \
	  done; \
	fi; \
	if [ -z "$$found" ]; then \
	  echo "holo needs Python 3.11 to 3.14; $(if $(PYTHON),$(PYTHON) is none,none found as $(candidates))." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$found -c 'import platform, sys; print(sys.executable, platform.python_version())')"; \
	if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --clear --python "$$(command -v $$found)" $(env); \
	else \
	  $$found -m venv --clear $(env) || { \
	    echo "This Python cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
