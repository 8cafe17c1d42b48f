# `make` alone prints what it can do. Everything lives in .venv; nothing outside the checkout is touched.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
RUNTIME ?= cpu

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
INPUTS := pyproject.toml constraints.txt
QUICK := "not slow and not gpu"

.PHONY: help serve test test-all coverage lint format dev hooks release clean
.DEFAULT_GOAL := help

help:  ## print this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

serve: .venv/serve-$(RUNTIME)  ## install what serving needs and serve the bundled model: PORT=8000 HOST=127.0.0.1 RUNTIME=cpu|gpu
	@$(BIN)/ijepa serve --host $(HOST) --port $(PORT) --runtime $(RUNTIME)

test: dev  ## install what the tests need and run all but those marked slow or gpu
	@tests/debian-packages
	$(BIN)/python -m pytest -n 2 -m $(QUICK)

test-all: dev  ## run every test
	@tests/debian-packages
	$(BIN)/python -m pytest

coverage: dev  ## run the tests of `make test` and measure coverage, which has a minimum (pyproject.toml)
	@tests/debian-packages
	$(BIN)/python -m pytest -n 2 -m $(QUICK) --cov --cov-report=term:skip-covered

lint: dev  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: dev  ## rewrite the sources in the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: .venv/dev  ## install everything: training, tests, lint

hooks: dev  ## check every commit with ruff, mypy, import-linter and the link check
	$(BIN)/pre-commit install

release: dev  ## check that version, tag, changelog and a clean tree agree, and build wheel and sdist into dist/
	$(BIN)/python .ci/release

clean:  ## delete the environment and caches
	rm -rf .venv build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@echo "creating .venv" >&2
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v.major}.{v.minor}; set PYTHON=")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }

.venv/serve-$(RUNTIME): .venv/bin/python $(INPUTS)
	@echo "installing what serving needs" >&2
	@case $(RUNTIME) in cpu) $(PIP) uninstall -y onnxruntime-gpu;; gpu) $(PIP) uninstall -y onnxruntime;; \
	    *) echo "unknown RUNTIME $(RUNTIME); expected cpu or gpu"; exit 1;; esac
	@rm -f .venv/serve-* .venv/dev
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME)]'
	@touch $@

.venv/dev: .venv/bin/python $(INPUTS)
	@echo "installing what training and the tests need (torch is large: about two minutes)" >&2
	@$(PIP) uninstall -y onnxruntime-gpu
	@rm -f .venv/serve-*
	@$(PIP) install -c constraints.txt -e '.[cpu,train,dev]'
	@touch $@ .venv/serve-cpu
