# `make demo` and `make test` are all that a newcomer needs; the rest is for those who change things.
PORT ?= 8080
CLOUD_PORT ?= 4443
SEED ?= 1
PYTHON ?= python3
ONLY ?=
KEY ?=
ARCH ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
IN_TWO = -n 2 --dist loadfile --no-loadscope-reorder
RUN = .venv/bin/python -m charging_manager
LOCKED = -q --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
MACHINE_amd64 = x86_64
MACHINE_arm64 = aarch64

.PHONY: demo test unit check bench soak lock wheelhouse deb changelog dist release release-check dev tools clean

demo: .venv/ready  ## a simulated site, its agent and a cloud server, until Ctrl-C
	@exec $(RUN) demo --seed $(SEED) --port $(PORT) --cloud-port $(CLOUD_PORT)

test: .venv/ready  ## all tests; says at the end which were left out, and why
	@.venv/bin/python -m pytest -q $(IN_TWO)

unit: .venv/ready  ## the quick ones: no process, no port
	@.venv/bin/python -m pytest -q -m "not e2e and not slow"

check: .venv/ready  ## what runs before a commit
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/python -m pytest -q -m "not e2e and not slow"

bench: .venv/ready  ## ratios against real peers, one line a figure; ONLY=name runs one
	@.venv/bin/python -m bench $(ONLY)

soak: .venv/ready  ## the long rehearsals; CI runs a tenth of them
	@CM_LONG=1 .venv/bin/python -m pytest -q $(IN_TWO)

lock: .venv/ready  ## make the three requirements files anew
	@.venv/bin/python -m pip install -q pip-tools
	@.venv/bin/pip-compile $(LOCKED) -o requirements.txt requirements.in
	@.venv/bin/pip-compile $(LOCKED) -o requirements-tools.txt requirements-tools.in
	@.venv/bin/pip-compile $(LOCKED) -c requirements.txt -o requirements-run.txt requirements-run.in
	@.venv/bin/pip-compile $(LOCKED) -c requirements.txt -o requirements-build.txt requirements-build.in

wheelhouse: wheelhouse/$(ARCH)/ready  ## all that the Debian packages take in, checked against the lock; ARCH=arm64 for another

deb: wheelhouse  ## the three Debian packages, in build/deb
	@debian/build build/deb

changelog: .venv/ready  ## the news fragments become the section of this version in CHANGELOG.md
	@.venv/bin/towncrier build --yes

dist: .venv/ready  ## source release and wheel, in build/dist
	@rm -rf build/dist
	@.venv/bin/python -c "from setuptools import build_meta; build_meta.build_sdist('build/dist')" >/dev/null 2>&1
	@.venv/bin/python -m pip wheel -q --disable-pip-version-check --no-index --no-deps --no-build-isolation -w build/dist build/dist/*.tar.gz
	@ls build/dist

release: dist deb  ## all of a release in build/release, with checksums; KEY=… signs them
	@rm -rf build/release && mkdir -p build/release
	@cp build/dist/*.tar.gz build/dist/*.whl build/deb/*.deb SECURITY.md CHANGELOG.md build/release/
	@dpkg-deb --fsys-tarfile build/deb/charging-manager-common_*.deb | \
	  tar -xO ./usr/share/doc/charging-manager-common/sbom.cdx.json >build/release/charging-manager.cdx.json
	@cd build/release && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .
	@test -z "$(KEY)" || gpg --yes --local-user "$(KEY)" --armor --detach-sign --output build/release/SHA256SUMS.asc build/release/SHA256SUMS
	@ls build/release

release-check: .venv/ready  ## is everything of a release there, and does it fit together
	@.venv/bin/python .ci/release-check

dev: .venv/ready

tools: .venv/tools/ready  ## what looks at us from outside, in an environment of its own: bandit, sslyze, schemathesis

clean:
	@rm -rf .venv build wheelhouse *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/ready: requirements.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed: apt-get install python3 (Debian 12 or newer), or make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing what requirements.txt lists into .venv"
	@.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/ready

.venv/tools/ready: .venv/ready requirements-tools.txt
	@test -x .venv/tools/bin/python || .venv/bin/python -m venv .venv/tools
	@echo "installing what requirements-tools.txt lists into .venv/tools"
	@.venv/tools/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-tools.txt
	@touch .venv/tools/ready

# For the Python of Debian 12, whatever Python fetches them.
wheelhouse/$(ARCH)/ready: requirements-run.txt requirements-build.txt
	@test -n "$(MACHINE_$(ARCH))" || { echo "there are packages for ARCH=amd64 and ARCH=arm64, not $(ARCH)"; exit 1; }
	@$(PYTHON) -m venv build/fetcher || { echo "Python cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
	@rm -rf wheelhouse/$(ARCH)
	@echo "fetching what requirements-run.txt and requirements-build.txt list into wheelhouse/$(ARCH)"
	@build/fetcher/bin/python -m pip download -q --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
	  --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none \
	  $(foreach glibc,2014 _2_17 _2_28 _2_34,--platform manylinux$(glibc)_$(MACHINE_$(ARCH))) \
	  -d wheelhouse/$(ARCH) -r requirements-run.txt -r requirements-build.txt
	@touch $@
