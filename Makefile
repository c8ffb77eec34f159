# `make demo` shows the program, `make test` tests it. Both set up .venv first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
# A Python that was given is used; otherwise any that is new enough.
PYTHONS := $(strip $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11))
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
PACKAGE := pyproject.toml syncer/__init__.py

.PHONY: help demo demo-publish test lint format coverage mutants soak bench audit pins datasette clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: $(VENV)/.ready-run ## the whole program against a sandbox of both vendors
	@$(BIN)/syncer demo

demo-publish: $(VENV)/.ready-dev ## a published copy in a private PostgreSQL
	@sh deploy/demo-publish.sh $(abspath $(BIN)/syncer)

test: lint ## lint, types, import rules, then the tests
	$(BIN)/python -m pytest -n 4 -m "not soak"

lint: $(VENV)/.ready-dev ## lint, types and import rules only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/deptry syncer

format: $(VENV)/.ready-dev ## format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Only direct tests of decisions count, not those through the store or a process.
coverage: $(VENV)/.ready-dev ## branch coverage of syncer/core by tests/core
	$(BIN)/coverage run -m pytest -q -p no:xdist tests/core
	$(BIN)/coverage report

# Changes one expression of syncer/core at a time, and counts the changes that a test notices. Takes about ten minutes.
mutants: requirements/dev.txt | $(BIN)/python ## mutation tests of syncer/core
	@[ -x $(VENV)/mutants/bin/mutmut ] || { $(BIN)/python -m venv --clear $(VENV)/mutants && \
	  $(VENV)/mutants/bin/python -m pip --disable-pip-version-check --no-input install -qq -r requirements/dev.txt && \
	  $(VENV)/mutants/bin/python -m pip --disable-pip-version-check --no-input install -qq mutmut==3.8.1; }
	@rm -rf mutants
	@$(VENV)/mutants/bin/mutmut run
	@$(VENV)/mutants/bin/mutmut results --all true | $(BIN)/python -c '\
	import collections, sys; \
	ends = collections.Counter(line.rpartition(": ")[2].strip() for line in sys.stdin if ": " in line); \
	share = 1 - (ends["survived"] + ends["no tests"]) / max(1, ends.total()); \
	print(f"{share:.1%} of {ends.total()} mutants were noticed"); sys.exit(share < 0.9)'

soak: $(VENV)/.ready-dev ## the long runs
	$(BIN)/python -m pytest -m soak

# ROW="directory storing" takes some rows only, BIG=1 a million contacts too, ARGS="--idle 600" what else
# `python -m benchmarks --help` says. The tools of the comparison get an environment of their own.
bench: $(VENV)/.ready-run .venv-bench/.ready ## compare with other tools (ROW=..., BIG=1)
	@$(BIN)/python -m benchmarks $(ROW) $(if $(BIG),--big) $(ARGS)

.venv-bench/.ready: benchmarks/others/requirements.txt | $(BIN)/python
	@echo "installing the tools of the comparison (once)"
	@$(BIN)/python -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check --no-input install --quiet -r $<
	@touch $@

# Not part of `make test`: it asks a public database, which is not everywhere within reach.
audit: requirements/run.txt | $(BIN)/python ## known vulnerabilities of the pinned packages
	@[ -x $(VENV)/audit/bin/pip-audit ] || { $(BIN)/python -m venv --clear $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip --disable-pip-version-check --no-input install -qq pip-audit==2.10.1; }
	@$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements/run.txt || \
	  { echo "Not shown to be clean: a package has a hole that is known, or the database could not be asked about" \
	  "it (offline, or an index that is a mirror). The lines above say which." >&2; exit 1; }

# The pins hold for 3.11 to 3.13 and name no index. `uv` is needed for this target alone; delete a line of
# a .txt file, or the file, to let its version move.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make pins"

pins: ## write requirements/*.txt from requirements/*.in
	$(COMPILE) requirements/dev.in --output-file requirements/dev.txt
	$(COMPILE) requirements/run.in --constraint requirements/dev.txt --output-file requirements/run.txt
	$(COMPILE) requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt

# Datasette brings a dozen packages along, so it gets an environment of its own.
datasette: | $(BIN)/python ## a Datasette for the test of deploy/datasette
	@[ -x $(VENV)/datasette/bin/datasette ] || { $(BIN)/python -m venv --clear $(VENV)/datasette && \
	  $(VENV)/datasette/bin/python -m pip --disable-pip-version-check --no-input install -qq datasette==0.65.5; }

clean: ## remove the environment and all caches
	rm -rf $(VENV) .venv-bench .coverage mutants build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for candidate in $(PYTHONS); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "setting up $(VENV) with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv --clear $(VENV) || { rm -rf $(VENV); \
	      echo "$$candidate cannot make environments; install its venv package (Debian: python3-venv)." >&2; exit 1; }; \
	    exit 0; \
	  fi; \
	done; \
	echo "syncer needs Python 3.11 or newer (tried: $(PYTHONS)); try: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(VENV)/.ready-run: requirements/run.txt requirements/build.txt $(PACKAGE) | $(BIN)/python
	@echo "installing the pinned packages (once)"
	@$(PIP) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: requirements/dev.txt $(PACKAGE) | $(BIN)/python
	@echo "installing the pinned packages and the tools (once)"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.ready-run $@
