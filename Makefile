# The commands of Maple Pulse. Each sets up what it needs: a virtual environment in .venv/ from the hashed lock.
# The first Python that really runs and is 3.11 to 3.13 (a version manager's shim may be there and not run).
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
  $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
BENCH ?= loop
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo up check fix test lint bench lock clean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*##  ?(.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(VENV)/installed  ## the whole loop on this machine in minutes, in a scratch clone (.demo/)
	$(RUN) -m demo.run

up: $(VENV)/installed  ## the real thing: Inven, your LLM, this checkout
	$(RUN) -m flows.up

check: lint  ## before a commit: lint and the quick tests, in under a minute
	$(RUN) -m pytest -m "not slow and not whole"

fix: $(VENV)/installed  ## format, mend what ruff can, write generated tables and the tree anew
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format --quiet .
	$(RUN) -m benchmarks.tables
	$(RUN) -m tests.support.tree

test: $(VENV)/installed  ## every test; one file, without workers: make test T=tests/pipeline/test_text.py
	$(RUN) -m pytest $(if $(T),-n0 $(T))

lint: $(VENV)/installed  ## style, types, and whether generated pages are fresh
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(RUN) -m benchmarks.tables --check
	$(RUN) -m tests.support.tree --check

bench: $(VENV)/installed  ## one benchmark: make bench BENCH=loop
	$(RUN) -m benchmarks.$(BENCH)

lock:  ## resolve pyproject.toml again (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --all-extras \
	  --python-version 3.11 pyproject.toml -o requirements.lock

clean:  ## remove what can be made again: .venv/, .demo/, .cache/
	rm -rf $(VENV) .demo .cache

# The lock names every package, so nothing is resolved here (--no-deps) and every file is checked by its hash.
$(VENV)/installed: requirements.lock
	@test -n "$(PYTHON)" || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed: install one, then: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing into $(VENV) (about 4 GB, a few minutes; once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@
