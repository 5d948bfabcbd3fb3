# Rollcall. Needs Rust, a C compiler, Python 3.11 or newer with venv, Node.js 20 or newer with npm, curl, and make; the
# rest is put below target/ and, for what Node.js looks up by folders, into node_modules beside each package.json.

CARGO  := cargo
PYTHON := python3
NPM    := npm

FUNCTIONS       := $(patsubst functions/%/Cargo.toml,%,$(wildcard functions/*/Cargo.toml))
# What a function must not link, and what core must do without: names of crates.
NOT_IN_FUNCTION := axum|clap|clerk-emulator|comfy-table|dialoguer|dynoxide-rs|indicatif|rollcall-cli|rollcall-migrate|rollcall-tests|utoipa
NOT_IN_CORE     := aws-config|aws-sdk-[a-z]+|hyper|reqwest|rustls|svix|tokio

CARGO_DENY := 0.20.2
VENV       := target/venv
BIN        := $(VENV)/bin
CHECKOV    := target/checkov
CLOUD      := target/cloud
API        := target/api-venv
BUILD      := $(or $(CARGO_TARGET_DIR),target)

# SAM asks for a region and would keep a file in the home directory and report its use.
export AWS_DEFAULT_REGION      ?= us-east-1
export SAM_CLI_TELEMETRY       := 0
export __SAM_CLI_APP_DIR       := $(CURDIR)/target/sam
export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The processors that Lambda offers, and this machine's in Lambda's words.
ARCHITECTURES := arm64 x86_64
MACHINE       := $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)

.PHONY: help dev test controls check lint format clippy core links rustdoc docs template checkov frontend browser api-test rust deny bench bench-reconcile bench-purges bench-capped build
.PHONY: build-arm64 build-x86_64 cloud cloud-test
.NOTPARALLEL:

help:
	@echo 'make dev [ARGS=…]  start the local stack (`rollcall dev`)'
	@echo 'make test          run every test that needs no cloud'
	@echo 'make check         the checks that find most errors, in two minutes: format, clippy, unit tests, the core alone'
	@echo 'make lint          format, clippy, dependencies of core and functions, rustdoc'
	@echo 'make docs          write docs/cli.md, docs/configuration.md, docs/openapi.json and the types of the client from the code'
	@echo 'make template      check template.yaml and docs/openapi.json'
	@echo 'make checkov       check it for what is insecure, which `make template` does, too'
	@echo 'make frontend      lint docs/openapi.json, test the TypeScript client and its examples'
	@echo 'make browser       drive the React example in Chromium, against the local stack'
	@echo 'make api-test      call every route with good and bad sessions, and hold the answers against docs/openapi.json'
	@echo 'make deny          check licences, sources and bans of all dependencies'
	@echo 'make controls      switch off the check of one invariant after another, and expect that a test of it fails'
	@echo 'make bench         measure'
	@echo 'make bench-reconcile [USERS=1000000]  reconcile a large instance, measured'
	@echo 'make bench-purges  purge deleted users with heavy rows, measured'
	@echo 'make build [ARCHITECTURES=arm64]  build the functions for AWS, by default for both of its processors'
	@echo 'make cloud         deploy template.yaml to a local AWS, with the emulator for Clerk, and wait for Ctrl-C'
	@echo 'make cloud-test [ARGS=…]  deploy template.yaml to a local AWS and play the acceptance scenarios there'

# Cargo's progress and the logs go to standard error; standard output belongs to the command.
dev:
	@$(CARGO) run --locked -p rollcall-cli --bin rollcall -- dev $(ARGS)

# The order is from quick to slow, and the closing line of the integration tests is the last.
test: $(VENV)/.installed $(CHECKOV)/.installed $(API)/.installed lint template frontend api-test rust

# For each change while it is made; `make test` is for a merge. The tests are those of `make rust`, without the scenarios.
check: format clippy core
	@date '+--- %T unit tests'
	$(CARGO) test --locked --workspace --lib --bins -q

lint: format clippy core links rustdoc

format:
	@date '+--- %T format'
	$(CARGO) fmt --all --check

clippy:
	@date '+--- %T clippy'
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# Core does no IO: it compiles without the crates that could.
core:
	@date '+--- %T core'
	@mkdir -p target
	$(CARGO) check --locked -q -p rollcall --no-default-features
	$(CARGO) tree --locked -p rollcall --no-default-features -e normal --prefix none > target/core.tree
	! grep -nE '^($(NOT_IN_CORE)) ' target/core.tree

# What development needs never reaches AWS.
links:
	@date '+--- %T links'
	@mkdir -p target
	for function in $(FUNCTIONS); do \
	  $(CARGO) tree --locked -p $$function -e normal --prefix none > target/$$function.tree || exit 1; \
	  ! grep -nE '^($(NOT_IN_FUNCTION)) ' target/$$function.tree || exit 1; \
	done
	for package in $(FUNCTIONS) rollcall-cli; do \
	  $(CARGO) tree --locked -p $$package -e normal --prefix none -f '{lib} {f}' > target/$$package.features || exit 1; \
	  grep -q '^rollcall ' target/$$package.features || exit 1; \
	  ! grep -n '^rollcall .*controls' target/$$package.features || exit 1; \
	done

rustdoc:
	@date '+--- %T rustdoc'
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --workspace --no-deps -q

# A test of the cli fails while the page is another one.
docs: clients/typescript/node_modules/.installed
	$(CARGO) build --locked -q --workspace --bins
	$(BUILD)/debug/rollcall manual > target/cli.md
	mv target/cli.md docs/cli.md
	$(BUILD)/debug/rollcall settings --markdown > target/configuration.md
	mv target/configuration.md docs/configuration.md
	ROLLCALL_WRITE_OPENAPI=1 $(CARGO) test --locked -q --workspace --test it -- account::openapi
	cd clients/typescript && $(NPM) run -s openapi

# The list of variables comes from the code. It is built with the whole workspace, because a build of one package
# chooses other features of its dependencies and compiles most of them again.
template: $(VENV)/.installed checkov
	@date '+--- %T template'
	$(CARGO) build --locked -q --workspace --bins
	$(BUILD)/debug/rollcall settings --json > target/variables.json
	$(BIN)/sam validate --lint
	$(BIN)/cfn-lint template.yaml docs/examples/own-tables/template.yaml docs/examples/operators/template.yaml
	ROLLCALL_VARIABLES=$(CURDIR)/target/variables.json $(BIN)/pytest -q -p no:cacheprovider tests/template
	$(BIN)/openapi-spec-validator docs/openapi.json

# What is excepted, and why, is in its settings. A template that it cannot read has no faults either, hence the last line.
checkov: $(CHECKOV)/.installed
	@date '+--- %T checkov'
	$(CHECKOV)/bin/checkov --config-file tests/template/checkov.yaml > $(CHECKOV)/found || { cat $(CHECKOV)/found; exit 1; }
	grep 'Passed checks: [1-9]' $(CHECKOV)/found

# The document that the client's types come from, the client alone, then with the local stack, then the examples in docs/
# that use it: checked, that of React run, and Clerk's own code with the local stack.
frontend: clients/typescript/node_modules/.installed docs/examples/node_modules/.installed
	@date '+--- %T frontend'
	$(CARGO) build --locked -q --workspace --bins
	cd clients/typescript && $(NPM) run -s lint:openapi && $(NPM) test && ROLLCALL_BIN=$(abspath $(BUILD))/debug/rollcall $(NPM) run test:e2e
	cd docs/examples && $(NPM) run check && $(NPM) test && ROLLCALL_BIN=$(abspath $(BUILD))/debug/rollcall $(NPM) run test:stack

# Not a part of `make test`, as it needs a Chromium: Debian's package chromium, or the path of another in CHROMIUM.
browser: clients/typescript/node_modules/.installed docs/examples/node_modules/.installed docs/examples/test/browser/node_modules/.installed
	@date '+--- %T browser'
	$(CARGO) build --locked -q --workspace --bins
	cd clients/typescript && $(NPM) run -s build && $(NPM) run -s build:test
	cd docs/examples/test/browser && ROLLCALL_BIN=$(abspath $(BUILD))/debug/rollcall $(NPM) test

%/node_modules/.installed: %/package-lock.json
	cd $* && $(NPM) ci --no-audit --no-fund --loglevel=error
	touch $@

# Some 3,100 requests of schemathesis in half a minute, the same ones in each run.
api-test: $(API)/.installed
	@date '+--- %T api'
	$(CARGO) build --locked -q --workspace --bins
	ROLLCALL_BIN=$(abspath $(BUILD))/debug/rollcall $(API)/bin/pytest -q -p no:cacheprovider tests/api $(ARGS)

# Three integration binaries, all named `it`, and they run last: the emulator's, which is a product of its own, the migration inputs',
# whose fixtures lie beside them, and Rollcall's. Another one would be forgotten here, so there must be none.
rust: $(VENV)/.installed
	@date '+--- %T rust'
	! ls -d */tests functions/*/tests 2>/dev/null | grep -vxE '(emulator|migrate)/tests' | grep .
	$(CARGO) test --locked --workspace --lib --bins
	$(CARGO) test --locked --workspace --doc
	@date '+--- %T integration'
	$(CARGO) build --locked -q --workspace --bins
	PATH="$(CURDIR)/$(BIN):$$PATH" $(CARGO) test --locked --workspace --test it

# Each invariant once without its check: a test of it must fail. Not a part of `make test`, as it takes a quarter of an hour.
controls:
	@$(PYTHON) tests/controls/run.py $(ARGS)

# Advisories are left out: their database is fetched from the network on every run, and the tests must not depend on
# what was published today. With a network: target/tools/bin/cargo-deny check advisories
deny: target/tools/bin/cargo-deny
	@date '+--- %T deny'
	target/tools/bin/cargo-deny --locked check bans licenses sources

# The functions are built for themselves: together with the bench they would get features that they do not ship with. The local
# stack needs no release build, and the one of the tests will do. With Node.js and npm, the same handler is measured there, too.
bench:
	@$(CARGO) build --locked --release $(addprefix -p ,$(FUNCTIONS))
	@$(CARGO) build --locked -q --workspace --bins
	@$(CARGO) run --locked -q --release -p rollcall-bench -- $(ARGS) $(FUNCTIONS)

# From 10,000 users up they are generated on demand: the stack needs as much memory as its DynamoDB holds.
bench-reconcile:
	@$(CARGO) build --locked --release -p reconcile
	@$(CARGO) build --locked -q --workspace --bins
	@$(CARGO) run --locked -q --release -p rollcall-bench -- --reconcile $(or $(USERS),1000000)

# The first invocation as Lambda gives it the share of a core of 128 and 256 MB, where a control group can be made. EARLIER is a
# folder with other release binaries, to compare.
bench-capped:
	@$(CARGO) build --locked --release $(addprefix -p ,$(FUNCTIONS))
	@$(CARGO) run --locked -q --release -p rollcall-bench -- --capped $(EARLIER)

# Eight deleted users with heavy rows, purged at once: what reconcile needs in memory.
bench-purges:
	@$(CARGO) build --locked --release -p reconcile
	@$(CARGO) build --locked -q --workspace --bins
	@$(CARGO) run --locked -q --release -p rollcall-bench -- --purges

# Into target/lambda/<processor>/<function>/bootstrap.
build: $(addprefix build-,$(ARCHITECTURES))

build-arm64 build-x86_64: build-%: $(VENV)/.installed-build
	@date '+--- %T build for $*'
	PATH="$(CURDIR)/$(BIN):$$PATH" $(CARGO) lambda build --locked --release --$(subst _,-,$*) \
	  --lambda-dir target/lambda/$* $(addprefix -p ,$(FUNCTIONS))

# The same stack, for somebody who wants to look at it.
cloud: build-$(MACHINE) $(CLOUD)/.installed $(VENV)/.installed
	@$(CARGO) build --locked -q --workspace --bins
	@ROLLCALL_CLOUD=cloud-up ROLLCALL_DEBUG=$(abspath $(BUILD))/debug $(CLOUD)/bin/python tests/cloud/up.py

# The functions as they ship, on a local AWS that evaluates IAM, and the emulator for Clerk.
cloud-test: build-$(MACHINE) $(CLOUD)/.installed
	@date '+--- %T cloud'
	$(CARGO) build --locked -q --workspace --bins
	ROLLCALL_DEBUG=$(abspath $(BUILD))/debug $(CLOUD)/bin/pytest -p no:cacheprovider tests/cloud $(ARGS)

$(CLOUD)/.installed: tests/cloud/requirements.txt
	@date '+--- %T python for the local AWS'
	$(PYTHON) -m venv $(CLOUD)
	$(CLOUD)/bin/pip install -q -r $<
	touch $@

$(API)/.installed: tests/api/requirements.txt
	@date '+--- %T python for the HTTP API'
	$(PYTHON) -m venv $(API)
	$(API)/bin/pip install -q -r $<
	touch $@

$(VENV)/.installed: tests/template/requirements.txt
	@date '+--- %T python'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r $<
	touch $@

$(CHECKOV)/.installed: tests/template/requirements-checkov.txt
	@date '+--- %T checkov, installed'
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/pip install -q -r $<
	touch $@

$(VENV)/.installed-build: tests/template/requirements-build.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r $<
	touch $@

# Neither optimised nor debuggable: it runs once in a while for a few seconds, so it should be quick to have.
target/tools/bin/cargo-deny:
	@date '+--- %T cargo-deny'
	CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=target/tools/build \
	  $(CARGO) install cargo-deny --version $(CARGO_DENY) --locked --root target/tools --profile dev
