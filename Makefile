# The commands of this repository. `make help` lists them.
# On a bare Debian machine each of them first installs what it needs: Debian packages, a virtual environment, and (once,
# a few minutes) a Kubernetes built from source in ~/.cache/hairpin-proxy.

PYTHON := .venv/bin/python
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help install install-node needs-root demo cluster cluster-down test unit docs pictures links reliability fuzz soak e2e e2e-long check format bench bench-dataplane mutants coverage images needs-version release lock clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

demo: .venv/installed ## the product's whole job on a real local cluster; KEEP=1 leaves it running
	@$(PYTHON) -m tests.cluster.install --demo
	@$(PYTHON) -m tests.cluster.demo

cluster: needs-root install-node ## a whole Kubernetes node in the background, for use by hand; LIKE=k3s; needs root
	@$(PYTHON) -m tests.cluster.node up $(if $(LIKE),--like $(LIKE))

cluster-down: ## take it away again
	@PYTHONPATH=controller python3 -m tests.cluster.node down

test: install ## unit and integration tests
	tests/twice $(PYTHON) -m pytest
	tests/doctor/in-a-network tests/twice $(PYTHON) -m pytest --numprocesses=0 tests/doctor

unit: .venv/installed ## only the tests that need no cluster, in seconds
	$(PYTHON) -m pytest tests/unit tests/docs

docs: .venv/installed ## write the page of docs that comes from the code
	$(PYTHON) -m tests.troubleshooting

pictures: .venv/installed ## draw docs/pictures from their texts; the first time builds d2 (minutes)
	$(PYTHON) -m tests.docs.pictures

links: .venv/installed ## ask the network whether it still has the pages that ours link to
	$(PYTHON) -m tests.docs --network

reliability: install ## each fault that is tried, on a running controller; writes docs/reliability.md (minutes)
	$(PYTHON) -m tests.reliability

fuzz: install ## the laws of render on made-up Corefiles, with CoreDNS as judge; CASES=100000 DNS=2000 SEED=1
	$(PYTHON) -m tests.fuzz $(if $(CASES),--cases $(CASES)) $(if $(DNS),--dns $(DNS)) $(if $(SEED),--seed $(SEED))
	$(PYTHON) -m tests.fuzz.seeded

soak: install ## random faults, kills and neighbours against a model; STEPS=10000 SEED=1 REPORT=file.md
	$(PYTHON) -m tests.soak $(if $(STEPS),--steps $(STEPS)) $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

e2e: needs-root install-node ## README.md and docs word for word on two real nodes, each way in and out once; needs root
	tests/twice $(PYTHON) -m pytest --numprocesses=2 --dist=loadfile --verbose tests/e2e

e2e-long: needs-root install-node ## each way out ten times, and how long a new host takes to show; needs root and hours
	$(PYTHON) -m pytest --numprocesses=0 --capture=no --verbose --times=10 tests/e2e/test_uninstall.py
	.venv/bin/pip install --quiet --require-hashes -r requirements/bench.txt
	$(PYTHON) -m bench.propagation

check: install ## format, lint, types, import rules, spelling, links, haproxy.cfg, and the manifests on a real API server
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	git ls-files -z | xargs -0 .venv/bin/codespell
	$(PYTHON) -m tests.docs
	$(PYTHON) -m tests.check

format: .venv/installed ## put the code into its format
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

coverage: install ## what the tests of faults take of the rooms that meet them
	.venv/bin/pip install --quiet --require-hashes -r requirements/coverage.txt
	$(PYTHON) -m tests.coverage

bench: install ## what it costs the cluster, CoreDNS and itself; writes docs/benchmarks; ONLY="poll dns controller" for parts
	.venv/bin/pip install --quiet --require-hashes -r requirements/bench.txt
	$(PYTHON) -m bench $(ONLY)

bench-dataplane: needs-root install ## what HAProxy costs beside others; writes docs/benchmarks; needs root
	.venv/bin/pip install --quiet --require-hashes -r requirements/bench.txt
	$(PYTHON) -m bench.dataplane --prepare
	unshare --net $(PYTHON) -m bench.dataplane

mutants: .venv/installed ## whether the unit tests notice changes of the pure rooms (minutes)
	.venv/bin/pip install --quiet --require-hashes -r requirements/mutants.txt
	$(PYTHON) -m tests.mutants

images: ## both container images, with docker, podman or buildah; IMAGE_REGISTRY=registry.example.com/team PUSH=1
	tools/build-images

release: needs-version .venv/installed ## VERSION=x.y.z: manifests, chart, checksums, bill of materials in dist/x.y.z
	.venv/bin/pip install --quiet --require-hashes -r requirements/release.txt
	@$(PYTHON) -m tools.release "$(VERSION)"

lock: .venv/installed ## pin the dependencies anew, with their hashes
	.venv/bin/pip install --quiet uv
	tools/lock

clean: ## remove what was built here (not the cache)
	rm -rf .venv build dist controller/*.egg-info mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

install: .venv/installed ## only what most of the others install first
	@$(PYTHON) -m tests.cluster.install

install-node: install
	@$(PYTHON) -m tests.cluster.install --node

# Whoever lacks root should learn it before minutes of building.
needs-root:
	@[ "$$(id -u)" = 0 ] || { echo "error: a whole node needs root: run this as root, for example with sudo" >&2; exit 1; }

needs-version:
	@tools/set-version --check "$(VERSION)"

.venv/installed: requirements/dev.txt requirements/build.txt pyproject.toml
	@python3 -m tests.cluster.install --packages
	python3 -m venv .venv
	.venv/bin/pip install --quiet --require-hashes -r requirements/dev.txt
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
