# Needs Python 3.11 or later, git and make; everything else is set up from locks/.
SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
SETUP := sh scripts/setup.sh
TYPED := tap_medchat_swell sandbox/medchat_swell_sandbox scripts
# Tests side by side: many only wait.
WORKERS ?= 4
N ?= 5000
DB ?= output/demo.duckdb

.PHONY: help demo test lint chaos mutants bench meltano sql locks check-locks generate format audit \
	setup test-tools clean

help: ## Show what there is.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-20s %s\n", $$1, $$2}'

demo: ## See it work: a sandbox of both vendors, Meltano, DuckDB.
	@$(SETUP) dev meltano
	@$(PYTHON) scripts/demo.py

test: test-tools ## Run every test, with branch coverage.
	@rm -f .coverage .coverage.*
	@$(PYTHON) -m coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	@$(PYTHON) -m coverage combine --quiet
	@$(PYTHON) -m coverage report

lint: setup ## Run the linters, and check that locks and generated files are up to date.
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy $(TYPED)
	MYPYPATH=tests $(PYTHON) -m mypy tests
	$(PYTHON) scripts/generate.py --check
	@$(MAKE) --no-print-directory check-locks

chaos: setup ## Run random histories against the tap: make chaos N=5000
	@CHAOS_SCHEDULES=$(N) $(PYTHON) -m pytest tests/chaos -n $(WORKERS) $(ARGS)

mutants: setup ## Break the tap's rules one by one and see chaos notice: an hour.
	@$(PYTHON) -m tests.chaos.mutants $(ARGS)

bench: setup ## Measure speed and memory.
	@benchmarks/run

meltano: ## Set Meltano up: .venvs/meltano/bin/meltano
	@$(SETUP) meltano

sql: setup ## Query a database: make sql Q="SELECT count(*) FROM sms_chats" [DB=output/prod.duckdb]
	@$(PYTHON) scripts/sql.py --database "$(DB)" $(if $(Q),"$(Q)")

locks: ## Renew locks/*.txt: newest versions that fit.
	@sh scripts/locks.sh renew

check-locks: ## Check that locks/*.txt fit locks/*.in and pyproject.toml.
	@sh scripts/locks.sh check

generate: setup ## Refresh what follows from the settings (README, meltano.yml, ...).
	@$(PYTHON) scripts/generate.py

format: setup ## Format the code and mend what linters can mend.
	@$(PYTHON) -m ruff check --fix --quiet . || true
	@$(PYTHON) -m ruff format .

audit: ## Look the locked dependencies up among known weaknesses.
	@$(SETUP) audit
	@.venvs/audit/bin/python scripts/audit.py

setup: # The development environment in .venv.
	@$(SETUP) dev

test-tools: # What the tests run the tap with.
	@$(SETUP) dev meltano singer-tools postgres

clean: ## Remove everything that was set up or written, but no database in output/.
	rm -rf .venv .venvs .meltano .coverage .coverage.* htmlcov .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis build dist *.egg-info sandbox/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
