# Each target does all its own set-up: a fresh machine needs Python 3.11 or later and make, nothing else.
#   make PYTHON=python3.12 test      another interpreter
#   make test TESTS=tests/core       some of the tests
#   make soak MINUTES=5              less of it
#   make demo ARGS="--exit --json"   options of `flexhub demo`

PYTHON ?= python3
VENV   ?= .venv
TESTS  ?=
ARGS   ?=
MINUTES ?= 20

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PEER := build/peers/shapeshifter-uftp

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install dev demo test coverage soak bench lint format docs pins debian peer clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(VENV)/.run  ## the program, in .venv
	@echo "installed: $(BIN)/flexhub"

dev: $(VENV)/.dev  ## the program and all its tools, in .venv

demo: $(VENV)/.run  ## everything running on http://127.0.0.1:8080
	$(BIN)/flexhub demo $(ARGS)

test: $(VENV)/.dev debian peer  ## every test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

coverage: $(VENV)/.dev debian peer  ## the same, and which lines they reach; being watched they take twice as long
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered --cov-report=xml:build/coverage.xml $(TESTS)

soak: $(VENV)/.dev debian peer  ## kills, anything at all over HTTP, mutants of messages, and the property tests, at length
	SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest -m soak $(TESTS)
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -n 2 --dist worksteal --timeout 3600 $(TESTS)

bench: $(VENV)/.dev peer  ## the figures, and the README's table of them
	$(BIN)/python -m benchmarks $(ARGS); missed=$$?; $(BIN)/python -m benchmarks.report --write; exit $$missed

lint: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## the documentation, in site/
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

pins: $(VENV)/.dev  ## choose the pinned versions anew
	$(PIP) install "$$($(BIN)/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["pins"][0])')"
	$(BIN)/uv pip compile $(COMPILE) -o requirements/run.txt pyproject.toml --extra pages --extra postgres --extra uftp --extra xmpp
	$(BIN)/uv pip compile $(COMPILE) -o requirements/dev.txt pyproject.toml --all-extras \
	    --group test --group lint --group docs -c requirements/run.txt

# The extra `fast` is a compiler of some 60 MB that the program does without; tools and tests have it.
# No index address and no path gets into the pins: they must serve wherever a registry can be reached.
COMPILE := --quiet --upgrade --universal --python-version 3.11 --strip-extras --no-header --no-annotate \
           --no-emit-index-url --no-emit-find-links

# What some tests need beside Python; without it they skip and say so (in CI they fail).
debian:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    for package in $$(cat requirements/debian.txt); do \
	        dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' || echo "$$package"; \
	    done > $(VENV)/.missing; \
	    if [ -s $(VENV)/.missing ]; then \
	        echo "installing $$(tr '\n' ' ' < $(VENV)/.missing)"; \
	        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	          xargs apt-get -qq install -y --no-install-recommends < $(VENV)/.missing > /dev/null; } \
	        || echo "not all of them could be installed; the tests that need them will say so"; \
	    fi; \
	fi

# Another implementation of UFTP, to talk to and to measure beside, in an environment of its own, since it pins what it
# needs. Without it tests with it skip and say so, and its figures are left out; in CI that it cannot be had is a failure.
peer: $(PEER)/.made

$(PEER)/.made: requirements/peer-shapeshifter.txt | $(VENV)/bin/python
	@{ $(PYTHON) -m venv $(PEER) && \
	   $(PEER)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r $< && touch $@; } \
	|| { echo "$(PEER) could not be made; it is done without"; test -z "$$CI"; }

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flexhub needs Python 3.11 or later; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install -r requirements/run.txt
	$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(PIP) install -r requirements/dev.txt
	@touch $@

clean:  ## away with everything that was made
	rm -rf $(VENV) build dist site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis flexhub.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
