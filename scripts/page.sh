#!/usr/bin/env bash
# Compiles the page for the browser where this machine can, and goes on without it otherwise; both ./locus and ./test call it.
# LOCUS_WITHOUT_PAGE=1 leaves it out.
set -euo pipefail
[ -z "${LOCUS_WITHOUT_PAGE:-}" ] || exit 0
cd "$(dirname "$0")/.."
cargo xtask web --if-possible || echo "locus: going on without the page (see above)" >&2
