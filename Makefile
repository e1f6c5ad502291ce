# Needs Python 3.11 or later, git and make; everything else is installed from locks/.
SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
SETUP := sh scripts/setup.sh
TYPED := tap_medchat_swell sandbox/medchat_swell_sandbox scripts
TEST_TOOLS := meltano singer-tools postgres moto map-transform \
	target-duckdb target-postgres target-csv target-s3-jsonl
MORE_TARGETS := target-jsonl target-singer-jsonl target-postgres-pipelinewise target-s3-csv target-s3
# Tests run in parallel; many only wait.
WORKERS ?= 4
N ?= 5000
DB ?= output/demo.duckdb

.PHONY: help demo test targets lint chaos bench meltano sql locks check-locks generate format audit \
	setup test-tools clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-20s %s\n", $$1, $$2}'

demo: ## Run a demo: both vendors simulated, Meltano, DuckDB.
	@$(SETUP) dev meltano
	@$(PYTHON) scripts/demo.py

test: test-tools ## Run all tests, with branch coverage.
	@rm -f .coverage .coverage.*
	@$(PYTHON) -m coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	@$(PYTHON) -m coverage combine --quiet
	@$(PYTHON) -m coverage report

targets: test-tools ## Load into all targets that can be tried here, before a release (minutes).
	@$(SETUP) $(MORE_TARGETS)
	@TARGETS=all $(PYTHON) -m pytest tests/e2e/test_targets.py -q -n $(WORKERS) $(ARGS)

lint: setup ## Run the linters; check imports, docs, locks and generated files.
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy $(TYPED)
	MYPYPATH=tests $(PYTHON) -m mypy tests
	.venv/bin/lint-imports --no-logo
	$(PYTHON) scripts/generate.py --check
	$(PYTHON) scripts/check_docs.py
	@$(MAKE) --no-print-directory check-locks

chaos: setup ## Run random histories against the tap: make chaos N=5000
	@CHAOS_SCHEDULES=$(N) $(PYTHON) -m pytest tests/chaos -n $(WORKERS) $(ARGS)

bench: setup ## Measure speed and memory (half an hour).
	@benchmarks/run

meltano: ## Install Meltano: .venvs/meltano/bin/meltano
	@$(SETUP) meltano

sql: setup ## Query a database: make sql Q="SELECT count(*) FROM sms_chats" [DB=output/prod.duckdb]
	@$(PYTHON) scripts/sql.py --database "$(DB)" $(if $(Q),"$(Q)")

locks: ## Upgrade locks/*.txt to the newest compatible versions.
	@sh scripts/locks.sh renew

check-locks: ## Check that locks/*.txt match locks/*.in and pyproject.toml.
	@sh scripts/locks.sh check

generate: setup ## Regenerate the settings in README, meltano.yml, .env.example and the Hub entry.
	@$(PYTHON) scripts/generate.py

format: setup ## Format the code and apply automatic lint fixes.
	@$(PYTHON) -m ruff check --fix --quiet . || true
	@$(PYTHON) -m ruff format .

audit: ## Audit locked dependencies for known vulnerabilities.
	@$(SETUP) audit
	@.venvs/audit/bin/python scripts/audit.py

setup: # The development environment in .venv.
	@$(SETUP) dev

test-tools: # The tools that the tests run the tap with.
	@$(SETUP) dev $(TEST_TOOLS)

clean: ## Remove environments, caches and build output, but not the databases in output/.
	rm -rf .venv .venvs .meltano .coverage .coverage.* htmlcov .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis build dist *.egg-info sandbox/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
