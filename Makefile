# One virtual environment, .venv, for all targets. `make demo` and `make test` install what is missing first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-all lint bench clean

install: $(STAMP)

# constraints.txt names known-good versions. Where pip offers a CPU build of that torch, it is taken.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN)/python -m pip install --quiet -c constraints.txt --editable . --group dev
	touch $(STAMP)

demo: install
	$(RUN)/panglot demo --output demo

test: install
	$(RUN)/python -m pytest -m "not slow"

test-all: install
	$(RUN)/python -m pytest

lint: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/basedpyright

bench: install
	$(RUN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) dist demo
