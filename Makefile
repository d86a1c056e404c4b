# On a fresh machine `make demo` and `make test` are the only two commands needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup

.PHONY: setup demo test test-all lint format bench clean

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

setup: $(SETUP)  ## Build .venv with everything.

demo: $(SETUP)  ## Fine-tune a sentence encoder on support tickets: about a minute, no model hub.
	$(BIN)/tunesmith demo

lint: $(SETUP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## Lint, then every test with a seeded sample of the long proofs.
	$(BIN)/pytest -n 2 --dist loadfile -m "not full" --maxfail=20 --durations=10

test-all: lint  ## The same with the full counts.
	$(BIN)/pytest -n 2 --dist loadfile --durations=30

format: $(SETUP)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(SETUP)  ## Measure what docs/numbers.md claims; resumable.
	$(BIN)/python bench/spine.py
	$(BIN)/python bench/replay.py
	$(BIN)/python bench/hostile.py --jobs 2
	$(BIN)/python bench/health.py
	$(BIN)/python bench/sturdy.py
	$(BIN)/python bench/nulls.py
	$(BIN)/python bench/planted.py
	$(BIN)/python bench/predicting.py
	$(BIN)/python bench/pairs.py
	$(BIN)/python bench/tags.py
	$(BIN)/python bench/questions.py
	$(BIN)/python bench/keras_fits.py
	$(BIN)/python bench/truth.py
	$(BIN)/python bench/auto.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
