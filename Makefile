# What the README and CI call. Every target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests at a time: most of them wait for processes of their own more than for a processor.
JOBS ?= 3
# $(call tested,PATHS): files with few tests are not left for the end, as the longest tests are in them. The few that fail
# beside others are run again by themselves: what fails there too is broken, the rest were disturbed.
define tested
$(BIN)/python -m pytest -o cache_dir=.pytest_cache/$@ --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder $(1) || { \
  echo "What failed, again and by itself:"; $(BIN)/python -m pytest -o cache_dir=.pytest_cache/$@ --last-failed --last-failed-no-failures none --maxfail 1 $(1); }
endef
# Byte code is made of what is used, when it is: of all that comes with the packages it would take half of the time.
PIP := $(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check
LOUD_PIP := PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --no-compile --progress-bar off --disable-pip-version-check
# Of what pip says: what is fetched and is large, when it installs, and all that is wrong.
SHOWN := /^FAILED$$/ { exit 1 } /ERROR|error:/ { print } / (Downloading|Using cached) .*MB/ { print "  fetching " $$2 " " $$3 " " $$4; fflush() } \
  /^Installing collected/ { print "  installing, a minute or two"; fflush() } /^Successfully installed/ { print "  installed"; fflush() }

.PHONY: demo test lint emacs editors test-python test-cuda test-neovim check-vscode test-vscode test-llama-cpp fuzz soak reliability bench quality docs first-use release clean

demo: $(VENV)/engine.stamp
	$(BIN)/codellama-ls demo

# What is fetched, and what waits for editors, leaves processors to others. Byte code is kept, for some hundred processes.
test: export PYTHONDONTWRITEBYTECODE :=
test:
	$(MAKE) --no-print-directory --jobs 2 $(VENV)/cuda-tests.stamp editors
	$(MAKE) --no-print-directory --jobs 2 lint test-python
	$(MAKE) --no-print-directory test-cuda
	$(MAKE) --no-print-directory --jobs 2 test-neovim test-vscode

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-python: $(VENV)/dev.stamp
	$(call tested,--ignore tests/editors --ignore tests/cuda)

# The pass on CUDA cards, in Triton's interpreter and compiled for cards that are not here: needs no card, but Linux.
test-cuda: JOBS = 2
test-cuda: $(VENV)/cuda-tests.stamp
	export TRITON_INTERPRET=1; $(call tested,tests/cuda)

# Neovim comes with the Python packages, Emacs from Debian's.
emacs:
	@command -v emacs >/dev/null || (apt-get -qq update && apt-get -qq install -y --no-install-recommends \
	  emacs-nox elpa-eglot elpa-lsp-mode >/dev/null)

editors: emacs
	@bash editors/vscode/e2e/setup.sh >/dev/null

# Not more at a time: its keys are to be in time.
test-neovim: JOBS = 2
test-neovim: $(VENV)/dev.stamp emacs
	$(call tested,tests/editors --ignore tests/editors/vscode)

# The extension's types, settings, units and package.
check-vscode: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests/editors/vscode
	PYTHON=$(abspath $(BIN)/python) bash editors/vscode/ci.sh --quick

# The same, and the package in a real VS Code with the starter model.
test-vscode: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests/editors/vscode
	PYTHON=$(abspath $(BIN)/python) bash editors/vscode/ci.sh --starter

# Inputs that nobody would write, some minutes of them; the tests have some seconds of the same.
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),100000)

# 20,000 fast keys, or KEYS, with a slow server of others: its connections stay few, and all keys are answered.
soak: $(VENV)/dev.stamp
	KEYS=$(or $(KEYS),20000) $(BIN)/python -m pytest tests/model/test_connections.py

# llama.cpp's server, llama-cpp-python's and llama.vim, as they are. Compiles for ten minutes the first time.
test-llama-cpp: $(VENV)/bench.stamp
	LLAMA_CPP=1 $(BIN)/python -m pytest tests/servers

# Faults and load for real: 75 minutes; PARTS=faults,editors,soak,files for some of it, QUICK=--quick for two minutes.
# Without root the faults that need a small disk are left out, and without a C compiler the clock's.
reliability: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.reliability $(QUICK) $(if $(PARTS),--only $(PARTS))

# Beside llama.cpp, which is compiled the first time, and `transformers serve`; QUICK=--quick for a short run.
bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks $(QUICK)

# How good suggestions are; HUMANEVAL=FOLDER with the files of HumanEval infilling, QUICK=--quick for a short run.
quality: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.quality $(QUICK) $(if $(HUMANEVAL),--humaneval $(HUMANEVAL))

# The pages of docs/ as a site in build/docs; what is made of the program and of what was measured is written first.
docs: $(VENV)/dev.stamp
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -W --keep-going -n -q docs build/docs
	@echo build/docs/index.html

# docs/first-use.md: the first use in a terminal, Neovim and VS Code as it goes here, with times. Some minutes.
first-use: check-vscode
	$(BIN)/python docs/transcript.py

# The files that are handed out, built from the commit and tried in an empty home, in dist/; see docs/releasing.md.
release: $(VENV)/release.stamp
	$(BIN)/python -m release $(if $(COMMIT),--commit $(COMMIT)) $(if $(OUT),--out $(OUT)) $(if $(UNTRIED),--untried)

clean:
	rm -rf $(VENV)

# One that is too old is named before anything is made of it.
TOO_OLD := Python %d.%d is too old, 3.10 and later serve: give another, as in `make demo PYTHON=python3.12`
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 10) or sys.exit("$(TOO_OLD)" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/engine.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV), once: some 70 packages, 1.6 GB (with CUDA several more), about 2 minutes."
	@{ $(LOUD_PIP) -c constraints.txt -e '.[engine]' 2>&1 || echo FAILED; } | awk '$(SHOWN)'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[engine,dev]'
	touch $@ $(VENV)/engine.stamp

$(VENV)/cuda-tests.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[engine,dev,cuda-tests]'
	touch $@ $(VENV)/dev.stamp $(VENV)/engine.stamp

$(VENV)/release.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[release]'
	touch $@

$(VENV)/bench.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[engine,dev,bench]'
	touch $@ $(VENV)/dev.stamp $(VENV)/engine.stamp
