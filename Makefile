# Every task of the project, for a machine that has Python 3.11 or newer, git and make. Each target makes the virtual
# environment it needs and installs into it what it needs, once: `make` with no target lists them.
#
# It keeps to what GNU make 3.81 and a plain sh can do, since that is what macOS ships.

.DEFAULT_GOAL := help
# Two installs into one environment at the same time spoil it.
.NOTPARALLEL:

# With PYTHON said (`make PYTHON=python3.12 test`), the environment is made anew if it is of another Python; with nothing
# said, one that is there is used as it is.
ASKED := $(filter-out undefined default,$(origin PYTHON))
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Through `python -m`, never through the scripts in bin: those stop working when the folder is moved.
RUN := $(BIN)/python -m
INSTALL := $(RUN) pip install --disable-pip-version-check -q
# One empty file for each extra that is installed. They live in the environment, and go with it.
STAMPS := $(VENV)/.stamps

# pyright runs on node. Without one its first run would download it; the package index has it as a wheel, which also works
# where nothing else can be reached.
ifeq ($(shell command -v node 2>/dev/null),)
NODE := $(STAMPS)/node
endif

.PHONY: help
help: ## list the targets (this text)
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12] [VENV=.venv]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(STAMPS)/demo ## see a flow at work: index the standard library
	$(BIN)/python examples/index_stdlib.py $(ARGS)

PROGRAMS := $(sort $(filter-out _%,$(basename $(notdir $(wildcard examples/*.py)))))

.PHONY: run
run: $(STAMPS)/demo ## run a program of examples/: make run EXAMPLE=crawl ARGS="--workers 1"
	$(BIN)/python examples/$(EXAMPLE).py $(ARGS)

# Said before anything is installed.
ifneq ($(filter run,$(MAKECMDGOALS)),)
ifeq ($(filter $(EXAMPLE),$(PROGRAMS)),)
$(error say which program to run: make run EXAMPLE=... (one of $(PROGRAMS)))
endif
endif

.PHONY: test
test: $(STAMPS)/dev build ## run all tests (ARGS="-k merge -x" goes to pytest)
	$(RUN) pytest $(ARGS)

.PHONY: build
build: $(STAMPS)/built ## compile the core in place, where there is a C compiler

# The tests of the core and of all that stands on it; the rest does not know which build it runs on.
.PHONY: pure
pure: $(STAMPS)/dev ## run the tests of the core as it is, not compiled
	FLOW_PURE=1 FLOW_EXPECT=pure $(RUN) pytest tests/core tests/conformance tests/stages tests/faults $(ARGS)

.PHONY: lint
lint: $(STAMPS)/dev ## check style and formatting
	$(RUN) ruff check .
	$(RUN) ruff format --check .

.PHONY: format
format: $(STAMPS)/dev ## put right what `lint` can put right
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

.PHONY: types
types: $(STAMPS)/dev $(NODE) ## check types with mypy and pyright
	$(RUN) mypy
	@# IGNORE_WARNINGS: or it asks the network for a newer pyright at each run.
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(RUN) pyright --pythonpath $(BIN)/python

.PHONY: docs
docs: $(STAMPS)/dev $(STAMPS)/docs build ## run all code that the book shows, then build the book into site/
	$(RUN) pytest tests/docs $(ARGS)
	@# The variable: or material's notice about its successor stands among what matters.
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict
	@echo 'the book is in site/index.html; with search: python3 -m http.server -d site'

.PHONY: examples
examples: $(STAMPS)/dev build ## run every program in examples/ as a test
	$(RUN) pytest tests/examples $(ARGS)

.PHONY: bench
bench: $(STAMPS)/bench build ## measure flow beside other libraries (ARGS goes to the benchmarks)
	$(RUN) bench $(ARGS)

.PHONY: counts
counts: $(STAMPS)/bench build ## count instructions of the hot paths, where valgrind is installed (ARGS=--keep keeps them)
	$(RUN) bench.counts $(ARGS)

.PHONY: parts
parts: $(STAMPS)/bench build ## say where the instructions of a row go, where valgrind is installed (ARGS=--keep keeps them)
	$(RUN) bench.parts $(ARGS)

.PHONY: clean
clean: ## remove the environments and all that was built or cached
	rm -rf .venv .venv-* build dist site src/*.egg-info .coverage .coverage.* htmlcov
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples bench docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	find src -name '*_cy.c' -exec rm -f {} + -o -name '*_cy.*.so' -exec rm -f {} + -o -name '*_cy.*.pyd' -exec rm -f {} +

# --- The environment -------------------------------------------------------------------------------------------------

# An extra is installed again when pyproject.toml changed or the environment is a new one. No --upgrade: what is there and
# fits is left alone. What is installed for the demo is compiled by pip; all else has `build` for that, and is spared it.
$(STAMPS)/demo: pyproject.toml $(STAMPS)/python
	$(INSTALL) -e '.[$(@F)]'
	@touch $@

$(STAMPS)/dev $(STAMPS)/docs $(STAMPS)/bench: pyproject.toml $(STAMPS)/python
	FLOW_BUILD=pure $(INSTALL) -e '.[$(@F)]'
	@touch $@

# After an edit, what was compiled before would still be what runs. Where nothing can be compiled this leaves nothing.
$(STAMPS)/built: $(STAMPS)/dev setup.py $(wildcard src/flow/*/*.pxd src/flow/*/*_cy.py)
	$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

# dev first: it says which pyright.
$(STAMPS)/node: $(STAMPS)/dev
	$(INSTALL) 'pyright[nodejs]'
	@touch $@

IDENTITY := import platform; print(platform.python_implementation() + " " + platform.python_version())
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
SAY := echo >&2 "error:

# Looked at on every run (FORCE) but written only when something is new, and only then do the extras follow. The folder is
# part of what it says, because an editable install goes on pointing at the old one when a checkout is moved or copied.
$(STAMPS)/python: FORCE
	@have=`$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null && $(BIN)/python -c 'import pip; $(IDENTITY)' 2>/dev/null`; \
	want=$$have; \
	if [ -n '$(ASKED)' ] || [ -z "$$have" ]; then \
	    want=`$(PYTHON) -c '$(IDENTITY)' 2>/dev/null`; \
	    if [ -z "$$want" ]; then \
	        $(SAY) '$(PYTHON)' does not run; name a Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; fi; \
	    if ! $(PYTHON) -c '$(NEW_ENOUGH)'; then \
	        $(SAY) flow needs Python 3.11 or newer and '$(PYTHON)' is $$want; name another: make PYTHON=python3.12"; exit 1; fi; \
	fi; \
	if [ "$$have" != "$$want" ]; then \
	    if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	        $(SAY) '$(PYTHON)' has no venv or ensurepip; install them (Debian, Ubuntu: apt install python3-venv)"; exit 1; fi; \
	    if [ -e '$(VENV)' ] && [ ! -f '$(VENV)/pyvenv.cfg' ]; then \
	        $(SAY) '$(VENV)' is there and is no virtual environment; remove it or name another: make VENV=.venv-flow"; exit 1; fi; \
	    echo "making $(VENV) with $$want"; \
	    $(PYTHON) -m venv --clear '$(VENV)' || exit 1; \
	fi; \
	now="$$want in `pwd`"; \
	mkdir -p '$(STAMPS)'; \
	[ "`cat $@ 2>/dev/null`" = "$$now" ] || echo "$$now" >$@

.PHONY: FORCE
FORCE:
