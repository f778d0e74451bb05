#!/usr/bin/env bash
# Prints where axe-core lies, which judges how accessible the page is (tests/browser). npm fetches it once for this machine;
# without npm those checks are left out, and the tests say so.
set -euo pipefail
version=4.14.1
directory=${LOCUS_CACHE_DIR:-$HOME/.cache/locus}/axe-$version
file=$directory/node_modules/axe-core/axe.min.js
[ -f "$file" ] || {
    command -v npm >/dev/null || exit 0
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$directory" "axe-core@$version" >&2 || exit 0
}
echo "$file"
