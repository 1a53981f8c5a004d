# make demo | test | test-full | env | lock | peers
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
STAMP := $(VENV)/installed
TORCH := 2.13.0

.PHONY: env demo test test-full pytest lint lock peers clean

env: $(STAMP)

# torch comes first and from its CPU index, so that no CUDA package is ever resolved.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (set PYTHON=)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	@{ $(PIP) --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu "torch==$(TORCH)" \
	    && $(PIP) -r requirements.lock && $(PIP) --no-build-isolation -e .; } 2>$(VENV)/pip.log \
	    || { cat $(VENV)/pip.log; exit 1; }
	@touch $(STAMP)

# What the benchmarks compare with and cannot share our environment: OBP, SCOPE-RL, d3rlpy. No test needs it.
PEERS := .venv-peers
PEERS_LOCK := benchmarks/peers/requirements-peers.lock
PEERS_PIP = $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --retries 1

peers: $(PEERS)/installed

$(PEERS)/installed: $(PEERS_LOCK)
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@{ $(PEERS_PIP) --extra-index-url https://download.pytorch.org/whl/cpu "torch==$(TORCH)" \
	    && $(PEERS_PIP) -r $(PEERS_LOCK); } 2>$(PEERS)/pip.log || { cat $(PEERS)/pip.log; exit 1; }
	@touch $@

demo: $(STAMP)
	@$(BIN)/retrainer demo

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

# The type checker takes a minute of one core, and the tests leave some of two idle.
test: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 lint pytest TESTS='-m "not full"'

test-full: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 lint pytest

pytest: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TESTS) -n 2 --dist loadfile --no-loadscope-reorder

lock: $(STAMP)
	@$(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip --exclude torch > requirements.lock

clean:
	rm -rf $(VENV)
