# make run | make test | make install | make dev; HOST=, PORT=, PYTHON= and CHROMIUM= are yours to set.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 7860
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: run install test lint types tests chromium dev clean

run: install
	@$(BIN)/python -m cli serve --host $(HOST) --port $(PORT)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[web,model,modal,dev]'
	@touch $@

test: install chromium lint types tests

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

tests:
	CHROMIUM='$(or $(CHROMIUM),/usr/bin/chromium)' $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

# The page is tested in a real browser, always: where there is none it is installed, or the line to type is printed.
chromium:
ifeq ($(CHROMIUM),)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null; \
	elif command -v apt-get >/dev/null; then \
	  echo 'No Chromium found. Type: sudo apt-get install -y chromium'; exit 1; \
	else \
	  echo 'No Chromium found. Install one and type: make test CHROMIUM=/path/to/chromium'; exit 1; \
	fi
else
	@command -v '$(CHROMIUM)' >/dev/null || { echo 'CHROMIUM=$(CHROMIUM) is not a program. Name one that is.'; exit 1; }
endif

# The page, served again whenever a source file changes, and the quick tests beside it.
dev: install
	@$(BIN)/watchfiles --filter python '$(BIN)/python -m cli serve --host $(HOST) --port $(PORT)' inference viz cli.py & \
	page=$$!; trap "kill $$page" EXIT; \
	$(BIN)/watchfiles --filter python '$(BIN)/python -m pytest -q -x --ignore=tests/viz/page' inference viz tests cli.py app.py

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache
