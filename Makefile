# make demo       run everything on the demo corpus, print the scores and where the page is
# make check      lint, types, and the fast tests: under a minute with warm caches
# make test       lint, types, and all tests that are not marked slow
# make test-all   the slow tests, a minute of seeded fuzzing among them
# make docs       the site, in site/
# make lint       ruff, spelling (American English)
# make reference  write docs/commands.md from the settings of all commands
# make bench      ratios of the hot paths to plain baselines; none is asserted
#
# PYTHON picks the interpreter (3.11 or newer). JOBS is the number of test processes (default: one for each core).
# pip's own variables work as usual, for example PIP_EXTRA_INDEX_URL for PyTorch's index of CPU or CUDA builds (see the
# README).

PYTHON ?= python3
JOBS ?= logical
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
FAST := tests/test_architecture.py tests/docs tests/stores tests/pipeline/datasets tests/model/objectives \
	tests/model/probes
# Temporary files of quick tests lie in memory if 4 GB of it are free: waiting for a disk takes a fifth of the time.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')
# One thread for each process: several processes of several threads each are slower on the same cores.
PYTEST := $(if $(MEMORY),TMPDIR=$(MEMORY)) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o tmp_path_retention_policy=failed

.PHONY: demo check test test-all lint types docs reference bench clean

demo: $(VENV)/demo.stamp
	$(BIN)/python -m dags.demo

check: lint types
	$(PYTEST) -n $(JOBS) --maxprocesses 8 -m "not slow" $(FAST)

test: lint types
	$(PYTEST) -n $(JOBS) --maxprocesses 8 --dist worksteal -m "not slow"

test-all: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow --timeout 1800

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/hadolint Dockerfile

types: $(VENV)/dev.stamp
	$(BIN)/mypy

docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

reference: $(VENV)/dev.stamp
	$(BIN)/python tests/support/command_reference.py > docs/commands.md

bench: $(VENV)/dev.stamp
	@for file in tests/benchmarks/bench_*.py; do $(BIN)/python $$file || exit; done

clean:
	rm -rf $(VENV) *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Myna needs Python 3.11 or newer; set PYTHON")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[demo,report]'
	touch $@

# vit-pytorch and libauc are oracles for one test each; their own dependencies (torchvision) are neither needed nor wanted
$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[all,dev]'
	$(INSTALL) --no-deps vit-pytorch libauc
	touch $@
