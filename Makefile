# `make demo` and `make test` each set up all they need, on a machine with Python >= 3.10 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo

.PHONY: demo test test-slow lint format setup bench clean

demo: setup ## find the defects of an embedded image, and none in the same cloth without them
	$(BIN)/ssdnet demo -o $(OUT)
	$(BIN)/ssdnet demo -o $(OUT) --clean

test: lint ## lint, type-check and run the tests, in some minutes
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: setup ## the tests that take long: training, counting, killed runs, benchmarks
	$(BIN)/pytest -n 2 --dist worksteal -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## budgets of start-up and of the detector
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/speed.py

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'ssdnet needs Python 3.10 or newer; set PYTHON=python3.x')"
	@echo "Setting up $(VENV): this takes some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) demo ssdnet-results .pytest_cache .mypy_cache .ruff_cache .hypothesis
