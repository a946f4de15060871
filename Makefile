# Every target sets up what it needs: `make train` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    ?= runs/quickstart
TESTS  ?= tests
WORKERS ?= 3
CLUSTER ?= cluster.yaml
EXPERIMENT ?=
ARGS    ?=

.PHONY: setup train test test-faults test-cluster lint up submit attach status down clean help

help:           ## what there is to make
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## a virtual environment with everything pinned

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "apex-trader needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

train: setup    ## the whole pipeline on a synthetic market, with a report at the end
	$(BIN)/python -m apex_trader.train +experiment=quickstart

# a cluster's processes want every core: clusters come one after another, with nothing beside them
# (5: pytest was given no test of that kind)
test: setup     ## every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not faults and not ray and not cluster" $(TESTS) || test $$? -eq 5
	$(BIN)/python -m pytest -m "ray and not faults and not cluster" $(TESTS) || test $$? -eq 5

test-faults: setup  ## long stories of a running cluster, parts of it killed
	$(BIN)/python -m pytest -m faults $(TESTS)

test-cluster: setup  ## several hosts on this machine (skipped without root, namespaces, sshd, rsync)
	$(BIN)/python -m pytest -m cluster -rs $(TESTS)

up: setup       ## start the cluster of CLUSTER=cluster.yaml, or bring it up to date
	$(BIN)/python -m apex_trader.cluster up $(CLUSTER)

submit: setup   ## train EXPERIMENT=eth_full on the cluster, with further settings by ARGS='seed=1'
	$(BIN)/python -m apex_trader.cluster submit $(CLUSTER) $(EXPERIMENT) $(ARGS)

attach: setup   ## a shell on the cluster's head
	$(BIN)/python -m apex_trader.cluster attach $(CLUSTER)

status: setup   ## the cluster's hosts, resources and runs
	$(BIN)/python -m apex_trader.cluster status $(CLUSTER)

down: setup     ## end the cluster: what lies on its disks alone is lost on AWS
	$(BIN)/python -m apex_trader.cluster down $(CLUSTER)

lint: setup     ## style, types, and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

clean:          ## remove what the tools left (not runs or data)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
