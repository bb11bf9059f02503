# `make demo` and `make test` are all a newcomer needs; both make the environment first. See CONTRIBUTING.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
N ?=
WORKERS ?= 3

# More workers than the two cores of a small machine: much of the suite waits for other processes.
SPREAD := -n $(WORKERS)

.PHONY: help demo test test-core check soak escape fuzz bench clean

help:
	@echo "make demo       the main job, end to end, on real MCP servers; no key needed"
	@echo "make test       the whole suite"
	@echo "make test-core  the suite without torch"
	@echo "make check      lint, types, import contracts"
	@echo "make bench      benchmarks/ (N=name for one)      make soak / escape / fuzz   long runs (N=count)"

# The plain product: what `pip install toolweft` gives, and the MCP servers that the demo connects.
$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("toolweft needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . bpe-openai mcp-server-git mcp-server-time
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt requirements.txt $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# Everything but torch and what needs it.
$(VENV)/.core: pyproject.toml constraints.txt $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py

test: $(VENV)/.dev
	PYTHONWARNDEFAULTENCODING=1 $(BIN)/python -m pytest $(SPREAD)

test-core: $(VENV)/.core
	PYTHONWARNDEFAULTENCODING=1 $(BIN)/python -m pytest $(SPREAD) -m "not torch"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py
	$(BIN)/lint-imports

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m soak --soak=$(or $(N),10000) --timeout=3600

escape: $(VENV)/.dev
	$(BIN)/python -m pytest -m escape --escape --timeout=3600

fuzz: $(VENV)/.dev
	FUZZ_EXAMPLES=$(or $(N),1000000) $(BIN)/python -m pytest $(SPREAD) -m fuzz --timeout=3600

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(N)

clean:
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
