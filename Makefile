# The front door: `make` prints this menu. Each target only calls a script or the `podium` command.
SHELL := /bin/bash
.DEFAULT_GOAL := menu
MAKEFLAGS += --no-print-directory

PYTHON    ?= python3
PODIUM    := .venv/bin/podium
PY        := .venv/bin/python
CODE      := services gateway libs deploy tests
EDGE_PORT ?= 8080
REPLICAS  ?=
DETACH    ?=
TLS       ?=
DATA      ?= {}
TESTS     ?= tests
WORKERS   ?= 2
LONG      ?=
STORE     ?= sqlite
WHAT      ?= runs
SECONDS   ?= 60
RUNS      ?= 300
ROUNDS    ?= 3
COMPOSE   ?= docker compose
FULL      ?=
WIPE      ?=
LOCKING   := env PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= \
             CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes \
             --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host \
             --no-emit-find-links

.PHONY: menu
menu: ## print this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## make this machine ready: virtualenv from the lock, Chromium, Envoy, Valkey
	@$(PYTHON) deploy/setup.py

.PHONY: up
up: setup ## start the mesh and return when it is healthy (REPLICAS="task=2,workflow=2" EDGE_PORT=8080 DETACH=1 TLS=1)
	@$(PODIUM) up --edge-port "$(EDGE_PORT)" $(if $(REPLICAS),--replicas "$(REPLICAS)") $(if $(DETACH),--detach) $(if $(TLS),--tls)

.PHONY: down
down: setup ## stop the mesh
	@$(PODIUM) down

.PHONY: status
status: setup ## show every process of the mesh and whether it is healthy
	@$(PODIUM) status

.PHONY: demo
demo: setup ## start the mesh and run a real workflow against a small real site, live
	@$(PODIUM) demo --edge-port "$(EDGE_PORT)"

.PHONY: call
call: setup ## call an RPC (RPC=run.GetRun DATA='{…}'; without RPC: list them)
	@$(PODIUM) call $(if $(RPC),"$(RPC)" '$(subst ','\'',$(value DATA))')

.PHONY: trace
trace: setup ## print the spans of a run across services (RUN=run_…)
	@$(PODIUM) trace "$(RUN)"

.PHONY: totp
totp: setup ## print the current one-time code of a seed, for development (SEED=BASE32)
	@SEED='$(SEED)' $(PY) -m deploy.dev_code

.PHONY: test
test: setup ## run the tests (TESTS=tests/unit for some, LONG=1 for the long ones too)
	@$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --durations=15 $(if $(LONG),,-m "not long") $(TESTS)

.PHONY: chaos
chaos: setup ## kill everything, again and again, and check (SECONDS=60 SEED=7 STORE=sqlite|postgres SWEEP=1)
	@$(PY) -m tests.chaos --seconds "$(SECONDS)" --store "$(STORE)" $(if $(SEED),--seed "$(SEED)") $(if $(SWEEP),--sweep)

.PHONY: bench
bench: setup ## measure runs a second, latency and CPU for each run (WHAT=runs|webhook|totp|sessions|view STORE=sqlite|postgres RUNS=300 ROUNDS=3 PROFILE=1)
	@$(PY) -m tests.bench --what "$(WHAT)" --store "$(STORE)" --runs "$(RUNS)" --rounds "$(ROUNDS)" $(if $(PROFILE),--profile)

.PHONY: compose-up
compose-up: ## build and start the mesh in containers (FULL=1: with Prometheus, Grafana and Jaeger)
	@$(if $(FULL),PODIUM_OTLP_ENDPOINT=http://jaeger:4318) $(COMPOSE) $(if $(FULL),--profile full) up --build --detach --wait

.PHONY: compose-demo
compose-demo: ## the same, and run the demo in it to its end
	@$(COMPOSE) run --build --rm demo

.PHONY: compose-test
compose-test: setup ## test the mesh that runs in containers: the story, and containers that die
	@PODIUM_COMPOSE="$(COMPOSE)" $(PY) -m pytest -v --timeout=900 tests/compose

.PHONY: compose-down
compose-down: ## stop the mesh in containers (WIPE=1: and forget all that it knows)
	@$(COMPOSE) --profile "*" down $(if $(WIPE),--volumes)

.PHONY: check
check: setup ## check everything that can be checked without running it
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/pyright --warnings
	@$(PY) -m deploy.contracts
	@$(PY) -m deploy.gen --check
	@.venv/bin/lint-imports --no-logo
	@$(PY) -m deploy.envoy
	@$(PY) -m deploy.kubernetes
	@$(PY) -m pytest -q tests/architecture

.PHONY: fix
fix: setup ## mend what `check` can mend: imports, format, generated code
	@.venv/bin/ruff check --fix --show-fixes $(CODE)
	@.venv/bin/ruff format $(CODE)
	@$(PY) -m deploy.gen

.PHONY: gen
gen: setup ## generate libs/gen and the chart's files from protos/
	@$(PY) -m deploy.gen
	@$(PY) -m deploy.kubernetes generate

.PHONY: lock
lock: setup ## resolve requirements*.in again and lock every file by its hash
	@$(LOCKING) --upgrade --output-file requirements-dev.txt requirements.in requirements-dev.in
	@$(LOCKING) --constraint requirements-dev.txt --output-file requirements.txt requirements.in
