# The commands of this repository. `make help` lists them.
# On a bare Debian machine each of them first installs what it needs: Debian packages, a virtual environment, and (once,
# a few minutes) a Kubernetes built from source in ~/.cache/hairpin-proxy.

PYTHON := .venv/bin/python
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test unit check format bench mutants images lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: install ## the product's whole job on a real local cluster; KEEP=1 leaves it running
	@$(PYTHON) -m tests.cluster.demo

test: install ## unit and integration tests
	$(PYTHON) -m pytest

unit: .venv/installed ## only the tests that need no cluster, in seconds
	$(PYTHON) -m pytest tests/unit

check: install ## format, lint, types, import rules, haproxy.cfg, and the manifests against a real API server
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m tests.check

format: .venv/installed ## put the code into its format
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

bench: install ## what a poll costs; writes docs/benchmarks
	.venv/bin/pip install --quiet --require-hashes -r requirements/bench.txt
	$(PYTHON) -m bench

mutants: .venv/installed ## whether the unit tests notice changes of the pure rooms (minutes)
	.venv/bin/pip install --quiet --require-hashes -r requirements/mutants.txt
	$(PYTHON) -m tests.mutants

images: ## both container images, with docker, podman or buildah
	tools/build-images

lock: .venv/installed ## pin the dependencies anew, with their hashes
	.venv/bin/pip install --quiet uv
	tools/lock

clean: ## remove what was built here (not the cache)
	rm -rf .venv build controller/*.egg-info mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

install: .venv/installed
	@$(PYTHON) -m tests.cluster.install

.venv/installed: requirements/dev.txt requirements/build.txt pyproject.toml
	@python3 -m tests.cluster.install --packages
	python3 -m venv .venv
	.venv/bin/pip install --quiet --require-hashes -r requirements/dev.txt
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
