# One word runs each chore. Every target creates .venv if it is missing or out of date.
PYTHON   ?= python3
PIP_ARGS ?=
VENV     := .venv
BIN      := $(VENV)/bin
# Twice quiet: errors are shown, warnings (root, cache, versions) are not.
PIP      := $(BIN)/python -m pip install -qq --disable-pip-version-check --root-user-action=ignore $(PIP_ARGS)
TORCH    := $(shell sed -n 's/^torch==//p' constraints.txt)

help:                               ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name words; do \
		printf '%-11s %s\n' "$$name" "$$words"; done

.PHONY: help demo test slow imitation imitated faults quality independent diagnosis findings remedies throughput speedrun waiting watching studio studies figures importing quick bench check lint docs format clean

demo: $(VENV)/core.stamp            ## train quick-mnist for a minute and open its report
	@$(BIN)/genlab train quick-mnist --minutes 1
	@$(BIN)/genlab open

test: $(VENV)/dev.stamp             ## the tests; a quarter of an hour on two shared cores
	@$(BIN)/python tests/instructions.py
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q

slow: $(VENV)/dev.stamp             ## the slow tests: 200 steps of every recipe, the wheel in a notebook; half an hour
	@$(BIN)/python tests/instructions.py
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m slow -q

IMITATED := tests/test_golden.py tests/engine/test_engine.py tests/engine/test_calibrate.py tests/bench/test_bench.py tests/runs/test_provenance.py
TRIED    := .pytest_cache/imitation

imitation: $(VENV)/dev.stamp        ## some tests, the benchmark and a training, as on a smaller processor
	@$(BIN)/python tests/instructions.py $(MAKE) --no-print-directory imitated

imitated:
	@$(BIN)/python tests/instructions.py
	@$(BIN)/python -m pytest -n 2 -q $(IMITATED)
	@rm -rf $(TRIED) && mkdir -p $(TRIED)
	@XDG_CACHE_HOME=$(TRIED) $(BIN)/genlab bench
	@XDG_CACHE_HOME=$(TRIED) $(BIN)/genlab train quick-mnist --budget.max_steps 20 --logging.evaluation cheap --runs $(TRIED)/runs

faults: $(VENV)/dev.stamp           ## a thousand kills and whatever else may go wrong; up to half an hour; writes benchmarks/records
	$(BIN)/python benchmarks/faults.py

quality: $(VENV)/core.stamp         ## quality of the recipes over seeds; an hour; writes benchmarks/records
	$(BIN)/python benchmarks/quality.py

independent: $(VENV)/core.stamp     ## the quick recipes by a judge on which nothing was tuned; half an hour; writes benchmarks/records
	$(BIN)/python benchmarks/independent.py

diagnosis: $(VENV)/core.stamp       ## the labelled set of failing and healthy trainings; hours, resumable; writes benchmarks/records/diagnosis
	$(BIN)/python benchmarks/diagnosis.py

findings: $(VENV)/core.stamp        ## a picture of each finding; 20 minutes; writes docs/findings
	$(BIN)/python benchmarks/findings.py

remedies: $(VENV)/core.stamp        ## remedies that the diagnosis proposes for six failures, eight seeds each; an hour, resumable; writes studies/results
	$(BIN)/python -m genlab study run studies/remedies.yaml --runs runs

studies: $(VENV)/core.stamp         ## the studies of the five reports: trains any missing runs, then writes the pages
	$(BIN)/python studies/reports/run.py

figures: $(VENV)/core.stamp         ## the figures of the five reports in the reports' layouts; two hours, resumable; writes docs/reports
	$(BIN)/python studies/reports/figures.py

throughput: $(VENV)/core.stamp      ## step times compared with the reports' own loops; ten minutes on an idle machine; writes benchmarks/records
	$(BIN)/python benchmarks/throughput.py

speedrun: $(VENV)/core.stamp        ## time to quality, five seeds; most of an hour; writes benchmarks/RECORDS.md
	$(BIN)/python benchmarks/speedrun.py

waiting: $(VENV)/core.stamp         ## start-up time, memory, and the cost of other work; five minutes; writes benchmarks/records
	$(BIN)/python benchmarks/waiting.py

studio: $(VENV)/dev.stamp           ## speed of the studio, and what 100 pages cost a training; half an hour; writes benchmarks/records
	$(BIN)/python benchmarks/studio.py

watching: $(VENV)/core.stamp        ## cost of watching and diagnosing a training; three minutes; writes benchmarks/records
	$(BIN)/python benchmarks/watching.py

importing: $(VENV)/core.stamp       ## import of 100,000 pictures in bounded memory, killed and resumed; six minutes; writes benchmarks/records
	$(BIN)/python benchmarks/importing.py

quick: $(VENV)/core.stamp           ## what the recipe quick reaches in three minutes on three datasets, and the cost of 64 pixels; half an hour; writes benchmarks/records
	$(BIN)/python benchmarks/quick.py

bench: throughput speedrun waiting  ## throughput, speedrun and waiting; nothing else should run meanwhile

lint: $(VENV)/dev.stamp             ## style and types
	$(BIN)/ruff check src tests benchmarks studies
	$(BIN)/ruff format --check src tests benchmarks studies
	$(BIN)/mypy

check: lint test                    ## all that main must pass

docs: $(VENV)/core.stamp            ## docs/api.md from the docstrings
	$(BIN)/python docs/api.py

format: $(VENV)/dev.stamp           ## let ruff fix the style
	$(BIN)/ruff check --fix src tests benchmarks studies
	$(BIN)/ruff format src tests benchmarks studies

clean:                              ## remove what was built; runs/ stays
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# torch is installed first, by its exact version: a bare "torch" may bring several gigabytes. An installed one is kept.
$(VENV)/torch.stamp: constraints.txt
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '$(TORCH)')" 2>/dev/null \
	|| { echo "installing torch $(TORCH)"; $(PIP) torch==$(TORCH); }
	@touch $@

$(VENV)/core.stamp: $(VENV)/torch.stamp pyproject.toml
	@echo "installing genlab"
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/torch.stamp pyproject.toml
	@echo "installing genlab with its development tools"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/core.stamp
