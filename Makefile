# Every target works on a fresh Debian or Ubuntu machine; those that need the cluster need root. See CONTRIBUTING.md.
PYTHON ?= python3
BIN := .venv/bin
export BED_HOME ?= /var/lib/pvserve-bed

.PHONY: help
help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

.venv/.done: requirements/dev.txt pyproject.toml bed/pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || (apt-get update -q && apt-get install -yq python3-venv)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . -e bed
	@touch $@

.PHONY: venv
venv: .venv/.done ## the pinned environment in .venv

.PHONY: requirements
PIN := $(BIN)/uv pip compile -q --generate-hashes --no-header --no-emit-index-url --universal --python-version 3.11
requirements: ## pin requirements/*.in again
	$(PIN) requirements/dev.in -o requirements/dev.txt
	$(PIN) pyproject.toml requirements/client-30.in -o requirements/client-30.txt
	$(PIN) pyproject.toml requirements/client-36.in -o requirements/client-36.txt
	$(PIN) pyproject.toml requirements/kfp.in -o requirements/kfp.txt

.PHONY: fmt
fmt: venv ## format
	$(BIN)/ruff format src bed tests benchmarks
	$(BIN)/ruff check --fix src bed tests benchmarks

.PHONY: check lint types layers unit
check: lint types layers unit ## the fast checks, no cluster, under a minute
lint: venv
	$(BIN)/ruff format --check src bed tests benchmarks
	$(BIN)/ruff check src bed tests benchmarks
types: venv
	$(BIN)/mypy
layers: venv
	$(BIN)/lint-imports
unit: venv
	$(BIN)/pytest -n 2 tests/unit tests/emulator --ignore tests/unit/transfer -m "not cluster and not bed"

.PHONY: bed bed-down
bed: venv ## a real local Kubernetes (root)
	$(BIN)/bed up
bed-down: venv
	$(BIN)/bed down

# Pods come and go at moments that nobody chooses: a test that fails is run once more, and shown with its reason.
ONCE_MORE := --reruns 1 -rR

.PHONY: test test-beside test-transfer test-bed test-cluster test-emulator test-clients test-kfp test-faults soak
test: check bed ## everything; brings the bed up itself (root)
	$(MAKE) -j2 test-cluster test-beside
	$(MAKE) test-bed
test-beside: ## what leaves the bed's processes alone, while the cluster tests wait for pods most of the time
	$(MAKE) test-transfer
	$(MAKE) test-kfp
	$(MAKE) test-faults
	$(MAKE) test-emulator
	$(MAKE) test-clients
test-transfer: venv ## the transfer engine against agents on this machine
	$(BIN)/pytest -n 2 tests/unit/transfer
test-cluster: venv ## cluster tests against any cluster with KServe: make test-cluster KUBECONFIG=...
	if [ -z "$$KUBECONFIG" ]; then bed=$$($(BIN)/bed env) && eval "$$bed"; fi && \
	  PVSERVE_REQUIRE=cluster $(BIN)/pytest -n 2 --dist loadgroup tests/cluster -m cluster --durations 30 $(ONCE_MORE)
test-bed: venv ## the bed itself: takes it down and up
	KUBECONFIG=$$($(BIN)/bed kubeconfig) PVSERVE_REQUIRE=bed $(BIN)/pytest tests/bed -m bed $(ONCE_MORE)
test-emulator: venv ## the emulator of KServe against the recordings
	KUBECONFIG=$$($(BIN)/bed kubeconfig) PVSERVE_REQUIRE=bed $(BIN)/pytest tests/emulator -m bed $(ONCE_MORE)
test-clients: venv
	KUBECONFIG=$$($(BIN)/bed kubeconfig) ONCE_MORE="$(ONCE_MORE)" bash tests/client_versions.sh
test-kfp: ## rendered pipelines, by kfp's own compiler and local runner
	bash tests/kfp_environment.sh
test-faults: venv ## each fault once, 20 kills: PVSERVE_SEED=... makes a run again (root)
	PVSERVE_REQUIRE=faults $(BIN)/pytest tests/faults -m "faults and not cluster"
soak: venv ## many kills, power cuts and races: SEED=... KILLS=1000 CUTS=200 RACES=500 (root)
	$(BIN)/python -m tests.faults.soak

.PHONY: demo demo-vllm
demo: venv ## from S3 and an emptyDir copy to a claim, with the proof and a before/after table (root)
	$(BIN)/bed up
	$(BIN)/python -m bed.demo
demo-vllm: venv
	$(BIN)/bed up --with vllm
	$(BIN)/python -m bed.demo --runtime vllm
