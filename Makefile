PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# transformers 4.57 and huggingface_hub 0.36, which the text-generation client asks for
TGI_VENV ?= .venv-tgi

# Servers that annotators are tested against, each in an environment of its own.
SERVERS_VENV ?= .venv-servers

# Beside freeal-hf the methods of others that benchmarks/llm_labels.py compares with.
LABELS_VENV ?= .venv-llm_labels

# A process for each core with one thread each. The tests of a file share fixtures, and stay in one process.
IN_PARALLEL := -n logical --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-fast test-tgi test-servers quality docs dist bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.demo: pyproject.toml setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.installed: $(VENV)/.demo
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test-space,quality]'
	touch $@

demo: $(VENV)/.demo ## label the shipped shop messages and train a student on them, offline
	$(BIN)/freeal-hf demo --output-dir runs/demo

test: $(VENV)/.installed ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(IN_PARALLEL)

test-fast: $(VENV)/.installed ## run the tests that take less than ten seconds each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(IN_PARALLEL) -m 'not slow'

$(TGI_VENV)/.installed: pyproject.toml setup.cfg constraints.txt
	$(PYTHON) -m venv $(TGI_VENV)
	$(TGI_VENV)/bin/pip install --quiet --upgrade pip
	$(TGI_VENV)/bin/pip install --quiet -c constraints.txt -e '.[tgi,test]'
	touch $@

# Annotators and training, and the tests of the loop that depend on transformers most.
TGI_CORE := tests/annotators tests/training tests/test_package.py $(addprefix tests/loop/test_freeal.py::, \
	test_a_run_writes_all_documented_files \
	test_a_finished_run_makes_no_calls_when_started_again \
	test_the_student_works_in_a_transformers_pipeline)

test-tgi: $(TGI_VENV)/.installed ## run the suite's core with transformers 4.57 and the text-generation client
	OMP_NUM_THREADS=1 $(TGI_VENV)/bin/python -m pytest $(IN_PARALLEL) $(TGI_CORE)

$(SERVERS_VENV)/.installed: Makefile
	$(PYTHON) -m venv $(SERVERS_VENV)/llama
	$(SERVERS_VENV)/llama/bin/pip install --quiet 'llama-cpp-python[server]==0.3.36' 'gguf==0.19.0'
	$(PYTHON) -m venv $(SERVERS_VENV)/litellm
	$(SERVERS_VENV)/litellm/bin/pip install --quiet 'litellm[proxy]==1.108.7'
	touch $@

# Not in CI: llama-cpp-python is compiled, which takes 15 minutes on two cores.
test-servers: $(VENV)/.installed $(SERVERS_VENV)/.installed ## run the endpoint annotator against llama-cpp-python, LiteLLM and transformers serve
	SERVERS_VENV=$(abspath $(SERVERS_VENV)) $(BIN)/python -m pytest tests/annotators/test_real_servers.py tests/annotators/test_transformers_serve.py

quality: $(VENV)/.installed docs ## ruff, mypy, the import contracts and the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The notice of mkdocs-material about the end of its maintenance in 2027, see CONTRIBUTING.md.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.installed ## build the documentation in build/docs; a warning is an error
	$(BIN)/mkdocs build --quiet

# The wheel is installed in an environment of its own, which finds only the dependencies of the wheel in $(VENV).
dist: $(VENV)/.installed ## build and check the release in dist/, and run its wheel
	rm -rf dist build/lib build/wheel
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install --quiet --no-deps dist/*.whl
	echo $(abspath $(VENV))/lib/python3.*/site-packages > $$(echo build/wheel/lib/python3.*/site-packages)/dependencies.pth
	build/wheel/bin/python .ci/wheel_works.py

DATA ?= ../shared/data
BENCHMARKS := loop audited_runs student student_recipe student_precision student_speed round_cost scale scale_out annotate prompts instance_selection paper labels llm_labels candidates audit ner multi_label_student

.PHONY: $(BENCHMARKS:%=bench-%)

bench: $(BENCHMARKS:%=bench-%) ## all benchmarks (many hours); DATA=FOLDER of the corpora, ARGS=options, such as --quick

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	touch $@

bench-annotate bench-scale bench-scale_out: bench-%: $(VENV)/.bench
	$(BIN)/python benchmarks/$*.py $(ARGS)

bench-loop bench-audited_runs bench-student bench-student_recipe bench-student_precision bench-student_speed bench-round_cost bench-prompts bench-instance_selection bench-paper bench-labels bench-candidates bench-audit bench-ner bench-multi_label_student: bench-%: $(VENV)/.bench
	$(BIN)/python benchmarks/$*.py --data $(DATA) $(ARGS)

$(LABELS_VENV)/.installed: pyproject.toml setup.cfg constraints.txt
	$(PYTHON) -m venv $(LABELS_VENV)
	$(LABELS_VENV)/bin/pip install --quiet --upgrade pip
	$(LABELS_VENV)/bin/pip install --quiet -c constraints.txt -e '.[demo]' cleanlab==2.9.0 crowd-kit==1.4.2
	touch $@

bench-llm_labels: $(LABELS_VENV)/.installed
	$(LABELS_VENV)/bin/python benchmarks/llm_labels.py --data $(DATA) $(ARGS)

clean: ## remove what the targets made
	rm -rf $(VENV) $(TGI_VENV) $(SERVERS_VENV) $(LABELS_VENV) build dist *.egg-info runs
