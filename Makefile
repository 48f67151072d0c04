# What can be done with a checkout: `make help`.
# A distribution builds its Python with profile-guided optimization, version managers mostly do not: a fifth of all speed.
PYTHON ?= $(shell for each in /usr/bin/python3.12 /usr/bin/python3.11 python3.12 python3.11; do \
            $$each -c 'import venv, ensurepip' 2>/dev/null && echo $$each && exit; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help venv demo run worker test check format bench chaos litellm lock clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## make .venv from the pinned requirements

$(READY): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 12) else 1)' || { \
	  echo "Strata runs on Python 3.11 or 3.12, and $(PYTHON) is neither: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "this Python cannot make virtual environments: install its venv package (python3-venv)"; exit 1; }
	@echo "making $(VENV) (once; some 200 MB of packages)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(READY) ## everything from nothing: publish the examples, execute them, print answers and timelines
	@$(BIN)/python -m deploy.local demo

run: $(READY) ## API, worker, beat and Flower on embedded Postgres and Redis, until Ctrl-C
	@$(BIN)/python -m deploy.local run

worker: $(READY) ## one more worker for the stack that `make run` has started
	@$(BIN)/python -m deploy.local worker

test: $(READY) ## every test, on real Postgres and Redis
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(READY) ## format, lint, types, import rules, migrations
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m deploy.local servers -- sh -c '$(BIN)/alembic -c deploy/alembic.ini upgrade head && $(BIN)/alembic -c deploy/alembic.ini check'

format: $(READY) ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## the measured table
	@$(BIN)/python -m tests.bench

chaos: $(READY) ## the fault suite at length: kills, freezes, restarts, and the scorecard
	@$(BIN)/python -m tests.chaos

litellm: $(READY) .data/litellm/.ready ## the tests of good answers against a LiteLLM proxy with mock answers
	@STRATA_TEST_LITELLM=1 $(BIN)/python -m pytest -m litellm tests/worker/providers/test_servers.py

.data/litellm/.ready:
	@echo "making .data/litellm (once; some 700 MB of packages)"
	@$(PYTHON) -m venv .data/litellm
	@.data/litellm/bin/pip install --quiet --disable-pip-version-check 'litellm[proxy]'
	@touch $@

lock: ## make the pinned requirements anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements.in -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements-dev.in -o requirements-dev.txt

clean: ## remove the environment and the local data
	rm -rf $(VENV) .data
