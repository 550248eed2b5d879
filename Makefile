# Each target is one command that README or CONTRIBUTING explains; a test holds them together.

.PHONY: help setup test lint docs benchmark site

help:
	@echo "make setup | test | lint | docs | benchmark | site"

setup:
	python3.11 -m venv .venv && .venv/bin/pip install -q --require-hashes -r requirements/test.txt && .venv/bin/pip install -q --no-deps --no-build-isolation -e .

test:
	.venv/bin/python -m pytest -q -n 2 --dist worksteal

lint:
	.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy

docs:
	.venv/bin/python -m pytest -q tests/test_documentation.py tests/test_contributing.py typefleet client_model server_strategy simulation

benchmark:
	.venv/bin/python scripts/benchmark.py --quick

site:
	.venv/bin/mkdocs build --strict
