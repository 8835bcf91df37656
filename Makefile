PYTHON ?= python3
BIN := .venv/bin
DEMO_IMAGE = $$($(BIN)/python -c 'from pydicom.data import get_testdata_file as f; print(f("RG1_UNCR.dcm", download=False))')

# uv alone would take the newest h5py and for it an older TensorFlow.
LOCK = echo "tensorflow>=2.21" | $(BIN)/uv pip compile - pyproject.toml --upgrade --universal --python-version 3.10 \
	--generate-hashes --default-index https://pypi.org/simple --no-annotate --quiet --custom-compile-command "make lock"

.PHONY: help demo docs test lint types contracts unit wheel lowest lock clean

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
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(COVERAGE)

wheel: .venv/.dev  ## The built wheel, alone in an empty environment
	PYTHON=$(abspath $(BIN)/python) tests/check_wheel.sh

lowest: .venv/.dev  ## The built wheel with the oldest dependencies that pyproject.toml allows
	mkdir -p build
	$(BIN)/uv pip compile pyproject.toml --resolution lowest-direct --only-binary :all: --upgrade --quiet \
		--python $(or $(WHEEL_PYTHON),$(BIN)/python) --output-file build/lowest.txt
	PIP_CONSTRAINT=$(abspath build/lowest.txt) PYTHON=$(abspath $(BIN)/python) tests/check_wheel.sh

lock: .venv/.dev  ## Write requirements.lock and requirements-gpu.lock anew
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra gpu --output-file requirements-gpu.lock

clean:  ## Remove the environment and what the demo wrote
	rm -rf .venv demo dist build site

.venv/.demo: pyproject.toml
	@echo "Installing into .venv: 0.7 GB to download, nearly all of it TensorFlow, 2.5 GB on disk ..."
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
