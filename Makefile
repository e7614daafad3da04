# make demo, make test, make lint, make ci. The first one of them makes $(VENV), some minutes once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test lint lint-code lint-format lint-types lint-contracts ci

help:
	@echo "make demo   search on handwritten digits; needs no download, minutes on 2 cores"
	@echo "make test   run the tests"
	@echo "make lint   ruff, mypy and the import contracts"
	@echo "make ci     all of that, as .ci/run does it"

install: $(VENV)/.installed-dev

demo: $(VENV)/.installed
	$(BIN)/automl-xfer demo

# One thread per test process: two that use two threads each take longer than they would in turn.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST_ARGS)

lint: lint-code lint-format lint-types lint-contracts

lint-code: $(VENV)/.installed-dev
	$(BIN)/ruff check

lint-format: $(VENV)/.installed-dev
	$(BIN)/ruff format --check

lint-types: $(VENV)/.installed-dev
	$(BIN)/mypy automl_xfer

lint-contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports

ci:
	.ci/run

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.installed $@
