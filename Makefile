# make demo and make test do all set-up on a fresh machine with Python 3.11, make and gcc.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow fuzz lint docs clean

demo: $(VENV)/ready
	$(BIN)/trajlm demo

test: $(VENV)/tested
	$(BIN)/pytest -n 2 --dist worksteal

test-slow: $(VENV)/ready
	$(BIN)/pytest -m slow

# Coverage-guided: SECONDS of each reader, from the corpus that earlier runs left in .fuzz.
fuzz: SECONDS := 600
fuzz: $(VENV)/ready
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[fuzz]"
	for name in text colvar npy model; do $(BIN)/python fuzz/fuzz.py $$name $(SECONDS) || exit 1; done

docs: $(VENV)/ready
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[sim,md,hdf5,nodes,dev]"
	touch $@

# Triton, in whose interpreter the GPU kernel is tested: 198 MB that only the tests need.
$(VENV)/tested: $(VENV)/ready
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[gpu]"
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build docs/gallery .fuzz src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
