#!/usr/bin/env bash
# Builds librocksdb.a once per machine as a unity build: the sources that the librocksdb-sys crate carries,
# several to a compiler run. That costs about a quarter of the crate's own file-by-file build, and the result
# survives every `cargo clean`. Prints the directory that ROCKSDB_LIB_DIR must name.
#
# usage: scripts/rocksdb.sh [CACHE_DIR]      (default ${LOCUS_CACHE_DIR:-~/.cache/locus})
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${1:-${LOCUS_CACHE_DIR:-$HOME/.cache/locus}}
say() { printf 'rocksdb: %s\n' "$*" >&2; }

# The crate's sources, where cargo put them (ROCKSDB_SYS_DIR overrides, for a vendored tree).
if [ -n "${ROCKSDB_SYS_DIR:-}" ]; then
    sys=$ROCKSDB_SYS_DIR
else
    sys=$(cd "$here" && cargo metadata --format-version 1 2>/dev/null |
        grep -o '"manifest_path":"[^"]*librocksdb-sys-[^"]*/Cargo.toml"' | head -n 1 | cut -d'"' -f4)
    sys=${sys%/Cargo.toml}
fi
[ -d "$sys/rocksdb" ] || { say "cannot find the librocksdb-sys sources (is the crates.io registry reachable?)"; exit 1; }
registry=$(dirname "$sys")
lz4=$(ls -d "$registry"/lz4-sys-*/liblz4/lib 2>/dev/null | tail -n 1)
zstd=$(ls -d "$registry"/zstd-sys-*/zstd/lib 2>/dev/null | tail -n 1)
[ -d "$lz4" ] && [ -d "$zstd" ] || { say "cannot find the lz4-sys and zstd-sys sources next to $sys"; exit 1; }

cxx=${CXX:-g++}
flags=(-O2 -g0 -std=c++20 -fPIC -w -include cstdint -DNDEBUG -DLZ4=1 -DZSTD=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION
    -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT
    -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
# SSE4.2 is what makes CRC32C cheap; every x86-64 server since 2010 has it.
[ "$(uname -m)" = x86_64 ] && flags+=(-msse4.2 -mpclmul)
includes=(-I"$sys/rocksdb/include" -I"$sys/rocksdb" -I"$sys" -I"$lz4" -I"$zstd")

key=$( { basename "$sys"; "$cxx" -dumpfullversion -dumpversion; echo "${flags[@]}"; } | sha256sum | cut -c1-12)
out=$cache/$(basename "$sys")-$key
if [ -f "$out/librocksdb.a" ]; then echo "$out"; exit 0; fi

# One build at a time on a machine; who waited finds the result of the other.
mkdir -p "$cache"
exec 9> "$cache/rocksdb.lock"
flock 9
if [ -f "$out/librocksdb.a" ]; then echo "$out"; exit 0; fi

work=$out.building.$$
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
jobs=$(nproc)
say "compiling RocksDB once for this machine ($jobs jobs, several minutes) into $out"
grep -v '^util/build_version.cc$' "$sys/rocksdb_lib_sources.txt" > "$work/sources"
# Twelve neighbours (same folder, so few clashes) to a unit. A unit whose files clash is compiled file by file.
(cd "$work" && split -l 12 -d -a 3 sources unit-)
for unit in "$work"/unit-*; do
    sed "s|.*|#include \"$sys/rocksdb/&\"|" "$unit" > "$unit.cc"
done
cp "$sys/build_version.cc" "$work/unit-version.cc"

compile_unit() {
    local cc=$1 list=${1%.cc} source
    if "$cxx" "${flags[@]}" "${includes[@]}" -c "$cc" -o "$list.o" 2> "$list.err"; then return; fi
    [ -f "$list" ] || { cat "$list.err" >&2; return 1; }
    while read -r source; do
        "$cxx" "${flags[@]}" "${includes[@]}" -c "$sys/rocksdb/$source" -o "$list-${source//\//_}.o" || return 1
    done < "$list"
}
total=$(ls "$work"/unit-*.cc | wc -l) started=0 failed=0
for cc in "$work"/unit-*.cc; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || failed=1; done
    [ "$failed" = 0 ] || break
    started=$((started + 1))
    [ -t 2 ] && printf '\rrocksdb: unit %d of %d ' "$started" "$total" >&2
    compile_unit "$cc" &
done
while [ -n "$(jobs -rp)" ]; do wait -n || failed=1; done
[ "$failed" = 0 ] || { say "the compiler failed; see the lines above"; exit 1; }
(cd "$work" && ar crs librocksdb.a ./*.o)
mkdir -p "$out"
cp -r "$sys/rocksdb/include" "$out/"
mv "$work/librocksdb.a" "$out/librocksdb.a"
say "done"
echo "$out"
