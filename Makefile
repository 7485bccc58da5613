
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install install-dev docs demo up test test-thorough chromium test-ranges coverage mutants lint fuzz faults soak load hostile bench reproduce dial carry fashion parts note client pictures wheel lock help
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(VENV)/installed build/guide/index.html ## Create the virtual environment, install Gauntlet and write its documents

install-dev: $(VENV)/installed-dev

docs: install-dev ## Write the documents as a site of plain files into build/guide, and say what is amiss in them
	$(BIN)/python -m guide --strict

demo: install ## Run the main job: train both objectives on the digits, report, classify (about two minutes)
	$(BIN)/gauntlet demo

up: install ## Run the embedded system until Ctrl-C
	$(BIN)/gauntlet up

test: install-dev chromium ## Run the tests, but for the thorough ones, and name the slowest
	$(BIN)/pytest --numprocesses auto --dist worksteal --durations=15 -m 'not thorough'

test-thorough: install-dev chromium ## Run the thorough tests: whole systems, browsers, compilers and other programs, in many circumstances
	$(BIN)/pytest --numprocesses auto --dist worksteal --durations=15 -m thorough

chromium:
	# The tests of the page want one, and say so where there is none.
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || apt-get install --yes --quiet chromium || true

coverage: install-dev ## Run the tests one by one and tell which lines and branches none of them reaches, in processes of theirs too (an hour)
	mkdir -p build/coverage
	$(BIN)/coverage erase
	# Workers of pytest-xdist would be ended before they have written what they saw. What fails under a tracer is told, too.
	-$(BIN)/coverage run -m pytest --timeout 900
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-ranges: install-dev ## Test with the oldest and newest Gymnasium and Stable-Baselines3 that are allowed, and with MLflow and W&B (five minutes)
	for end in lowest newest; do $(call beside,$$end) && \
		build/ranges/$$end/bin/pip install --quiet --no-deps --ignore-installed $$($(BIN)/python -m tests.ranges $$end) && \
		build/ranges/$$end/bin/python -m pytest -q tests/gauntlet/envs tests/gauntlet/training/test_agents.py tests/e2e/test_environment_page.py || exit 1; done
	for extra in mlflow wandb; do $(call beside,$$extra) && \
		build/ranges/$$extra/bin/pip install --quiet "$$(sed -n "s/^$$extra = \[\"\(.*\)\"\]/\1/p" pyproject.toml)" && \
		build/ranges/$$extra/bin/python -m pytest -q tests/gauntlet/exports/test_trackers.py || exit 1; done

mutants: install-dev ## Change what numbers rest on in one place at a time, and tell what no test notices (two hours; with PART='gauntlet.attacks.square*' what that names)
	$(BIN)/pip install --quiet --constraint requirements.lock mutmut==3.8.1
	OMP_NUM_THREADS=1 $(BIN)/mutmut run $(if $(PART),'$(PART)')
	$(BIN)/mutmut results | grep -v ': not checked' || true

lint: install-dev docs ## Check style, types, the boundaries between packages and the documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: install-dev ## Send the API 30,000 generated requests by two callers (two minutes)
	$(BIN)/python -m benchmarks.bad_input.fuzz --out benchmarks/results/fuzz.json

faults: install-dev ## Kill the processes of whole systems 300 times on SQLite and 300 times on PostgreSQL, and compare every result (an hour)
	$(BIN)/python -m tests.faults --out benchmarks/results/faults.json

soak: install-dev ## Use a system for an hour on SQLite, and for an hour on PostgreSQL, while any of its processes is killed or stopped every 20 s
	$(BIN)/python -m tests.faults.soak --database SQLite --out benchmarks/results/soak.json
	$(BIN)/python -m tests.faults.soak --database PostgreSQL --out benchmarks/results/soak.json

load: install-dev ## Measure the API under load, and pictures beside MLflow's model server (15 minutes; the machine must be idle)
	$(PYTHON) -m venv build/mlflow
	build/mlflow/bin/pip install --quiet --requirement benchmarks/serving/mlflow-requirements.txt
	# Its own libraries first, and our torch behind them.
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > "$$(build/mlflow/bin/python -c 'import site; print(site.getsitepackages()[0])')/torch.pth"
	$(BIN)/python -m benchmarks.serving.load --mlflow build/mlflow/bin/python --out benchmarks/results/load.json

hostile: install-dev ## Send the API hostile inputs, and measure what others wait for and what memory it takes (seven minutes; the machine must be idle)
	$(BIN)/python -m benchmarks.bad_input.hostile --out benchmarks/results/hostile.json

bench: install-dev ## Measure speed beside a naive loop, torchattacks and ART (half an hour; the machine must be idle)
	$(BIN)/pip install --quiet --no-deps --requirement benchmarks/requirements.txt
	mkdir -p build/home  # ART writes into the home folder when it is imported
	HOME=$(CURDIR)/build/home TQDM_DISABLE=1 $(BIN)/python -m benchmarks.speed.training_step --out benchmarks/results/training_step.json
	$(BIN)/python -m benchmarks.speed.evaluation --out benchmarks/results/evaluation.json
	$(BIN)/python -m benchmarks.speed.environment --out benchmarks/results/environment.json

reproduce: install ## Repeat the paper and settle its claim over seeds, as benchmarks/claim/PLAN.md says; for a GPU; goes on if interrupted
	$(BIN)/python -m benchmarks.claim

dial: install ## What in the reward makes a network more robust: the digits, as benchmarks/dial/PLAN.md says; on a CPU; goes on if interrupted
	$(BIN)/python -m benchmarks.dial

carry: install ## Does the dial's order hold in L2 and behind PGD, and beside its controls, as benchmarks/carry/PLAN.md says; on a CPU; goes on if interrupted
	$(BIN)/python -m benchmarks.carry

fashion: install ## Does the dial's order hold on Fashion-MNIST, as benchmarks/fashion/PLAN.md says; on a CPU; goes on if interrupted
	$(BIN)/python -m benchmarks.fashion

parts: install ## Which part of the reward does what: a screen on digits, as benchmarks/parts/PLAN.md says; on a CPU; goes on if interrupted
	$(BIN)/python -m benchmarks.parts

note: install-dev ## Write the claim in four pages, a PDF, from the committed records into build/note.pdf
	$(BIN)/python -m benchmarks.pictures.note

client: install-dev ## Make the synchronous client from the asynchronous one, after a change of that
	$(BIN)/python -m gauntlet.client.generation

pictures: install-dev ## Take the README's pictures of the page anew, of the Gauntlet that runs on this machine
	$(BIN)/python -m benchmarks.pictures.page_pictures

wheel: install-dev ## Build the library's wheel into dist/
	$(BIN)/python -m hatchling build --target wheel

lock: ## Pin anew what a fresh install brings, after a change of pyproject.toml
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --editable '.[dev]'
	# torch pins its own CUDA packages, and which of them there are depends on its build.
	build/lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -vE '^(nvidia-|cuda-|triton)' > requirements.lock
	rm -r build/lock

# An environment of its own, with ours behind it: what is installed there comes before what we have.
beside = $(PYTHON) -m venv build/ranges/$(1) && $(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
	> "$$(build/ranges/$(1)/bin/python -c 'import site; print(site.getsitepackages()[0])')/ours.pth"

# Debian keeps a part of Python's venv in a package of its own. Empty where it is there, else an error that says so.
need-ensurepip = $(if $(shell $(PYTHON) -c 'import ensurepip; print(1)'),,$(error apt-get install python3-venv first))

# The lock pins every package that is installed, so two machines get the same ones.
$(VENV)/installed: pyproject.toml hatch_build.py requirements.lock
	$(need-ensurepip)$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[server]'
	touch $@

# A quarter of a minute at first, then what has changed. Nothing else needs it, so nothing fails with it.
build/guide/index.html: $(VENV)/installed $(shell find docs guide -type f -not -name '*.pyc') $(wildcard *.md)
	@$(BIN)/python -m guide && touch $@ || echo "The documents were not written. Everything else works; \`make docs\` says why."

$(VENV)/installed-dev: $(VENV)/installed benchmarks/requirements.txt
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[dev]'
	# A peer that a test compares with. What it demands is of 2021 and of no use here, hence --no-deps.
	$(BIN)/pip install --quiet --no-deps --constraint benchmarks/requirements.txt torchattacks
	touch $@
