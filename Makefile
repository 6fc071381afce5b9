# Needs python3, python3-venv, make and git; everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?= etc/mailhive.toml
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What an installation depends on: with none of it changed, nothing is installed again.
SOURCES := pyproject.toml setup.py

.PHONY: run test lint format docs bench clean

run: .venv/.installed
	exec $(BIN)/twistd --nodaemon --pidfile= mailhive -c $(CONFIG)

test: .venv/.installed-test
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed
	$(BIN)/python -m mailhive.config.reference docs/configuration.md
	$(BIN)/python docs/rfc/support.py

# Needs root, for Cyrus from Debian's archive; see contrib/bench/README.md.
bench: .venv/.installed
	$(BIN)/python contrib/bench/compare.py $(ARGS)

clean:
	rm -rf .venv build *.egg-info

.venv/.installed: $(SOURCES)
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --use-pep517 --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) install --quiet --use-pep517 --editable '.[test]'
	touch $@

.venv/.installed-lint: .venv/.installed
	$(PIP) install --quiet --use-pep517 --editable '.[test,lint]'
	touch $@
