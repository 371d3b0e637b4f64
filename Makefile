# The workshop: every target stands on .venv, which `make setup` creates from the lock.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
FOREIGN := .venv/foreign/.fetched

.PHONY: setup run test check lint types bench soak lock clean
.DEFAULT_GOAL := check

setup: $(STAMP) $(FOREIGN)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mailrun needs Python 3.11 or newer: make PYTHON=python3.12 setup" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Suites that others wrote, as data for a test; where they cannot be had, that test says so.
$(FOREIGN): tests/foreign/requirements.txt $(STAMP)
	@$(BIN)/pip download --quiet --disable-pip-version-check --retries 1 --no-deps --no-binary :all: --require-hashes \
	  --dest .venv/foreign --requirement $< && touch $@ || echo "the suites of others could not be fetched" >&2

# The sample campaign to the sample audience, through a local SES; a new key each time, so that it is a new run.
run: setup
	$(BIN)/mailrun launch campaigns/welcome --sandbox --key demo-$(shell date -u +%Y-%m-%dT%H%M%S)

test: setup
	$(BIN)/pytest --numprocesses auto

check: lint types test

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m bench

# The long forms of what `make test` tries in short: 200 kills of 20,000 recipients, every boundary, thousands of
# simulated runs; with SQLite and with PostgreSQL. Hours; prints its totals.
soak: setup
	MAILRUN_SOAK=1 MAILRUN_SEEDS=0-9999 $(BIN)/pytest tests/crash tests/simulation --timeout 14400 -p no:randomly

# Needs uv. The lock names no registry: pip takes the files from wherever this machine takes them, and checks the hashes.
lock:
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --generate-hashes --extra workshop \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
