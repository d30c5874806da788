# make demo | test | torture | bench | check | clean: on a fresh Debian or Ubuntu with git and Python 3.11 or newer.
#
# Each target first makes .venv and installs what it needs into it (scripts/bootstrap); the second time that is quick.
# All paths are relative, so that the tree may stand anywhere. Arguments are handed on:
#   make demo ARGS="--seconds 60"    make unit ARGS="tests/protocol -k crc"    make bench ARGS="codec"
#   make torture SCALE=long ARGS="kills --seed 7 --hours 1"

.DEFAULT_GOAL := help
.PHONY: help demo test torture bench check lint types contract unit clean run-env dev-env
export PYTHON

STAGES = lint types contract unit
ARGS ?=
SCALE ?= short

# Every stage runs, also after one that failed; the last line says which did.
define run_stages
@failed=; for stage in $(1); do \
    printf '== %s\n' "$$stage"; \
    $(MAKE) --no-print-directory "$$stage" || failed="$$failed $$stage"; \
done; \
if [ -n "$$failed" ]; then printf '== FAILED:%s\n' "$$failed" >&2; exit 1; fi; \
printf '== passed: %s\n' "$(1)"
endef

help:
	@echo "make demo    the whole chain on this machine: instruments, logger, platform"
	@echo "make test    lint, types, import contract, tests"
	@echo "make check   the same without the tests"
	@echo "make torture kills, power cuts, sick disks and links: torture-report.md; SCALE=short|long"
	@echo "make bench   figures: a table, and bench.json"
	@echo "make clean   remove caches and build products; .venv stays"

demo: run-env
	@.venv/bin/hj212 demo $(ARGS)

test: dev-env
	$(call run_stages,$(STAGES))

check: dev-env
	$(call run_stages,$(filter-out unit,$(STAGES)))

bench: dev-env
	@.venv/bin/python -m tests.bench.run $(ARGS)

torture: dev-env
	@.venv/bin/python -m tests.torture.run $(SCALE) $(ARGS)

lint: dev-env
	@.venv/bin/python -m ruff check --quiet --output-format concise .

types: dev-env
	@.venv/bin/python -m mypy --no-error-summary

contract: dev-env
	@.venv/bin/lint-imports

unit: dev-env
	@.venv/bin/python -m pytest -n 4 --dist worksteal $(ARGS)

run-env:
	@scripts/bootstrap

dev-env:
	@scripts/bootstrap dev

clean:
	rm -rf dist bench.json torture-report.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
