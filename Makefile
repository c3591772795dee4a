# GNU make 3.81 or newer. Needs Python 3.11 or newer with its venv module, and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install
ARGS   ?=

# A user's own Python paths and pip defaults must not change what is installed, or where.
# Certificates, proxies and mirrors stay: a machine may need them to reach the index at all.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONOPTIMIZE
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_PYTHON PIP_DRY_RUN PIP_REQUIREMENT PIP_CONSTRAINT
unexport PIP_BUILD_CONSTRAINT PIP_NO_DEPS PIP_NO_BINARY PIP_ONLY_BINARY PIP_PRE PIP_EDITABLE
unexport PIP_PLATFORM PIP_PYTHON_VERSION PIP_ABI PIP_IMPLEMENTATION PIP_IGNORE_REQUIRES_PYTHON

.PHONY: help demo test run lint bench constraints

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/installed ## a sample newsroom and a webhook receiver on this machine, until 12 alerts have come
	$(BIN)/kabar demo --stories 12 --exit $(ARGS)

test: $(VENV)/installed ## the tests but the slow ones; ARGS='-m slow -n 0' for those
	$(BIN)/python -m pytest -m "not slow and not llm" -n auto --maxprocesses 4 --dist loadfile $(ARGS)

run: $(VENV)/installed ## the service in the foreground
	$(BIN)/kabar up $(ARGS)

lint: $(VENV)/installed-dev ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed ## every benchmark; writes docs/benchmarks.md
	$(BIN)/python -m bench $(ARGS)

constraints: $(VENV)/installed-dev ## renew the pinned versions; ARGS=--check only compares them
	$(BIN)/python scripts/constraints.py $(ARGS)

$(VENV)/installed: constraints.txt pyproject.toml | $(BIN)/python
	@echo "kabar: installing into $(VENV) what constraints.txt names"
	@$(PIP) --upgrade pip
	@$(PIP) --require-hashes -r constraints.txt
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/installed-dev: constraints-dev.txt $(VENV)/installed
	@echo "kabar: installing into $(VENV) what constraints-dev.txt names"
	@$(PIP) --require-hashes -r constraints-dev.txt
	@touch $@

# A venv that could not be finished is removed, else the next call would take it for a whole one.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "kabar: needs Python 3.11 or newer, but $(PYTHON) says: $$($(PYTHON) --version 2>&1);" \
	    "name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
