# SPDX-License-Identifier: GPL-3.0-or-later
# All commands of this repository; `make` alone lists them. Every one but `clean` makes the environment first.
#
#   make setup PYTHON=python3.13     with Blender 5.2 in place of 5.0, which Python 3.11 gives
#   make setup TORCH=default         with the index's own torch (on Linux: CUDA, several GB)
#   make setup TORCH_INDEX=URL       look for the CPU build of torch in one more package index
#   make test TESTS=tests/audio      only some tests
#   make films FILM=stage            only one of the example films: compositor, stage or sequencer
#   make films SHORT=1               drafts: three seconds of each at half the size; FRAMES=190-260 for other frames
#   make films STILLS=1              only the pictures of the strips, and no films
#   make fuzz SECONDS=600 TARGETS=patch    ten minutes, one reader
#   make test-window WINDOW=folder   the folder with window.sh, a Blender on a virtual screen
#   make train DATA=silk SIZE=128 SECONDS=1320 OUT=folder MORE="--this-call 540"
#   make test-blender VERSIONS="4.5 5.2" TESTS=tests/blender/test_curves.py

PYTHON ?=
TORCH ?=
TORCH_INDEX ?=
TESTS ?=
DATA ?=
SIZE ?=
SECONDS ?=
OUT ?=
MORE ?=
VERSIONS ?=
BLENDERS ?= .venv-blender
TARGETS ?=
WINDOW ?= ../shared/blender-gui
FILM ?= compositor stage sequencer
FRAMES ?=
SHORT ?=
STILLS ?=

ifeq ($(OS),Windows_NT)
SYSTEM_PYTHON := python
BIN := Scripts
else
SYSTEM_PYTHON := python3
BIN := bin
endif
PYTHON_IN_VENV := .venv/$(BIN)/python
ENGINE_PYTHON := .venv-engine/$(BIN)/python

# Where torch has an environment of its own, this names it to Blender and the tests.
WITH_ENGINE = if [ -x $(ENGINE_PYTHON) ]; then \
	export STYLEGAN_REACTIVE_PYTHON="$${STYLEGAN_REACTIVE_PYTHON:-$$PWD/$(ENGINE_PYTHON)}"; fi;

.DEFAULT_GOAL := help
.PHONY: fuzz help setup demo films docs test test-blender test-window tutorial lint soak bench bench-audio eval-audio bench-generator farm extension assets train clean

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18
	@sed -n 's/^#   make /            make /p' $(MAKEFILE_LIST)

setup:  ## make .venv from requirements.lock (fast when nothing changed)
	@$(SYSTEM_PYTHON) -S tools/setup_environment.py --python "$(PYTHON)" --torch "$(TORCH)" --torch-index "$(TORCH_INDEX)"

demo: setup  ## render the built-in song into examples/out/demo.mp4
	@$(WITH_ENGINE) $(PYTHON_IN_VENV) examples/demo.py

films: setup  ## render the three example films into examples/out/films/, and their strips into docs/films/
	@$(WITH_ENGINE) for film in $(FILM); do echo "== $$film"; $(PYTHON_IN_VENV) examples/films/$$film.py \
		$(if $(SHORT),--short) $(if $(STILLS),--stills) $(if $(FRAMES),--frames $(FRAMES)) \
		$(if $(SHORT)$(FRAMES),,--docs) || exit 1; done

docs: demo  ## put the demo's pictures into docs/, and draw the presets and the built-in networks
	@mkdir -p docs && cp examples/out/strip.jpg docs/demo.jpg && cp examples/out/curves.png docs/curves.png
	@python=$(PYTHON_IN_VENV); if [ -x $(ENGINE_PYTHON) ]; then python=$(ENGINE_PYTHON); fi; "$$python" tools/draw_presets.py && "$$python" tools/draw_networks.py

test: setup  ## run all tests, or those named by TESTS=...
	@$(WITH_ENGINE) $(PYTHON_IN_VENV) -m pytest $(TESTS)
	@if [ -x $(ENGINE_PYTHON) ] && [ -z "$(TESTS)" ]; then $(ENGINE_PYTHON) -m pytest; fi

test-blender: setup  ## run the tests of Blender's room on Blender 4.5, 5.0, 5.1 and 5.2, or those named by VERSIONS=...
	@$(WITH_ENGINE) $(SYSTEM_PYTHON) -S tools/test_blender.py --versions "$(VERSIONS)" --folder "$(BLENDERS)" $(TESTS)

# The engine's Python for the window: torch may be in an environment of its own.
IN_WINDOW = python=$(PYTHON_IN_VENV); if [ -x $(ENGINE_PYTHON) ]; then python=$(ENGINE_PYTHON); fi; \
	$(PYTHON_IN_VENV) tools/drive_window.py --window "$(WINDOW)" --python "$${STYLEGAN_REACTIVE_PYTHON:-$$PWD/$$python}"

test-window: setup  ## drive a real Blender window through a first film; needs WINDOW=folder of its set-up
	@$(IN_WINDOW)

tutorial: setup  ## take the pictures of docs/tutorial.md from the real window
	@$(IN_WINDOW) --tutorial docs/tutorial

fuzz: setup  ## try damaged files on every reader, guided by what they reach: SECONDS=600 each, TARGETS="patch song"
	@python=$(PYTHON_IN_VENV); if [ -x $(ENGINE_PYTHON) ]; then python=$(ENGINE_PYTHON); fi; \
		"$$python" tools/fuzz.py --environment .venv-fuzz --seconds $(or $(SECONDS),60) $(TARGETS)

lint: setup  ## check style, format and types
	@$(PYTHON_IN_VENV) -m ruff check
	@$(PYTHON_IN_VENV) -m ruff format --check
	@$(PYTHON_IN_VENV) -m mypy

bench: setup  ## run every benchmark in benchmarks/
	@for file in benchmarks/*.py; do echo "== $$file"; python=$(PYTHON_IN_VENV); \
		if [ -x $(ENGINE_PYTHON) ] && grep -q '^import torch' "$$file"; then python=$(ENGINE_PYTHON); fi; \
		PYTHONPATH=. "$$python" "$$file" || exit 1; done

bench-audio: setup  ## time and memory of hearing five minutes and an hour, beside librosa
	@PYTHONPATH=. $(PYTHON_IN_VENV) benchmarks/audio.py --all

eval-audio: setup  ## how well songs are heard of which everything is known, beside librosa
	@PYTHONPATH=. $(PYTHON_IN_VENV) benchmarks/audio_accuracy.py --all

bench-generator: setup  ## time StyleGAN2 from 64 to 1024 px beside a textbook version
	@python=$(PYTHON_IN_VENV); if [ -x $(ENGINE_PYTHON) ]; then python=$(ENGINE_PYTHON); fi; \
		PYTHONPATH=. "$$python" benchmarks/generator.py --all

farm: setup  ## render a short film as render farms do, in several processes, and compare it with one in one go
	@$(WITH_ENGINE) $(PYTHON_IN_VENV) tools/farm.py

extension: setup  ## build the zip for Blender in build/ and validate it
	@$(PYTHON_IN_VENV) tools/build_extension.py

NETWORK_SCRIPTS := tools/make_generator.py tools/make_bloom.py

assets: setup  ## make the built-in song and the built-in networks again
	@$(PYTHON_IN_VENV) tools/make_song.py
	@python=$(PYTHON_IN_VENV); if [ -x $(ENGINE_PYTHON) ]; then python=$(ENGINE_PYTHON); fi; \
		for file in $(NETWORK_SCRIPTS); do "$$python" $$file || exit 1; done

train: setup  ## train a generator on pictures of formulas, or go on with it (docs/training.md); best on a large GPU
	@python=$(PYTHON_IN_VENV); if [ -x $(ENGINE_PYTHON) ]; then python=$(ENGINE_PYTHON); fi; "$$python" -m training \
		$(if $(DATA),--data "$(DATA)") $(if $(SIZE),--size "$(SIZE)") $(if $(SECONDS),--seconds "$(SECONDS)") \
		$(if $(OUT),--out "$(OUT)") $(MORE)

soak: setup  ## the long run: FRAMES=20000 pictures with crashes, while memory is watched (Linux)
	@$(WITH_ENGINE) PYTHONPATH=. $(PYTHON_IN_VENV) tools/soak.py --frames $(or $(FRAMES),20000)

clean:  ## delete .venv, .venv-engine, .venv-blender, .venv-farm, .venv-fuzz, build/, examples/out/ and all caches
	@rm -rf .venv .venv-engine .venv-blender .venv-farm .venv-fuzz build examples/out .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
