PYTHON ?= python3
BIN := .venv/bin
DEMO_IMAGE = $$($(BIN)/python -c 'from pydicom.data import get_testdata_file as f; print(f("RG1_UNCR.dcm", download=False))')

.PHONY: help demo docs test lint types contracts unit wheel clean

help:  ## Show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv/.demo  ## Install, and segment a real chest radiograph with the weights that ship
	$(BIN)/lungmask segment "$(DEMO_IMAGE)" -o demo --overlay --overwrite
	@echo "The mask is demo/RG1_UNCR.png; look at demo/overlays/RG1_UNCR.png"

# Not --quiet, which hides the warnings that --strict counts.
docs: .venv/.docs  ## Install, and build the documentation into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: lint types contracts docs unit wheel  ## Install, and run every check

lint: .venv/.dev  ## Style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev  ## Type checker
	$(BIN)/mypy

contracts: .venv/.dev  ## Which package may import which
	$(BIN)/lint-imports

unit: .venv/.dev  ## Tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

wheel: .venv/.dev  ## The built wheel, alone in an empty environment
	PYTHON=$(abspath $(BIN)/python) tests/check_wheel.sh

clean:  ## Remove the environment and what the demo wrote
	rm -rf .venv demo dist build site

.venv/.demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[demo]"
	@touch $@

.venv/.docs: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[docs]"
	@touch $@

.venv/.dev: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@
