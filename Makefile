# `make demo` shows fusionpy at work and `make test` tests it. Both need make and Python 3.11 or later, no more.

VENV ?= .venv
# The Python to make VENV with; left empty, the first of PYTHONS that will do. CI tests 3.13 and 3.11.
PYTHON ?=
PYTHONS := python3.13 python3.12 python3.11 python3
# More for pytest, as in: make test ARGS="-m slow -k coverage"
ARGS ?=

PIP_INSTALL = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --constraint .ci/constraints.txt

.PHONY: help demo test coverage check r-check docs release bench mutate clean python

help:
	@echo "make demo    install fusionpy in $(VENV) and watch it fuse two small surveys"
	@echo "make test    run the tests (ARGS=... goes to pytest)"
	@echo "make coverage count what tests reach of the kernels' lines and branches: at least 95 %"
	@echo "make check   formatting, lint, types, imports between modules, spelling, examples in docstrings"
	@echo "make r-check build and check the R packages in r/, with fusionpy from $(VENV); needs R"
	@echo "make docs    run all documents and build the site in site/ (ARGS=\"--only tutorial\": one of them)"
	@echo "make release build and try sdist, wheel and R packages, in dist/ (ARGS=--rehearse: of an unreleased version)"
	@echo "make bench   measure speed and memory, two hours (SMALL=1: a smoke run; OUT=folder; ONLY=train,fuse)"
	@echo "make mutate  break the code on purpose, and see whether the tests notice (ARGS=\"--only rubin --minutes 5\")"
	@echo "make clean   remove $(VENV) and whatever else these commands leave"
	@echo
	@echo "PYTHON=/path/to/python3 chooses the Python, VENV=folder another place to install in."

demo: $(VENV)/.installed
	@$(VENV)/bin/fusionpy demo

# What is imported is compiled once, tests too, and not by every process that a test starts.
unexport PYTHONDONTWRITEBYTECODE

test: $(VENV)/.installed-dev
	$(VENV)/bin/pytest $(ARGS)

# Python runs the kernels as they are written, line by line, so that lines and branches can be counted. Of whole numbers
# that wrap around numpy warns, which compiled code does not. What only the compiler runs is left out: the vectors of
# the forest kernel, which tests hold to the bits of the plain machine.
coverage: $(VENV)/.installed-dev
	NUMBA_DISABLE_JIT=1 HYPOTHESIS_PROFILE=brief $(VENV)/bin/pytest tests/kernels --cov --cov-report= \
	  -m "not compiled and not slow and not r" -W ignore::RuntimeWarning $(ARGS)
	$(VENV)/bin/coverage report --include="fusionpy/kernels/*" --omit="*/vector_machine.py" --fail-under=95

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(VENV)/bin/codespell
	$(VENV)/bin/pytest --doctest-modules fusionpy

r-check: $(VENV)/.installed
	@RETICULATE_PYTHON="$(abspath $(VENV)/bin/python)" r/check

docs: $(VENV)/.installed-dev
	$(VENV)/bin/python docs/build.py $(ARGS)

release: $(VENV)/.installed-dev
	$(VENV)/bin/python .ci/release.py $(ARGS)

# Results take the place of those in validation/benchmarks unless OUT is another folder; those of SMALL never do.
bench: $(VENV)/.installed-dev
	$(VENV)/bin/python validation/benchmarks/suite.py $(if $(SMALL),--small) $(if $(OUT),--out "$(OUT)") $(if $(ONLY),--only $(ONLY))

# What Cosmic Ray needs is not pinned: nothing else uses it. It takes half an hour, and goes on where it was ended.
mutate: $(VENV)/.installed-dev
	@$(PIP_INSTALL) --editable '.[mutation]'
	$(VENV)/bin/python validation/mutation/run.py $(ARGS)

clean:
	@if [ -f "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	rm -rf build dist site htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find fusionpy tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say that VENV has what pyproject.toml and .ci/constraints.txt ask for. The package is installed in place, so
# a change of its code needs no new installation.
$(VENV)/.installed: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	@echo "Installing fusionpy in $(VENV) (a minute or two)"
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	@echo "Installing fusionpy and its tools in $(VENV) (a minute or two)"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/bin/python:
	@python=$$($(FIND_PYTHON)) && echo "Making $(VENV) with $$python" && "$$python" -m venv "$(VENV)"

# Print the Python that would be used.
python:
	@$(FIND_PYTHON)

# Python 3.11 or later that starts and can make environments; pyenv's too, which are often not on the PATH.
SUITABLE = import sys; assert sys.version_info >= (3, 11); import ensurepip, venv; print(sys.executable)
FIND_PYTHON = \
	for name in $(or $(PYTHON),$(PYTHONS)); do \
	  for python in "$$name" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/"$$name"; do \
	    "$$python" -c '$(SUITABLE)' 2>/dev/null && exit; \
	  done; \
	done; \
	echo "No suitable Python among: $(or $(PYTHON),$(PYTHONS))." >&2; \
	echo "fusionpy needs Python 3.11 or later with its venv module (on Debian the package python3-venv)." >&2; \
	echo "Install one, or say where it is: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	exit 1
