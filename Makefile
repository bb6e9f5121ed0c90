# GeoAnchor: `make demo` and `make test` do everything on a fresh machine; the rest are their parts.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint types bench docs clean
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	@echo "installing all packages into .venv: some minutes and 7.5 GB, quietly"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[cpu,dev]"
	touch $(READY)

demo: $(READY)  ## build the city, index it, ask every kind of query, write a report
	$(BIN)/geoanchor demo

# Up to four processes, each with one thread for torch and 2.5 GB: a file's tests stay together, with what they share.
test: lint types  ## all checks and all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

bench: $(READY)  ## speed and memory as ratios against named rivals
	$(BIN)/python -m benchmarks

docs: $(READY)  ## regenerate what the docs take from the code
	$(BIN)/python -m scripts.cli_docs
	$(BIN)/python -m scripts.contact_sheets

clean:
	rm -rf .venv out build *.egg-info
