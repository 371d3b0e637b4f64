# Every target needs .venv. `make run` installs what mailrun itself needs; the other targets add the tools of the tests.
# uv installs the packages if it is on PATH, else pip; both check the hashes of requirements/*.lock.

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
RUNTIME := .venv/.runtime
WORKSHOP := .venv/.workshop
FOREIGN := .venv/foreign/.fetched
CRT := .venv/crt/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on
INSTALL := $(if $(UV),VIRTUAL_ENV=$(CURDIR)/.venv uv pip install,$(PIP))
LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --custom-compile-command "make lock"

.PHONY: setup bytecode run fast test check lint types docs reference picture screenshots bench soak lock licences sbom audit clean
.DEFAULT_GOAL := check

$(RUNTIME): requirements/runtime.lock requirements/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mailrun needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing mailrun into .venv: some 90 packages, 400 MB on disk, once."
ifneq ($(UV),)
	@test -x $(BIN)/python || uv venv --seed --python $(PYTHON) .venv
else
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot create a virtual environment: install python3-venv (Debian, Ubuntu) or uv, then run make again" >&2; exit 1; }
endif
	$(INSTALL) --require-hashes -r requirements/runtime.lock -r requirements/build.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(WORKSHOP): requirements/workshop.lock $(RUNTIME)
	@echo "Installing the tools of the tests into .venv: some 700 MB on disk, once."
	$(INSTALL) --require-hashes -r requirements/workshop.lock
	@touch $@

# Test suites of other projects, as data for a test. If they cannot be downloaded, that test is skipped.
$(FOREIGN): tests/foreign/requirements.txt $(WORKSHOP)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --retries 1 --no-deps --no-binary :all: --require-hashes \
	  --dest .venv/foreign --requirement $< && touch $@ || echo "the test suites of other projects could not be downloaded: their test is skipped" >&2

# AWS's own signer, beside the environment: tests compare signatures with it.
$(CRT): tests/crt/requirements.txt $(WORKSHOP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
	  --target .venv/crt --requirement $< && touch $@

setup: $(WORKSHOP) $(FOREIGN) $(CRT) bytecode

# Every command imports some 400 modules: compiled beforehand, they load three times as fast where the environment sets
# PYTHONDONTWRITEBYTECODE, as containers often do. An installed wheel is compiled by its installer.
bytecode: $(RUNTIME)
	@$(BIN)/python -m compileall -q engine

# The sample campaign to the sample audience, through a local SES; a new key each time, so that it is a new run.
run: bytecode
	$(BIN)/mailrun launch campaigns/welcome --sandbox --key demo-$(shell date -u +%Y-%m-%dT%H%M%S)

# For use while you write code: the pure tests, with few examples of each property.
fast: setup
	$(BIN)/pytest tests/unit tests/property --hypothesis-profile=fast --numprocesses $(shell nproc 2>/dev/null || echo 2)

# Each process runs neighbouring tests, which share servers, and takes over tests of the others at the end.
# Two workers for each core: many tests wait for timeouts and other processes.
test: setup
	$(BIN)/pytest --numprocesses $(shell expr 2 \* $$(nproc 2>/dev/null || echo 2)) --dist worksteal

check: lint types test

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/python -m tools.language
	$(BIN)/python -m tools.layout
	$(BIN)/python -m tools.layout_of_tests
	$(BIN)/python -m tools.reference --check

types: setup
	$(BIN)/mypy

# The documentation as a site in site/: open site/index.html. A warning, such as a broken link, is an error.
docs: setup reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The pages of docs/reference that are generated from the code. `make lint` fails if one is stale.
reference: setup
	$(BIN)/python -m tools.reference

# The README's picture, drawn from what a launch prints. A test compares both.
picture: $(RUNTIME)
	$(BIN)/python tools/picture.py

# The pictures of pages in docs/assets/images, from a run on the sandbox. Needs Chromium.
screenshots: setup
	$(BIN)/python -m tools.screenshots

bench: setup
	$(BIN)/python -m bench

# The long forms of tests that `make test` runs in short form: 200 kills of 20,000 recipients, every boundary, thousands of
# simulated runs, stories with both databases, 1,000 examples of each property. Takes hours; prints its totals.
soak: setup
	SOAK=1 SOAK_SEEDS=0-9999 SOAK_RESTORE_SEEDS=0-499 $(BIN)/pytest tests/crash tests/simulation tests/scenario tests/property --timeout 14400 -p no:randomly

# Needs uv. The locks name no registry: the files come from the registry of this machine, and their hashes are checked.
lock:
	$(LOCK) --extra otel --group build --group workshop --output-file requirements/workshop.lock pyproject.toml
	$(LOCK) --constraint requirements/workshop.lock --output-file requirements/runtime.lock pyproject.toml
	$(LOCK) --constraint requirements/workshop.lock --group pyproject.toml:build --output-file requirements/build.lock

# docs/reference/licences.md, from the metadata of the installed packages; fails for a licence that is not allowed.
licences: setup
	$(BIN)/python -m requirements.licences

# dist/mailrun-VERSION.cdx.json: the packages of runtime.lock with versions, hashes and licences, as CycloneDX.
sbom: setup
	$(BIN)/python -m requirements.sbom

# Known vulnerabilities of runtime.lock and build.lock; reports packages for which there are no data.
audit: setup
	$(BIN)/python -m requirements.audit

clean:
	rm -rf .venv dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
