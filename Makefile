# Everything here runs in $(VENV), which `make setup` builds and the other targets build when it is missing.
VENV := .venv
# The candidates, in order; `make setup PYTHON=/path/to/python` names one.
PYTHON := python3 python3.11 python3.12 python3.13
ARGS :=

RUN := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
# Also imports ensurepip: some systems ship Python without it, and then `-m venv` fails half-way.
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all lint type wheel report clean clean-outputs

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  ARGS="..." is passed on by run, test and report: make run ARGS="seed=1"'

setup: $(STAMP) ## Build .venv and install the project with its pinned dependencies (again only if they change)

run: $(STAMP) ## Compare the methods on the digits: about a minute, offline
	$(RUN) run.py experiment=demo $(ARGS)

test: $(STAMP) ## Run the tests on two cores, but for those that take many seconds each
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal $(ARGS)

test-all: $(STAMP) ## Run every test: real launchers, killed sweeps, W&B, cold starts besides
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal -m "slow or not slow" $(ARGS)

lint: $(STAMP) ## Check style and format (ruff), and who imports whom (import-linter)
	$(VENV)/bin/lint-imports --no-cache
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

type: $(STAMP) ## Check types (mypy)
	$(RUN) -m mypy

wheel: $(STAMP) ## Build the wheel into dist/
	$(RUN) -m build --wheel --no-isolation --outdir dist

report: $(STAMP) ## Build the page outputs/report/index.html from the records
	$(RUN) scripts/report.py $(ARGS)

clean: ## Remove caches and build files; .venv and outputs/ stay
	rm -rf __pycache__ build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find relrep_exp hydra_plugins scripts tests -name __pycache__ -prune -exec rm -rf {} +

clean-outputs: ## Remove, without asking, everything in outputs/ but its README.md: every record and embedding
	find outputs -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +

# The stamp is written last, so an install that was interrupted is taken up again by the next `make`; an
# environment whose making was interrupted has no pip yet, and is made anew.
$(STAMP): pyproject.toml constraints.txt
	@if ! { $(RUN) -c '$(USABLE)' && $(RUN) -m pip --version; } >/dev/null 2>&1; then \
	  found=; \
	  for candidate in $(PYTHON); do \
	    if "$$candidate" -c '$(USABLE)' 2>/dev/null; then found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No usable Python: relrep_exp needs Python 3.11, 3.12 or 3.13 with the venv module; tried: $(PYTHON)." >&2; \
	    echo "Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; \
	    exit 2; \
	  fi; \
	  echo "Creating $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv --clear $(VENV) || exit; \
	fi
	@echo "Installing relrep_exp and what it needs into $(VENV): two to three minutes and 6.5 GB the first time"
	@started=$$(date +%s); \
	$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[dev]" -c constraints.txt || exit; \
	echo "Installed in $$(($$(date +%s) - started)) s"
	@touch $@
