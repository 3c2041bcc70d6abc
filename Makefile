# The commands of Maple Pulse. Each sets up what it needs: a virtual environment in .venv/ from the hashed lock.
# The first Python that really runs and is 3.11 to 3.13 (a version manager's shim may be there and not run).
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
  $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
BENCH ?= loop
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo up test bench lint lock clean

demo: $(VENV)/installed  ## the whole loop on this machine in minutes, in a scratch clone (.demo/)
	$(RUN) -m demo.run

up: $(VENV)/installed  ## the real thing: Inven, your LLM, this checkout
	$(RUN) -m flows.up

test: $(VENV)/installed  ## every test
	$(RUN) -m pytest

bench: $(VENV)/installed  ## one benchmark: make bench BENCH=loop
	$(RUN) -m benchmarks.$(BENCH)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

lock:  ## resolve pyproject.toml again (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --all-extras \
	  --python-version 3.11 pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .demo .cache .run

# The lock names every package, so nothing is resolved here (--no-deps) and every file is checked by its hash.
$(VENV)/installed: requirements.lock
	@test -n "$(PYTHON)" || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed: install one, then: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing into $(VENV) (about 4 GB, a few minutes; once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@
