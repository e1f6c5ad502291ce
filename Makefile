# Needs Python 3.11 or later, git and make; everything else is installed from uv.lock.
SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

# PYTHON in the environment chooses the interpreter of .venv.
SETUP := PYTHON='$(PYTHON)' sh scripts/setup.sh
PYTHON := .venv/bin/python
UV := .venvs/uv/bin/uv
TYPED := tap_medchat_swell sandbox/medchat_swell_sandbox scripts
TEST_TOOLS := airflow dbt meltano singer-tools postgres moto map-transform report \
	target-duckdb target-postgres target-csv target-s3-jsonl
MORE_TARGETS := target-jsonl target-singer-jsonl target-postgres-pipelinewise target-s3-csv target-s3
# Tests run in parallel; many only wait.
WORKERS ?= 4
N ?= 5000
DB ?= output/demo.duckdb

.PHONY: help demo airflow-demo test targets lint docs chaos bench meltano sql report locks export generate format audit \
	package test-wheel test-lowest release-check owner \
	setup test-tools clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-20s %s\n", $$1, $$2}'

demo: ## Run a demo: both vendors simulated, Meltano, DuckDB.
	@$(SETUP) dev meltano report
	@$(PYTHON) scripts/demo.py

test: test-tools ## Run all tests, with branch coverage.
	@rm -f .coverage .coverage.*
	@$(PYTHON) -m coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	@$(PYTHON) -m coverage combine --quiet
	@$(PYTHON) -m coverage report $(if $(ARGS),--fail-under=0)

airflow-demo: ## Run the Airflow demo: three simulated clinics, DuckDB.
	@$(SETUP) dev airflow target-duckdb
	@$(PYTHON) scripts/airflow_demo.py

targets: test-tools ## Load into all targets that can be tried here, before a release (minutes).
	@$(SETUP) $(MORE_TARGETS)
	@TARGETS=all $(PYTHON) -m pytest tests/e2e/test_targets.py -q -n $(WORKERS) $(ARGS)

lint: setup docs ## Run the linters; check imports, docs, locks and generated files.
	.venv/bin/pre-commit run --all-files
	@$(SETUP) dbt
	cd dbt && ../.venvs/dbt/bin/sqlfluff lint --disable-progress-bar models
	$(PYTHON) -m mypy --enable-error-code explicit-override $(TYPED)
	MYPYPATH=tests:deploy/airflow/dags $(PYTHON) -m mypy tests deploy
	.venv/bin/ty check --quiet --error-on-warning tap_medchat_swell scripts
	.venv/bin/lint-imports --no-logo
	$(PYTHON) scripts/generate.py --check
	$(PYTHON) scripts/check_docs.py

docs: ## Build the site of docs/ into build/site.
	@$(SETUP) docs
	@NO_MKDOCS_2_WARNING=1 .venvs/docs/bin/mkdocs build --strict

chaos: setup ## Run random histories against the tap: make chaos N=5000
	@CHAOS_SCHEDULES=$(N) $(PYTHON) -m pytest tests/chaos -n $(WORKERS) $(ARGS)

bench: setup ## Measure speed and memory (half an hour).
	@benchmarks/run

meltano: ## Install Meltano: .venvs/meltano/bin/meltano
	@$(SETUP) meltano

sql: setup ## Query a database: make sql Q="SELECT count(*) FROM sms_chats" [DB=output/prod.duckdb]
	@$(PYTHON) scripts/sql.py --database "$(DB)" $(if $(Q),"$(Q)")

report: ## Write a page about what dbt built: make report [DB=output/prod.duckdb|postgresql://...] [SCHEMA=...] [OUT=...]
	@$(SETUP) report
	@.venvs/report/bin/python scripts/report.py --database "$(DB)" \
		--schema "$(or $(SCHEMA),medchat_swell)" $(if $(OUT),--output "$(OUT)")

locks: ## Upgrade the locks to the newest versions that pyproject.toml and tools/ allow.
	@$(SETUP) uv
	@$(UV) lock --upgrade
	@$(UV) lock --upgrade --project tools
	@$(MAKE) --no-print-directory export

# What pip and Meltano read of the locks; the names of all files but tap.txt are dependency groups.
export:
	@$(UV) export --quiet --locked --no-header --no-default-groups --no-emit-project \
		--output-file locks/tap.txt
	@for file in locks/uv.txt locks/dbt.txt locks/target-*.txt; do \
		$(UV) export --quiet --locked --project tools --no-header --only-group "$$(basename "$$file" .txt)" \
			--output-file "$$file" || exit; \
	done

package: setup ## Build wheel and sdist into dist/, inspect them, try the wheel alone.
	@$(PYTHON) scripts/package.py

# A copy of the project without the tap's source, so that the tests import what is installed.
ELSEWHERE = rm -rf build/tests && mkdir -p build/tests && \
	git ls-files -z | grep -zv '^tap_medchat_swell/' | tar -c --null -T - | tar -x -C build/tests && \
	cd build/tests && $(CURDIR)/.venvs/$(1)/bin/pytest -n $(WORKERS) --ignore tests/e2e $(ARGS)

test-wheel: ## Run the tests on the built wheel, without the source folder.
	@$(SETUP) wheel
	@$(call ELSEWHERE,wheel)

test-lowest: ## Run the tests with the oldest direct dependencies that pyproject.toml allows.
	@$(SETUP) lowest
	@$(call ELSEWHERE,lowest)

release-check: ## Do everything that a release does, but the upload.
	@! git grep -n OWNER -- pyproject.toml || { echo "Set the owner: make owner NAME=..." >&2; exit 1; }
	@.ci/run
	@$(MAKE) --no-print-directory package test-wheel test-lowest audit

owner: setup ## Name the publishing account everywhere: make owner NAME=acme
	@test -n "$(NAME)" || { echo "usage: make owner NAME=acme" >&2; exit 2; }
	@sed -i.bak 's,github\.com/[^/]*/tap-medchat-swell,github.com/$(NAME)/tap-medchat-swell,' pyproject.toml
	@rm pyproject.toml.bak
	@$(PYTHON) scripts/generate.py

generate: setup ## Regenerate what comes from settings, schemas and streams: docs/, meltano.yml, .env.example, the Hub entry.
	@$(PYTHON) scripts/generate.py

format: setup ## Format code and documentation, and apply automatic lint fixes.
	@$(PYTHON) -m ruff check --fix --quiet . || true
	@$(PYTHON) -m ruff format .
	@git ls-files -z '*.md' | xargs -0 .venv/bin/mdformat

# Old targets that only `make targets` runs, with old dependencies.
NOT_AUDITED := target-postgres-pipelinewise target-s3 target-s3-csv target-singer-jsonl

audit: ## Look up the locked dependencies in OSV's list of known vulnerabilities.
	@$(SETUP) uv
	@for project in . "tools $(NOT_AUDITED:%=--no-group %)"; do \
		$(UV) audit --quiet --locked --project $$project || { test $$? -eq 1 || \
			echo "Not audited: OSV (api.osv.dev) could not be reached; see above." >&2; exit 2; }; \
	done

setup: # The development environment in .venv.
	@$(SETUP) dev

test-tools: # The tools that the tests run the tap with.
	@$(SETUP) dev $(TEST_TOOLS)

clean: ## Remove environments, caches and build output, but not the databases in output/.
	rm -rf .venv .venvs .meltano .coverage .coverage.* htmlcov .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis build dist *.egg-info sandbox/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
