# make demo    analyse the trajectory that comes with the repository
# make test    run the tests (make test-slow: those that take long, too)
# make lint    style and types
# All of them set up .venv first, with any Python of 3.11 to 3.13 (PYTHON=... chooses one), and
# again when pyproject.toml changes.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DEMO := demo-output
DEMO_TRAJECTORY ?= $(firstword $(wildcard examples/demo/*.extxyz.gz examples/demo/*.extxyz examples/demo/*.traj))

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: all setup demo test test-slow lint format clean

all: test

setup: $(STAMP)

$(STAMP): pyproject.toml .ci/setup
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@.ci/setup $(VENV)
	@touch $@

demo: $(STAMP)
	@test -n "$(DEMO_TRAJECTORY)" || { echo "demo: no trajectory in examples/demo" >&2; exit 1; }
	@mkdir -p $(DEMO)
	$(BIN)/crystalnet analyze $(DEMO_TRAJECTORY) -o $(DEMO)/melting.h5 --overwrite
	$(BIN)/crystalnet plot $(DEMO)/melting.h5 -o $(DEMO)/melting.png --overwrite
	@echo "The figure is $(DEMO)/melting.png"

test: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
