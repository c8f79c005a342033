# Everything runs in .venv, made from requirements.lock.
SHELL  := bash
.SHELLFLAGS := -o pipefail -ec
VENV   = $(CURDIR)/.venv
PYTHON ?= python3
# How many stages or trainings run at once, one thread each.
JOBS   ?= $(shell env -u OMP_NUM_THREADS nproc)
COPY   = $(or $(TMPDIR),/tmp)/squeezenet-quick-$(shell id -u)$(subst /,-,$(CURDIR))
# A regular expression: networks that `make repro` trains.
NETWORKS ?= .*
# `make quick`: five networks, 3,000 images, one epoch, and everything else in miniature; AlexNet is only trained.
FIVE   = squeezenet|simple_bypass|complex_bypass|squeezenet_11|alexnet
SMALL  = dataset.limit=3000 dataset.validation=500 train.epochs=1 authors.calibration=4 imagenet.photographs=50 \
  $(addprefix transfer.,per_class=10 test=200 epochs=1 side=64) \
  $(addprefix export.,networks=[squeezenet_1_1] images=100 photographs=4 calls=5 calibration=4) \
  $(addprefix compress.variants.squeezenet.,retrain.pruned=1000 retrain.shared=500) \
  $(addprefix advantages.variants.squeezenet.,bits=[6] images.dense=500 images.pruned=500 images.shared=500) \
  $(addprefix ~advantages.variants.squeezenet.arenas.,squeezenet_11 simple_bypass complex_bypass) \
  $(addsuffix .variants.alexnet,~compress ~advantages)

export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
export DVC_NO_ANALYTICS := 1
export KERAS_BACKEND ?= tensorflow
export XLA_PYTHON_CLIENT_PREALLOCATE := false
# DVC asks for the user's name, which a container may not know.
export LOGNAME ?= $(or $(USER),$(shell id -un 2> /dev/null),$(shell id -u))
# DVC runs stages in $SHELL, which may be a login shell of another syntax.
export SHELL
# oneDNN is faster on CPUs without AVX-512 too, where its default is off.
export TF_ENABLE_ONEDNN_OPTS := 1
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help venv jax torch unlock repro evidence train communication lint test test-all prove bench quick lab lock

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

venv: # made anew when the lock file differs from the one it was made from, or when it was moved
	@cmp -s requirements.lock "$(VENV)/requirements.lock" \
	  && PIP_CONFIG_FILE=/dev/null "$(VENV)/bin/pip" --version > /dev/null 2>&1 || { \
	  { test ! -e "$(VENV)" || test -e "$(VENV)/pyvenv.cfg"; } || { echo "$(VENV) was not made by python -m venv: remove it, or give another VENV="; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	    || { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }; \
	  echo "Making $(VENV) from requirements.lock: some minutes" \
	    && $(PYTHON) -m venv --clear "$(VENV)" \
	    && "$(VENV)/bin/pip" --disable-pip-version-check install -q --require-hashes -r requirements.lock \
	    && "$(VENV)/bin/pip" --disable-pip-version-check install -q --no-deps --no-build-isolation -e . \
	    && cp requirements.lock "$(VENV)/"; }

jax: ## add JAX to .venv: KERAS_BACKEND=jax then trains on it
torch: ## add PyTorch to .venv, which `make bench` compares with: some GB
jax torch: venv
	@cmp -s requirements-$@.lock "$(VENV)/requirements-$@.lock" || { \
	  "$(VENV)/bin/pip" --disable-pip-version-check install -q --require-hashes -r requirements-$@.lock \
	    && cp requirements-$@.lock "$(VENV)/"; }

# If DVC is killed while it writes this file, the file stays empty, and DVC refuses it from then on.
NOTED = test ! -e .dvc/tmp/rwlock || "$(VENV)/bin/python" -m json.tool .dvc/tmp/rwlock /dev/null 2>&1

# A kill while DVC writes dvc.lock leaves half of it. What the lost half knew is in DVC's cache of runs.
unlock: venv
	@git rev-parse -q --verify HEAD:./dvc.yaml > /dev/null \
	  || { echo "DVC needs a commit that git can read; in an unpacked ZIP: git init && git add . && git commit -m ZIP"; exit 1; }
	@$(NOTED) || sleep 1; $(NOTED) || rm .dvc/tmp/rwlock
	@! { dvc stage list --name-only 2>&1 || true; } | grep -q 'dvc\.lock.* \(failed\|invalid\)' \
	  || { echo "dvc.lock is damaged: it is taken from git again"; git checkout -q HEAD -- dvc.lock; }

# Runs the stages listed on stdin, several lines at once, the stages of a line in order. It prints the name of each stage
# that is done; data/logs keeps what they print.
STAGES = dvc stage list --name-only | grep -xE '[a-z]+|[a-z]+@($(NETWORKS))'
REPRO  = xargs -P $(1) -I{} sh -c 'for stage in {}; do \
  dvc --wait-for-lock repro -s $$stage >> data/logs/$$stage.log 2>&1 && echo $$stage || { \
    tail -n 50 data/logs/$$stage.log >&2; \
    echo "Stage $$stage failed: data/logs/$$stage.log has all of it" >&2; exit 255; }; done'
# A network is compressed once it is trained: AlexNet, which takes longest, beside the trainings of others. Stages authors
# and imagenet download the same file, so they run one after the other.
LINES  = awk -F@ '{of = $$NF == "authors" ? "imagenet" : $$NF} !(of in line) {name[++n] = of} \
  {line[of] = line[of] " " $$0} END {for (; n; n--) print line[name[n]]}'

# Stage export times single images: it runs alone. LiteRT and ONNX are made by TensorFlow, whatever trained the networks.
repro: unlock ## reproduce the paper: data, every variant, the report; JOBS= stages run at once
	@git diff --quiet HEAD -- notebooks || echo "Notebooks run as they are saved: git checkout notebooks undoes edits"
	@mkdir -p data/logs
	@all="$$($(STAGES))"; [[ "$$all" == *train@* ]] || { echo "params.yaml has no network NETWORKS=$(NETWORKS)"; exit 1; }; \
	{ printf 'code\ndataset\n' | $(call REPRO,1) \
	  && echo "$$all" | grep -vxE 'code|dataset|export|report|advantages@.*' | $(LINES) | $(call REPRO,$(JOBS)) \
	  && export KERAS_BACKEND=tensorflow && echo "$$all" | sed -n /^advantages@/p | $(call REPRO,$(JOBS)) \
	  && printf 'export\nreport\n' | $(call REPRO,1); } | tqdm --unit " stages" --total "$$(echo "$$all" | wc -l)"
	@grep -ho '[^"]*be downloaded[^"\]*' data/runs/*.ipynb | sort -u || true
	@echo "The networks trained here: $(CURDIR)/reports/your_run.md, the notebooks that ran: $(CURDIR)/data/runs"
	@echo "The report on the recorded runs, with this run at its end: $(CURDIR)/reports/report.html"

evidence: venv ## the recorded runs: train what has no row in data/evidence yet; RUN= names some of them
	python -m replication.train $(RUN) | xargs -r -P $(JOBS) -L 1 papermill --no-progress-bar

train: venv ## one training of a recorded run, compared with its row: RUN=photographs VARIANT=squeezenet SEED=0
	python -m replication.train $(or $(RUN),photographs) --variant $(or $(VARIANT),squeezenet) --seed $(or $(SEED),0) \
	  | xargs -r -L 1 papermill --no-progress-bar --log-output

communication: jax unlock ## what two processes send each other in training, counted once; each network leaves a row for git
	dvc repro dataset
	KERAS_BACKEND=jax python -m benchmarks.communication

quick: unlock ## try `make repro` on the last commit, in a copy: five networks, 3,000 images
	@git diff --quiet HEAD || echo "Not in the copy, as they are not committed:" $$(git diff --name-only HEAD)
	@test ! -e "$(COPY)" || test -L "$(COPY)/data/external" \
	  || { echo "$(COPY) was not made by make quick: remove it, or give another COPY="; exit 1; }
	@rm -rf "$(COPY)" && git clone -q . "$(COPY)" && mkdir -p data/external && ln -s "$(CURDIR)/data/external" "$(COPY)/data/"
	@echo "Getting CIFAR-10, 170 MB if it is not here yet: $(COPY)/data/logs/dataset.log"
	@cd "$(COPY)" && mkdir -p data/logs && { dvc exp run $(addprefix -S ,$(SMALL)) code dataset > data/logs/dataset.log 2>&1 \
	  || { tail -n 50 data/logs/dataset.log >&2; exit 1; }; }
	@cd "$(COPY)" && $(MAKE) -o venv --no-print-directory repro VENV="$(VENV)" NETWORKS="$(FIVE)"

# Two workers; a file's tests stay together, as they share what its fixtures make.
PYTEST = pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: venv
	ruff format --check . && ruff check .
	nbstripout --verify --keep-id --extra-keys "metadata.papermill cell.metadata.papermill metadata.language_info" notebooks/*.ipynb
	pytest --collect-only -qq tests/prove

test: lint ## format, lint, notebooks without outputs, unit tests, the pipeline in miniature: five to seven minutes
	$(PYTEST) -m "not slow"

test-all: jax torch lint ## test, and kills, second clones, JAX, two processes against one, PyTorch: twelve minutes
	$(PYTEST)

prove: venv ## stress tests: kills, damaged files, wrong parameters, other environments: half an hour; docs/reliability.md
	pytest -s -v tests/prove/test_{parameters,files,places,kills}.py --table docs/reliability.md

bench: jax torch unlock ## benchmark the speed against alternatives, where not measured yet: hours; docs/benchmarks.md
	dvc repro dataset
	for topic in inference speed recipes page; do python -m benchmarks.$$topic || exit; done

lab: unlock ## open the notebooks in JupyterLab; CIFAR-10 is downloaded first
	test -e data/dataset/cifar10/dataset.json || dvc repro dataset
	jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root)

# Extras stay: a package that requests an unpinned one would get its newest release, which has no hash here.
COMPILE = uv pip compile --universal --fork-strategy fewest --python-version 3.11 --upgrade \
  --generate-hashes --no-emit-index-url --no-annotate --no-strip-extras --custom-compile-command "make lock"

lock: venv ## renew requirements.lock, requirements-jax.lock and requirements-torch.lock
	$(COMPILE) pyproject.toml --all-extras -o requirements.lock
	$(COMPILE) --group jax -c requirements.lock -o requirements-jax.lock
	$(COMPILE) --group torch -c requirements.lock -o requirements-torch.lock
