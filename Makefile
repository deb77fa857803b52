# Everything a developer does, one word each. Each target sets up what it needs, from an empty clone on.

# Other interpreter: make PYTHON=python3.13. Words after the command: make serve ARGS="--port 9000".
PYTHON ?= python3
ARGS ?=
# Of `make release-notes`.
VERSION ?=
# Of pytest, for `make test`: most tests wait most of the time. 0 is none but itself, which -s and --pdb need.
WORKERS ?= 4
# How long `make fuzz` spends on each target, in seconds.
FUZZ_SECONDS ?= 60

VENV := .venv
PY := $(VENV)/bin/python
# Stamps live in the environment, so that they vanish with it. The name holds where we are: an editable install points
# at an absolute path, and a tree that was moved or copied must not run the code of the old one.
HERE := $(firstword $(shell pwd | cksum))
INSTALLED := $(VENV)/installed-$(HERE)
RELEASE := $(VENV)/release-$(HERE)
DEBUG := $(VENV)/debug-$(HERE)
SCHEMATHESIS := $(VENV)/schemathesis/bin/schemathesis
EXTENSION := pyproject.toml Cargo.toml Cargo.lock $(shell find rust -name fuzz -prune -o -name '*.rs' -print -o -name Cargo.toml -print)

# rustup's default place, for shells that were open before it was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Cargo alone (clippy) must look at the same Python as maturin.
export PYO3_PYTHON := $(CURDIR)/$(PY)

# An environment that happens to be active is not ours. PIP_QUIET: what is installed already needs no line.
MATURIN := env -u CONDA_PREFIX PIP_QUIET=1 VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(PY) -m maturin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Cargo and pytest share the work out themselves.
.NOTPARALLEL:
.PHONY: help serve setup setup-gst setup-browser setup-clients setup-proxies setup-c setup-dist setup-helm setup-images c page check-c debian-c build release fmt lint test bench bench-quick bench-peers bench-pinned bench-tls bench-record bench-instructions check-images check-slow dist release-notes soak fuzz fuzz-build compliance compliance-c compliance-api compliance-socketio check licenses lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Signals reach the server, and make waits for it. Make itself can only end with 0 or 2: the exit code of the server is in
# its last line, or run `.venv/bin/dscore serve`.
serve: setup ## set up from nothing if need be, then `python -m dscore serve`; words for it in ARGS="…"
	@exec $(PY) -m dscore serve $(ARGS)

setup: $(RELEASE) ## virtual environment, locked tools, optimised editable build; nothing to do when up to date

setup-gst: $(INSTALLED) ## GStreamer from the distribution, and `gi` for the environment: what the agent's pipelines need
	@scripts/setup-gst $(PY)

setup-browser: ## Chromium and its driver from the distribution, for the tests of the fleet page
	@scripts/setup-browser

setup-clients: ## what the JavaScript client and real Socket.IO clients need from npm, as locked
	@scripts/setup-clients

setup-proxies: ## nginx, HAProxy and Caddy from the distribution: the tests run what packaging/ has for them
	@scripts/setup-proxies

setup-c: ## what the C client is built and checked with, from the distribution
	@scripts/setup-c

setup-dist: $(INSTALLED) ## what wheels for other machines are built and tried with: zig, a Rust and a Python for aarch64, qemu
	@scripts/setup-dist $(PY)

setup-helm: ## Helm from the Go module proxy (needs Go), for the chart in packaging/helm
	@scripts/setup-helm

setup-images: ## buildah, Podman and a Debian made by debootstrap, to build and start the images of packaging/docker (as root)
	@scripts/setup-images

c: ## the C client (clients/c), built in build/c
	@[ -f build/c/build.ninja ] || meson setup build/c clients/c
	@meson compile -C build/c

page: setup-clients ## bundle the fleet page, clients/page, into the committed files that are served
	@scripts/page "$(CURDIR)/python/dscore/http/page"

check-c: setup ## the C client under sanitizers, valgrind and analyzers; one of them: ARGS=asan
	@scripts/check-c $(PY) $(ARGS)

debian-c: ## the C client built and unit tested in a Debian 11 that debootstrap makes (as root); another one: ARGS=trixie
	@scripts/debian-c $(ARGS)

build: $(DEBUG) ## debug build of the extension, in place

release: setup ## optimised build of the extension, in place

fmt: setup ## format Rust and Python, sort imports
	cargo fmt --all
	cargo fmt --manifest-path rust/fuzz/Cargo.toml
	$(PY) -m ruff check --quiet --select I --fix .
	$(PY) -m ruff format .

lint: setup ## clippy and ruff with warnings denied, mypy --strict, the stubs against the built module, refused words
	scripts/words
	cargo clippy --workspace --all-targets --locked $(CARGO_ARGS) -- -D warnings
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m mypy.stubtest dscore._core --mypy-config-file pyproject.toml --allowlist tests/stubtest-allowed.txt
	$(PY) -m pip check

# Not worksteal: what is timed or alone (tests/room.py) stands last, and is to come last in all workers.
test: setup ## cargo test, then pytest with warnings as errors; words for pytest in ARGS="…"
	cargo test --workspace --locked $(CARGO_ARGS)
	cargo build --release --locked --quiet -p dscore-load
	$(PY) -W error -c 'import dscore, dscore_agent'
	$(PY) -m pytest -n $(WORKERS) --dist load $(ARGS)

check: setup ## what CI runs: formatting (check only), lint, test
	cargo fmt --all --check
	cargo fmt --manifest-path rust/fuzz/Cargo.toml --check
	$(PY) -m ruff format --check .
	$(MAKE) --no-print-directory lint test

check-slow: setup setup-gst setup-browser setup-clients setup-proxies setup-c setup-helm dist setup-images ## what takes too long for every change: dist, images, tests marked slow, check-c, debian-c
	@scripts/images $(PY)
	cargo build --release --locked --quiet -p dscore-load
	$(PY) -m pytest -n $(WORKERS) --dist load -m "slow and not soak" $(ARGS)
	$(MAKE) --no-print-directory check-c debian-c ARGS=

check-images: dist setup-images ## the images of packaging/docker, built by buildah and started: health, rights, a fleet drained within 5, 10 and 30 s
	@scripts/images $(PY)
	cargo build --release --locked --quiet -p dscore-load
	$(PY) -m pytest tests/test_images.py -m slow $(ARGS)

# What a release is: dist/dscore_server-… and dist/dscore_agent-…
dist: $(INSTALLED) setup-dist ## wheels for x86-64 and aarch64, the agent's wheel and both source distributions, in dist/
	@scripts/dist $(PY)

release-notes: ## print what is unreleased; VERSION=1.2.3 makes it that version's, in the changelog and in both distributions
	@scripts/release-notes $(VERSION)

bench: setup ## all benches: micro benches, then the servers side by side (benches/README.md); half an hour
	cargo bench --workspace --bench '*' --locked
	$(PY) -m benches $(ARGS)

bench-quick: setup ## the benches at a small size, to see that they work; the numbers mean little
	cargo bench --workspace --bench '*' --locked -- --quick
	$(PY) -m benches --quick $(ARGS)

soak: setup ## the fleet tests that take minutes: kill -9, stops, clocks set, a store removed, 18,000 at once
	cargo build --release --locked --quiet -p dscore-load
	$(PY) -m pytest tests/fleet -s -m "soak or slow or not slow" $(ARGS)

bench-peers: setup ## build other people's servers to compare with, each if the machine has its tools; some minutes
	$(PY) -m benches.peers $(ARGS)

# Five minutes on a machine with nothing else to do and two processors, one for each side. Stopped, it goes on.
bench-pinned: setup ## the README's table of aims: server and fleet on a processor each, in benches/results/record
	$(PY) -m benches -k test_pinned --results record --resume $(ARGS)

# Five minutes, longer with the peers, else as the pinned one. What it is beside: make bench-peers ARGS="picows websockets ws uWebSockets.js", nginx.
bench-tls: setup ## what TLS costs: handshakes, idle agents, heartbeats, the drain, a storm; in benches/results/record
	$(PY) -m benches -k test_tls --results record --resume $(ARGS)

# A quarter of an hour on a machine with nothing else to do. Stopped, it goes on where it was.
bench-record: setup ## the README's table and pictures, in benches/results/record; others: ARGS="-k scaling"
	$(PY) -m benches -k "test_side_by_side or test_socketio" --results record --resume $(ARGS)

bench-instructions: setup ## instructions of the hot paths against benches/instructions.json (needs valgrind)
	$(PY) -m benches.instructions $(ARGS)

fuzz-build: ## build what `make fuzz` runs
	@PYTHON="$(PYTHON)" scripts/tools
	scripts/fuzz build

fuzz: ## run every fuzz target for FUZZ_SECONDS (60) each; one target: ARGS=frame
	@PYTHON="$(PYTHON)" scripts/tools
	scripts/fuzz $(FUZZ_SECONDS) $(ARGS)
	@[ -n "$(ARGS)" ] || scripts/fuzz-c $(FUZZ_SECONDS)

compliance: setup ## Autobahn's cases 1-7, 9 and 10 against a real echo server (tests/compliance/README.md)
	$(PY) -m tests.compliance $(ARGS)

compliance-c: setup c ## the same cases against the C client, by Autobahn's fuzzing server
	$(PY) -m tests.compliance.client build/c $(ARGS)

compliance-api: setup $(SCHEMATHESIS) ## Schemathesis over the operator API, with and without a token (tests/compliance/README.md)
	$(PY) tests/compliance/api.py $(ARGS)

compliance-socketio: setup ## a public Engine.IO or Socket.IO protocol suite you have fetched: SUITE=folder (needs Node)
	@test -n "$(SUITE)" || { echo 'which suite? make compliance-socketio SUITE=folder' >&2; exit 1; }
	$(PY) tests/compliance/socketio_app.py --suite "$(SUITE)"

lock: $(INSTALLED) ## renew requirements.lock from pyproject.toml
	$(PY) -m uv pip compile --quiet --universal --python-version 3.10 --no-python-downloads --group dev pyproject.toml --upgrade \
	    --no-emit-package dscore-agent --no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command 'make lock' \
	    --output-file requirements.lock

licenses: ## renew THIRD-PARTY.md from Cargo.lock: the licences of what the extension is linked of
	@scripts/licenses > THIRD-PARTY.md.new
	@mv THIRD-PARTY.md.new THIRD-PARTY.md

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist target tests/clients/node_modules clients/js/node_modules clients/page/node_modules clients/js/types rust/fuzz/target python/dscore/_core*.so

# An interpreter that has gone away (a dangling link) counts as missing, and what hung on it is made again.
$(PY):
	@PYTHON="$(PYTHON)" scripts/tools
	@echo 'Making the virtual environment $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)

$(INSTALLED): $(PY) requirements.lock python/pyproject.toml
	@echo 'Installing the locked Python packages'
	@scripts/packages $(PY)
	@touch $@

# An environment of its own: it needs a newer Python than dscore, and brings much that dscore does not.
$(SCHEMATHESIS): $(PY) tests/compliance/api-requirements.lock
	@echo 'Installing Schemathesis'
	@$(PY) -m venv --clear $(VENV)/schemathesis
	@$(VENV)/schemathesis/bin/python -m pip install --quiet --no-deps --requirement tests/compliance/api-requirements.lock
	@touch $@

$(RELEASE): $(INSTALLED) $(EXTENSION)
	@PYTHON="$(PYTHON)" scripts/tools
	$(MATURIN) develop --uv --release --locked
	@rm -f $(DEBUG)
	@touch $@

$(DEBUG): $(INSTALLED) $(EXTENSION)
	@PYTHON="$(PYTHON)" scripts/tools
	$(MATURIN) develop --uv --locked
	@rm -f $(RELEASE)
	@touch $@
