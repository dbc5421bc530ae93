# One target per habit. `make demo` and `make test` are the only set-up: they create .venv and install.
# PYTHON names the interpreter the environment is made from (3.11 or later).

VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
RUN    := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev

NODE_OPCUA   := tests/interop/node_modules/.installed
PYTHON_OPCUA := tests/interop/.python-opcua/.installed
AXE_CORE     := tests/browser/node_modules/.installed

.DEFAULT_GOAL := help
.PHONY: help monitor demo test interop-deps browser-deps lint type contracts wheel bench train install-units uninstall-units clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

monitor: $(RUN) ## plant, controller, screens and Prometheus for a look, until Ctrl-C (MONITOR="--auto" for options)
	@$(BIN)/trimtab monitor $(MONITOR)

demo: $(RUN) ## the whole job on a soft plant in under 3 minutes (DEMO="--quick --headless" for options)
	@$(BIN)/trimtab demo $(DEMO)

test: $(DEV) ## unit, property, integration, packaging and browser tests (TEST="-k name" for options)
ifeq ($(TEST),)
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/property tests/integration/models tests/integration/plant_sim tests/integration/documents
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/integration/hmi tests/integration/monitoring tests/browser
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/integration/controller tests/interop   # these keep time: a core each
	@$(BIN)/python -m pytest tests/integration/demo tests/packaging   # these keep scans of 0.1 s: one by one
else
	@$(BIN)/python -m pytest $(TEST)
endif

interop-deps: $(NODE_OPCUA) $(PYTHON_OPCUA) ## foreign OPC UA peers for tests/interop (needs node and npm); without them those tests skip

browser-deps: $(AXE_CORE) ## the accessibility checker of tests/browser (needs npm; the tests need Debian's chromium); without it those tests skip

lint: $(DEV) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

type: $(DEV) ## strict mypy
	@$(BIN)/mypy

contracts: $(DEV) ## who may import whom
	@$(BIN)/lint-imports --no-logo

wheel: $(DEV) ## build the wheel into dist/ and test it outside the checkout
	@rm -rf dist
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .
	@TRIMTAB_WHEEL=$$(ls dist/*.whl) $(BIN)/python -m pytest tests/packaging

bench: $(DEV) ## measure, print a table and write bench.json (BENCH="--only scalar --plots DIR" for options)
	@$(BIN)/python -m benchmarks $(BENCH)

train: $(DEV) ## train a bundle again from the seed (TRAIN="--help" for options)
	@$(BIN)/trimtab-models train $(TRAIN)

$(NODE_OPCUA): tests/interop/package.json tests/interop/package-lock.json
	@npm ci --prefix tests/interop --no-audit --no-fund
	@touch $@

$(AXE_CORE): tests/browser/package.json tests/browser/package-lock.json
	@npm ci --prefix tests/browser --no-audit --no-fund
	@touch $@

$(PYTHON_OPCUA): tests/interop/clients/python_opcua/requirements.txt
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check install --requirement $<
	@touch $@

install-units: ## systemd units, group, folders, configuration; as root (INSTALL="--unit R101 --dry-run" for options)
	@systemd/install $(INSTALL)

uninstall-units: ## remove them; /etc/trimtab and journals stay; as root (INSTALL="--dry-run" for options)
	@systemd/install --uninstall $(INSTALL)

clean: ## remove what the tools leave behind; .venv and runs stay
	@rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -print0 | xargs -0 -r rm -rf

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("trimtab needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was installed from: reruns are instant, a changed pin installs again.
$(RUN): pyproject.toml constraints.txt hatch_build.py | $(BIN)/python
	@echo "installing trimtab (the first time takes a few minutes) into $(VENV)"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(DEV): pyproject.toml constraints.txt hatch_build.py | $(BIN)/python
	@echo "installing trimtab[dev,bench] (the first time takes a few minutes) into $(VENV)"
	@$(PIP) install --constraint constraints.txt --editable '.[dev,bench]'
	@touch $(RUN) $@
