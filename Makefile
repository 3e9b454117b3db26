# Every target works on an empty machine with Python 3.11, pip and make, twice in a row.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TOOLS  := .venv-tools/bin
DEMO   := .demo

RECIPES := startup hostile damage concepts_samples concepts_choices concepts_runtime concepts_openvino \
	backbones interop index_speed query_speed latency crash world_speed train_speed world_mini samples_mini \
	mini_speed eval_runtime faults fuzz serve_load serve_security serve_browser scale_1m sharded_topk \
	ray_index bench_peers

.PHONY: demo test check docs results lock audit sbom clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The whole main path: weights, sample clips, index, six questions answered with times.
demo: $(VENV)/.ready
	$(BIN)/kinoscope setup
	$(BIN)/kinoscope samples --to $(DEMO)/clips
	$(BIN)/kinoscope index $(DEMO)/clips --index $(DEMO)/index
	$(BIN)/kinoscope search - -k 3 --index $(DEMO)/index < docs/demo_questions.txt

test: check
	$(BIN)/kinoscope setup
	$(BIN)/kinoscope setup mini
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile  # tiny models gain nothing by more

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Rewrites every generated page (tests fail when one is stale).
docs: $(VENV)/.ready
	$(BIN)/python -m recipes.write_docs

# Measures saved results again, but those that need the folder of a training. Each recipe also runs
# alone: python -m recipes.NAME. The sprites of the generated world come by npm and apt-get;
# serve_browser needs a Chromium, ray_index the extra [cluster]; bench_peers fetches other tools.
results: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[dev,runtimes,fuzz]'
	$(BIN)/kinoscope setup
	$(BIN)/kinoscope setup mini
	$(BIN)/kinoscope world fetch
	for name in $(RECIPES); do \
		$(BIN)/python -m recipes.$$name || exit 1; done

# Tools that look at dependencies from outside, in an environment of their own.
.venv-tools/.ready:
	$(PYTHON) -m venv .venv-tools
	$(TOOLS)/python -m pip install --quiet 'pip-tools>=7.6,<8' 'pip-audit>=2.10,<3' 'cyclonedx-bom>=7.5,<8'
	touch $@

# Pins what `pip install .` brings, with the hashes of all its files. PyTorch is the user's choice.
lock: .venv-tools/.ready
	$(TOOLS)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header --no-emit-options \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--output-file requirements.lock pyproject.toml

# Asks the registry which pinned packages have known holes; fails where it cannot say.
audit: .venv-tools/.ready
	$(TOOLS)/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

sbom: .venv-tools/.ready
	mkdir -p build
	$(TOOLS)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --of JSON --output-file build/sbom.cdx.json

clean:
	rm -rf $(VENV) .venv-tools $(DEMO) build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
