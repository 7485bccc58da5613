# Names a script can rely on: install, demo, up, test, lint, bench, help.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install install-dev demo up test lint help
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(VENV)/installed ## Create the virtual environment and install Gauntlet

install-dev: $(VENV)/installed-dev

demo: install ## Run the main job: train both objectives on the digits, report, classify (about two minutes)
	$(BIN)/gauntlet demo

up: install ## Run the embedded system until Ctrl-C
	$(BIN)/gauntlet up

test: install-dev ## Run the tests
	$(BIN)/pytest

lint: install-dev ## Check style, types and the boundaries between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The lock pins every package that is installed, so two machines get the same ones.
$(VENV)/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@
