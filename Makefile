# Every target does its own set-up: a fresh machine needs Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
# Tests wait more than they compute; the slow ones compute.
XDIST ?= 3
XDIST_SLOW ?= 2

.PHONY: help demo test test-slow soak lint bench bench-all bench-faults profile opensearch docs pictures lock packages wheel clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python tools/link.py
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml $(RUNTIME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(RUNTIME) ## The whole story in a minute: ship, search, verify, tamper, catch
	$(BIN)/fieldtrail demo

test: $(DEV) ## All tests but the slow ones
	$(BIN)/python -m pytest -n $(XDIST) --dist loadfile -m "not slow" tests

test-slow: $(DEV) ## The tests that take minutes: kill loops, soaks
	$(BIN)/python -m pytest -n $(XDIST_SLOW) --dist loadfile --no-loadscope-reorder -m slow --timeout 1800 tests

soak: $(DEV) ## Two hours of writers, rotations and faults, at the end exactly everything (SECONDS=7200 SEED=...)
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),7200) $(if $(SEED),--seed $(SEED))

lint: $(DEV) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(DEV) ## JSON work side by side with rsyslog and syslog-ng; conditions, medians, ratios, gates
	$(BIN)/python bench/run.py

bench-all: $(DEV) ## All the work, most of an hour: text, fan-out, outputs, backlog, idling, delays, start
	$(BIN)/python bench/run.py --all

bench-faults: $(DEV) ## Who loses, who doubles, who keeps: rotations and kills for Fieldtrail, rsyslog, syslog-ng
	$(BIN)/python -m bench.faults

profile: $(RUNTIME) ## The hot functions of the JSON work
	$(BIN)/python bench/profiling.py

opensearch: $(DEV) ## A real OpenSearch on loopback, for looking around
	$(BIN)/python -m tests.integration.opensearch.server --port 9200

docs: $(DEV) ## Write the parts of the documentation that are made from the program
	$(BIN)/python tools/docs.py

pictures: $(DEV) ## Draw the charts in docs/images from the sample data (needs the tests' OpenSearch)
	$(BIN)/python tools/pictures.py

packages: $(DEV) ## Build the deb and the rpm package in dist/
	$(BIN)/python tools/packaging/build.py

wheel: $(DEV) ## Build the wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

lock: ## Renew requirements/*.txt (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements/dev.txt
	uv pip compile pyproject.toml -c requirements/dev.txt --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements/runtime.txt

clean: ## Remove what the targets made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
