# Two commands to begin with: `make demo` and `make test`.  Both install what they need into this folder, once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

LOCKS := deploy/requirements
INSTALLED := .venv/.installed
UV := .cache/bootstrap/bin/uv
RUN := .venv/bin
PYTHON_WANTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: install ## Watch hundreds of subscribers go through the pipeline, and the sums checked
	@$(RUN)/billing demo

.PHONY: test
test: check ## Everything but the long runs, on real Kafka and real PostgreSQL
	@$(RUN)/python -m pytest -m "not long" -n 2 --dist loadfile $(PYTEST_ARGS)

.PHONY: test-long
test-long: check ## Everything, the full crosses and the long runs too
	@$(RUN)/python -m pytest -m "long or not long" -n 2 --dist loadfile $(PYTEST_ARGS)

.PHONY: bench
bench: install ## How fast: ours beside its own bare parts (an hour)
	@$(RUN)/python -m bench $(BENCH_ARGS)

.PHONY: check
check: install ## The quick part: format, lint, types, import contracts, migrations
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/python -m store.migrations.lint

.PHONY: up
up: install ## Start a stack that stays
	@$(RUN)/billing up --detach

.PHONY: status
status: install ## What runs, and where
	@$(RUN)/billing status

.PHONY: down
down: install ## Stop it; nothing is left running or lying about
	@$(RUN)/billing down

.PHONY: install
install: $(INSTALLED) ## Put the locked packages into .venv

# uv lives beside .venv, because a sync removes from .venv what is not locked, itself included.
$(INSTALLED): pyproject.toml $(LOCKS)/bootstrap.txt $(LOCKS)/dev.txt
	@python=$$(for candidate in python3 python3.13 python3.12 python3.11; do \
	    "$$candidate" -c '$(PYTHON_WANTED)' 2>/dev/null && echo "$$candidate" && break; done) \
	  || { echo "Billstream needs Python 3.11, 3.12 or 3.13: install one (Debian: apt install python3 python3-venv)." >&2; exit 1; }; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$$python lacks the venv module: install it (Debian: apt install python3-venv)." >&2; exit 1; }; \
	test -x $(UV) || "$$python" -m venv .cache/bootstrap; \
	.cache/bootstrap/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $(LOCKS)/bootstrap.txt; \
	test -x $(RUN)/python || "$$python" -m venv --without-pip .venv
	@$(UV) pip sync -q -p $(RUN)/python --require-hashes $(LOCKS)/dev.txt
	@$(UV) pip install -q -p $(RUN)/python --no-deps --no-build-isolation -e .
	@touch $@

EXPORT := $(UV) export -q --frozen --format requirements.txt --no-header --no-annotate --no-emit-project
COMPILE := $(UV) pip compile -q - --universal --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: lock
lock: $(INSTALLED) ## Resolve the packages anew and write the locks (hashes, and no registry's host)
	@$(UV) lock -q --upgrade
	@$(EXPORT) --no-default-groups -o $(LOCKS)/runtime.txt
	@$(EXPORT) --group dev -o $(LOCKS)/dev.txt
	@$(UV) --version | sed -E 's/^uv ([^ ]+).*/uv==\1/' | $(COMPILE) --python-version 3.11 -o $(LOCKS)/bootstrap.txt
	@grep -oE '^hatchling==[^ ]+' $(LOCKS)/dev.txt | $(COMPILE) --python-version 3.11 -c $(LOCKS)/dev.txt -o $(LOCKS)/build.txt

.PHONY: clean
clean: ## Remove what was installed and cached here (a running stack first: make down)
	@test ! -e .local/run/state.json || { echo "A stack lies in .local: make down first." >&2; exit 1; }
	@rm -rf .venv .cache .local uv.lock dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
