# Everything starts here: `make help`.
BIN := .venv/bin

.PHONY: help setup demo test test-unit test-containerd coverage lint format sim crash docs pictures bench bench-recovery bench-images bench-ingress bench-scheduler bench-manager bench-soak mutants

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make this machine ready: Python packages, SSH client, Docker engine
	@scripts/setup

demo: setup ## start three real nodes on this machine and run a job on them
	@scripts/demo

LONGEST_FIRST := tests/lab tests/test_simulation.py tests

test: ## everything: lint, then all tests, also on real nodes
	@scripts/setup --vagrant
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest $(LONGEST_FIRST) -n 3 --dist loadfile --no-loadscope-reorder --durations 20 --durations-min 15

test-unit: ## the tests that need no nodes
	$(BIN)/pytest -m 'not lab'

test-containerd: ## images on real nodes of Debian 13, whose engines keep them in containerd; no part of `make test`
	@scripts/setup
	$(BIN)/pytest tests/lab/containerd

coverage: ## which lines of Cube the tests that need no nodes run: twice as slow, so no part of `make test`
	$(BIN)/pytest -m 'not lab' -n 2 --dist loadfile --cov --cov-report=term:skip-covered

lint: ## style, types, floors, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell --skip './.*,./site,./tests,*.json,*.txt' -L statics,notin # tests misspell on purpose

format: ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SEEDS ?= 1000
SEED ?= 0
sim: ## play SEEDS histories of the simulated fleet, the first one from SEED
	$(BIN)/python -m cube.simulator $(SEEDS) $(SEED)

mutants: ## plant one-line bugs in copies of Cube, and see that the simulation catches each
	$(BIN)/python -m tests.mutants

crash: setup ## kill cube at every point of its way on two nodes, and see it mended
	$(BIN)/python -m tests.crash

docs: ## build the documentation into site/
	$(BIN)/python -m mkdocs build --strict

pictures: ## draw the pictures of the dashboard anew, from simulated nodes
	$(BIN)/python -m tests.pictures

bench: setup ## measure Cube beside others on the lab, and write docs/benchmarks.md
	@scripts/bench

bench-recovery: setup ## measure how soon Cube mends what died, beside Docker Swarm, and write it down
	$(BIN)/python -m tests.bench.recovery

bench-images: ## measure images pushed to nodes beside docker save and load and a registry, and write it down
	@scripts/setup --vagrant
	$(BIN)/python -m tests.bench.images

bench-ingress: setup ## measure requests lost by an update behind a proxy, beside Docker Swarm, and write it down
	$(BIN)/python -m tests.bench.ingress

bench-scheduler: ## measure how quickly and how tightly tasks are placed (CUBE_TRACES: the folder of the traces)
	$(BIN)/python -m tests.bench.scheduler

bench-manager: ## measure one manager over 1,000 simulated nodes with 10,000 tasks, and write it down
	$(BIN)/python -m tests.bench.manager

bench-soak: ## an hour's looks at nodes in six minutes, crashes and a thousand listeners meanwhile, and what grows
	$(BIN)/python -m tests.bench.soak
