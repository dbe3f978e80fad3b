# make help lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
UV := uv==0.13.8

# parameters of make backtest
PRICES ?=
DAYS ?=
MARKET_TZ ?=
# options of make lab and make live
ARGS ?=
GIVEN := $(if $(PRICES),-p prices_path="$(PRICES)") $(if $(DAYS),-p days=$(DAYS)) $(if $(MARKET_TZ),-p market_tz=$(MARKET_TZ))

.DEFAULT_GOAL := help
.PHONY: help install backtest lab live page test lint unit notebooks-check store-notebooks sktime-conformance bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26
	@echo "  PRICES=<file> DAYS=<n> MARKET_TZ=<zone> belong to make backtest, ARGS=<options> to make lab and make live"

install: $(STAMP) ## make .venv and install what requirements.lock pins (a second call installs nothing)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gridlab needs Python 3.11 or later: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

backtest: $(STAMP) ## run the main study and print where its report is: make backtest PRICES=prices.csv
	@$(BIN)/gridlab run backtest $(GIVEN)

lab: $(STAMP) ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks $(ARGS)

live: $(STAMP) ## run a simulated site until Ctrl-C (a real one: gridlab live --help)
	$(BIN)/gridlab live $(ARGS)

page: $(STAMP) ## serve the page of the site that make live runs
	$(BIN)/gridlab live-page reports/live/site.db

test: lint unit notebooks-check ## everything that CI runs

lint: $(STAMP) ## style, types and the architecture's contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP) ## tests, doctests and coverage
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 20 --cov --cov-report=term

notebooks-check: $(STAMP) ## run every notebook and compare the stored outputs
	$(BIN)/python -m pytest -n 2 --dist loadfile -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks

store-notebooks: $(STAMP) ## run every notebook and store the outputs of its tagged cells
	$(BIN)/python tests/store_outputs.py

sktime-conformance: $(STAMP) ## run sktime's own tests on every forecaster of ours (an hour)
	$(BIN)/python -m pytest -n 2 --timeout=3600 tests/sktime_conformance.py

bench: $(STAMP) ## time the forecast day, the MPC day, clearing and the report
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,rounds -o python_files=bench_*.py -o python_functions=bench_*

lock: $(STAMP) ## resolve pyproject.toml again into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra test --upgrade --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet -o requirements.lock

clean: ## remove .venv and caches; reports stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* .import_linter_cache
