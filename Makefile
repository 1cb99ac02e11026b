# make demo    analyse the trajectory that comes with the repository: copper heated until it melts
# make test    run the tests (make test-slow: those that take long)
# make lint    style and types
# make docs    the documentation site, every warning an error (make docs-links: addresses elsewhere)
# make dist    source distribution and wheel
# make test-lowest   a part of the tests with the oldest versions that pyproject.toml allows
# All of them set up .venv first (the demo without what only tests need), again when pyproject.toml
# changes, with any Python of 3.11 to 3.13 (PYTHON=... chooses one).

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# The demo needs the package alone, and of its loops those that name the windows of frames.
DEMO_STAMP := $(VENV)/.ready-demo
DEMO := demo-output
DEMO_LOOPS := geometry lattice fingerprint._kernels.fast local _compute.algebra
DEMO_TRAJECTORY := examples/demo/heating.extxyz.gz

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: all setup demo test test-slow test-lowest lint format docs docs-links dist clean

all: test

setup: $(STAMP)

$(STAMP): pyproject.toml .ci/setup
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@.ci/setup $(VENV)
	@touch $@

$(DEMO_STAMP): pyproject.toml .ci/setup
	@echo "Setting up $(VENV) for the demo (a minute the first time)"
	@LOOPS="$(addprefix --only ase_crystalnet.,$(DEMO_LOOPS))" .ci/setup $(VENV) ""
	@touch $@

demo: $(if $(wildcard $(STAMP)),$(STAMP),$(DEMO_STAMP))
	@mkdir -p $(DEMO)
	$(BIN)/crystalnet analyze $(DEMO_TRAJECTORY) --centers grid --lindemann 5 -o $(DEMO)/heating.h5 -o $(DEMO)/heating.csv --overwrite
	$(BIN)/crystalnet plot $(DEMO)/heating.h5 -o $(DEMO) --frame 31 --overwrite
	@echo "Figures are in $(DEMO)"

test: $(STAMP)
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -n auto -m slow

test-lowest:
	.ci/lowest

docs: $(STAMP)
	$(BIN)/python docs/_site/build.py

docs-links: $(STAMP)
	$(BIN)/python docs/_site/build.py --links

dist: $(STAMP)
	$(BIN)/python -m build

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
