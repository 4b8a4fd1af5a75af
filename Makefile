# make demo   a person never seen in training speaks with a voice that was not in training; opens as build/demo/index.html
# make test   every test but the slow ones, each of which has a quick twin; its last line says how long it took
# make test-all  the whole test suite, slow ones as well
# make fuzz   damaged and odd files of all kinds: none may end otherwise than in a sentence (minutes; not part of make test)
# make parity  networks against their published implementations, which are large to install
# make train  every stage from scratch on people in three dimensions, then the report: how data/assets is made
# make assets the checkpoints of `make train` become the embedded ones

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNS := runs/heads
PARITY := .venv-parity/bin
# Each takes neighbours, which share what they compile, and then half of what is left to the slower one.
WORKERS := -n 2 --dist worksteal

.PHONY: demo test test-all fuzz parity lint train assets clean

demo: .venv/users
	$(BIN)/python launch/demo.py --out build/demo

test: .venv/developers
	$(BIN)/python -m pytest $(WORKERS) -m "not slow"

test-all: .venv/developers
	$(BIN)/python -m pytest $(WORKERS)

fuzz: .venv/developers
	$(BIN)/python -m tests.fuzz --out build/fuzz

parity: .venv-parity/ready
	$(PARITY)/python -m pytest tests/parity

lint: .venv/developers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/shellcheck launch/*.sh .ci/run

train: .venv/users
	$(BIN)/python launch/train_all.py --preset heads --out $(RUNS)
	$(BIN)/python launch/evaluate.py --out $(RUNS)/report \
		--motion $(RUNS)/motion --actor $(RUNS)/actor --video $(RUNS)/video

assets: .venv/users
	for stage in motion autoencoder actor actor_fast video; do rm -rf data/assets/$$stage; cp -r $(RUNS)/export/$$stage data/assets/; done

clean:
	rm -rf build runs

.venv/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	touch $@

.venv/users: requirements.lock | .venv/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	touch $@

.venv/developers: requirements-dev.lock | .venv/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.lock
	touch $@

.venv-parity/ready: requirements-dev.lock requirements-parity.lock | .venv/uv
	$(PYTHON) -m venv .venv-parity
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PARITY)/python -r requirements-dev.lock
	$(PARITY)/pip install --quiet --disable-pip-version-check -r requirements-parity.lock
	touch $@
