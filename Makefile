# One virtual environment, .venv, for all targets. Each target installs what it needs first: `make demo` only panglot,
# `make test` also the development tools.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# tests/conftest.py decides on the number of test processes and the order of files. Each process has one thread: more
# would only wait for one another.
WORKERS := -n auto --dist loadfile --no-loadscope-reorder
test test-all test-lowest test-compat coverage: export OMP_NUM_THREADS = 1

.PHONY: install dev demo test test-all test-lowest test-compat coverage lint docs bench small clean

install: $(VENV)/.installed
dev: $(VENV)/.dev

# constraints.txt names known-good versions. If pip offers a CPU build of that torch, it is taken.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN)/python -m pip install --quiet -c constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(RUN)/python -m pip install --quiet -c constraints.txt --editable . --group dev
	touch $@

demo: install
	$(RUN)/panglot demo --output demo

test: dev
	$(RUN)/python -m pytest -m "not slow" $(WORKERS)

test-all: dev
	$(RUN)/python -m pytest $(WORKERS)

# The fast tests, with the lowest versions of the core dependencies. LOWEST=torch==2.13.0 takes another one for torch.
test-lowest:
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)-lowest/bin/python .ci/lowest.py $(LOWEST) > $(VENV)-lowest/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet -c $(VENV)-lowest/lowest.txt --editable . --group test
	$(VENV)-lowest/bin/python -m pytest -m "not slow" $(WORKERS)

# Run folders in an older sentence-transformers and its ONNX backend, which need an older transformers.
test-compat: dev $(VENV)-compat/.installed
	PANGLOT_COMPAT=$(CURDIR)/$(VENV)-compat/bin/python $(RUN)/python -m pytest tests/training/test_training_portable.py

$(VENV)-compat/.installed: constraints.txt
	$(PYTHON) -m venv --clear $(VENV)-compat
	$(VENV)-compat/bin/python -m pip install --quiet "$$(grep ^torch== constraints.txt)" "sentence-transformers[onnx]>=5,<6"
	touch $@

# Fails below the floor that pyproject.toml sets.
coverage: dev
	$(RUN)/python -m pytest -m "not slow" $(WORKERS) --cov --cov-report=term:skip-covered

lint: dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/basedpyright

# The site in site/. A broken link, anchor or cross reference is an error. panglot itself is read, not imported.
# --fresh-env: a page that was built before is checked again, since what it links to may have gone.
docs: $(VENV)/.docs
	$(RUN)/sphinx-build --quiet --fail-on-warning --fresh-env --jobs auto --doctree-dir $(VENV)/.doctrees docs site

$(VENV)/.docs: pyproject.toml constraints.txt
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RUN)/python -m pip install --quiet -c constraints.txt --group docs
	touch $@

bench: dev
	$(RUN)/python benchmarks/run.py

# The weights of panglot-small, from the data sets in DATA. What was stopped goes on where it was.
DATA ?= ../shared/data
small: dev
	for seed in 0 1 2; do $(RUN)/panglot train --recipe small --seed $$seed --data-dir $(DATA) --output runs/small-$$seed || exit; done
	test -d runs/small || $(RUN)/panglot average bundled runs/small-0 runs/small-1 runs/small-2 --suite forms --shares .7,.85 \
		--data-dir $(DATA) --output runs/small
	$(RUN)/python benchmarks/small.py pack runs/small --runs runs/small-0 runs/small-1 runs/small-2

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-compat dist demo site docs/api .coverage
