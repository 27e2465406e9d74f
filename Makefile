# Everything happens in .venv, which the first target that needs it makes.
#   make lab LAB_ARGS="--no-browser --port=8899"    more flags for JupyterLab
#   make lab LAB_IP=0.0.0.0                         reachable from outside a container
#   make lab PYTHON=/path/to/python3.13             the Python that .venv is made from
# A .venv that you made yourself is used as it is, so a build of PyTorch that suits
# your machine (CPU only, say) can be installed there first.

BIN     := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt
LAB_IP  := 127.0.0.1
PARALLEL := -n auto --dist loadfile
NO_PAGES := lrsched_kit tests --ignore=tests/test_browser.py
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help lab check test quick fuzz oldest bench format notebooks clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

# Jupyter's settings and open tabs live in .venv, so your own are neither read nor changed.
# -y: one Ctrl-C stops the server.
lab: .venv/lab.done ## open the lessons in JupyterLab
	JUPYTER_CONFIG_DIR="$(CURDIR)/.venv/jupyter" $(BIN)/python -m jupyterlab -y \
	  --ip=$(LAB_IP) --allow-root \
	  --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB_ARGS)

check: .venv/test.done ## check style and types
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy

test: check ## the same, then run every test, doctest and notebook
	$(BIN)/python -m pytest $(PARALLEL)

quick: .venv/test.done ## run all tests but those of notebooks and in a browser, with few examples each
	$(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile=quick $(NO_PAGES)

oldest: ## run these tests with the oldest packages that pyproject.toml allows (on Linux: gigabytes)
	$(or $(PYTHON),python3) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest --resolution lowest-direct -e ".[test]"
	@# Old packages warn of new ones beneath them; that is no error of the kit's.
	.venv-oldest/bin/python -m pytest $(PARALLEL) $(NO_PAGES) -o filterwarnings=default

fuzz: .venv/test.done ## train ten times as many random models, other ones each time
	$(BIN)/python -m pytest --hypothesis-profile=fuzz --timeout=7200 tests/test_one_definition.py

bench: .venv/test.done ## measure speed, as ratios within one run
	$(BIN)/python benchmarks/bench.py

format: .venv/test.done ## put code and notebooks into the kit's style
	$(BIN)/python -m ruff check --fix --exit-zero
	$(BIN)/python -m ruff format

notebooks: .venv/test.done ## run every notebook and keep its new outputs
	$(BIN)/python tools/run_notebooks.py notebooks/*.ipynb

clean: ## remove .venv and caches
	rm -rf .venv .venv-oldest .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find lrsched_kit tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} +

# The .done files say: installed since pyproject.toml or constraints.txt last changed.
.venv/lab.done: $(BIN)/pip pyproject.toml constraints.txt
	@echo "Installing lrsched_kit into .venv (the first time takes minutes: PyTorch is large)."
	$(INSTALL) -e .
	@# No pop-up about news, no look for updates. (LabApp.news_url=None leaves the pop-up.)
	$(BIN)/python -m jupyterlab.labextensions disable --log-level=ERROR \
	  @jupyterlab/apputils-extension:announcements
	@touch $@

.venv/test.done: .venv/lab.done
	@echo "Installing lrsched_kit and its test tools into .venv."
	$(INSTALL) -e ".[test]"
	@touch $@

# pip's script is the last file that venv writes and it knows where its .venv lies. Where it does
# not run, .venv was interrupted, was moved, or has lost its Python: it is made anew.
ifneq (works,$(shell $(BIN)/pip --version >/dev/null 2>&1 && echo works))
.PHONY: $(BIN)/pip
endif
$(BIN)/pip:
	@for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  found="$$python"; \
	  "$$python" -c 'import venv, ensurepip' 2>/dev/null || continue; \
	  echo "Making .venv with $$python."; \
	  exec "$$python" -m venv --clear .venv; \
	done; \
	if [ -n "$$found" ]; then \
	  echo "$$found has no venv and ensurepip modules (on Debian or Ubuntu: apt install python3-venv)."; \
	else \
	  echo "Python 3.11 or newer is needed; make found none as $(PYTHONS) (PYTHON=/path/to/python names another)."; \
	fi >&2; exit 1
