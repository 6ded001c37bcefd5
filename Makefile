# Needs Python 3.11 or newer and a package index; everything goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
T ?= tests

.PHONY: demo dev test faults lint types layers check docs build format clean

demo: $(VENV)/.demo ## audit the embedded example organisation and write the reports
	$(BIN)/ddbaudit demo --exit-zero

test: $(VENV)/.dev ## run the tests (a part of them: make test T=tests/rules)
	$(BIN)/pytest -n auto --dist loadfile $(T)

faults: $(VENV)/.dev ## every kind of fault on every operation; the tests run a sample of it
	FAULTS=all $(BIN)/pytest -n auto tests/e2e/test_faults.py

dev: $(VENV)/.dev ## set up everything for development

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

check: lint types layers test ## everything that CI checks, but for packaging

docs: $(VENV)/.dev ## regenerate what is generated: the rule catalogue and the blocks in the README
	$(BIN)/python docs/generate.py

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(VENV)/.dev ## sdist and wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) dist ddbaudit-report

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ddbaudit needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

# The files name every package that is needed, so nothing is resolved: --no-deps keeps a release that came out
# after them from being looked for. hatchling builds the package without a second download, so it is installed with hashes as well.
$(VENV)/.demo: $(VENV)/.python requirements/demo.txt requirements/build.txt pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/demo.txt -r requirements/build.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.python requirements/dev.txt pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.demo
