# Every target sets up what it needs: python3 (3.11 or newer), pip and make are enough to begin with.
#   make figures ARGS=--quick          arguments for the command behind a target
#   make test PYTHON=python3.12        which Python makes .venv (asked once)

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ARGS ?=
PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/installed

NEW_ENOUGH := import sys; raise SystemExit(sys.version_info < (3, 11))
INSTALL := $(RUN) -m pip install --disable-pip-version-check --no-input -c constraints.txt

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: figures
figures: $(STAMP)  ## every figure that is out of date, then CLAIMS.md and SCOREBOARD.md (with ARGS: only what they name)
	$(RUN) -m figures $(ARGS)
	$(if $(strip $(ARGS)),,$(RUN) -m lab.claims)
	$(if $(strip $(ARGS)),,$(RUN) -m lab.scoreboard)

# One thread in each of the two workers: threads inside an operation only fight over shared cores.
.PHONY: test
test: $(STAMP)  ## the tests, on two processes; all but those in a browser
	OMP_NUM_THREADS=1 MPLBACKEND=agg $(RUN) -m pytest -n 2 --ignore=tests/browser $(ARGS)

# A CPU build of torch comes without Triton. No GPU is needed: Triton interprets the kernel, and compiles it for one.
.PHONY: kernels
kernels: $(STAMP)  ## the tests of the kernel for GPUs, by Triton's interpreter (Linux; installs Triton)
	@if [ "$$(uname -s)" != Linux ]; then echo "Triton is made for Linux: the tests of the kernel are skipped here."; \
	else $(INSTALL) --quiet triton && OMP_NUM_THREADS=1 $(RUN) -m pytest tests/test_training_kernels.py $(ARGS); fi

# One server, one browser and one kernel at a time keep two cores busy.
.PHONY: browser
browser: $(STAMP)  ## the tests in a browser: explorer, notebooks and pages (needs chromium)
	OMP_NUM_THREADS=1 MPLBACKEND=agg $(RUN) -m pytest tests/browser $(ARGS)

.PHONY: lab
lab: $(STAMP)  ## JupyterLab on the notebooks
	$(RUN) -m jupyterlab --notebook-dir=. $(ARGS)

.PHONY: notebooks
notebooks: $(STAMP)  ## build and run the notebooks from notebooks/src
	OMP_NUM_THREADS=1 $(RUN) -m lab.course build --student --execute --out notebooks $(ARGS)

.PHONY: site
site: $(STAMP)  ## documents, notebooks and gallery as pages in build/site
	$(RUN) -m pages $(ARGS)

.PHONY: check
check: $(STAMP)  ## lint, formatting and types
	@failed=0; \
	for command in "ruff check ." "ruff format --check ." mypy; do \
	  echo "$(RUN) -m $$command"; $(RUN) -m $$command || failed=1; \
	done; exit $$failed

.PHONY: bench
bench: $(STAMP)  ## measured times against the budgets
	$(RUN) -m benchmarks $(ARGS)

.PHONY: clean
clean:  ## remove drawn figures and caches (keeps .venv and everything committed)
	rm -rf figures/out figures/.cache benchmarks/out build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lab figures benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp is written last and holds the checkout's path: an interrupted set-up is taken up again, a changed
# pyproject.toml or constraints.txt updates .venv, a moved checkout or a vanished Python remakes it, and a .venv
# made by hand is adopted.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): FORCE
endif

.PHONY: FORCE
FORCE:

$(STAMP): pyproject.toml constraints.txt
	@if [ -f $(STAMP) ] && [ "$$(cat $(STAMP))" != "$(CURDIR)" ]; then \
	  echo "This checkout has moved: $(VENV) is made again."; rm -rf $(VENV); \
	fi
	@if ! { $(RUN) -c '$(NEW_ENOUGH)' && $(RUN) -m pip --version; } >/dev/null 2>&1; then \
	  found=; \
	  for candidate in $(or $(PYTHON),python3 python python3.13 python3.12 python3.11 python3.14); do \
	    if "$$candidate" -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "dpolab needs Python 3.11 or newer; tried: $(or $(PYTHON),python3 python python3.13 python3.12 python3.11 python3.14)." >&2; \
	    echo "Found: $$(python3 --version 2>&1 || true). Install a newer one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Setting up $(VENV) with $$($$found --version). This happens once and takes a minute or two."; \
	  rm -rf $(VENV); \
	  if ! "$$found" -m venv $(VENV) >/dev/null 2>&1; then \
	    rm -rf $(VENV); \
	    { "$$found" -m venv --without-pip $(VENV) && "$$found" -m pip --python $(RUN) install --quiet pip; } || { \
	      rm -rf $(VENV); \
	      echo "$$found can make no virtual environment: it has neither ensurepip nor pip 22.3 or newer." >&2; \
	      echo "Install one of them (on Debian and Ubuntu: apt install python3-venv), then call make again." >&2; \
	      exit 1; \
	    }; \
	  fi; \
	fi
	@rm -f $(STAMP)
	$(INSTALL) setuptools
	$(INSTALL) --no-build-isolation -e ".[dev]"
	@printf '%s' "$(CURDIR)" > $(STAMP)
