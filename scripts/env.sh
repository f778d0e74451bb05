# Sourced by ./locus, ./test and by developers: `source scripts/env.sh`. Names the target directory outside the checkout and
# the RocksDB that scripts/rocksdb.sh compiled once for this machine.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${LOCUS_CACHE_DIR:-$HOME/.cache/locus}/target}
if [ -z "${ROCKSDB_LIB_DIR:-}" ]; then
    if _rocksdb=$("$(dirname "${BASH_SOURCE[0]}")/rocksdb.sh"); then
        export ROCKSDB_LIB_DIR=$_rocksdb ROCKSDB_STATIC=1 ROCKSDB_INCLUDE_DIR=$_rocksdb/include
    else
        echo "locus: RocksDB could not be prepared (see above); the crate's own build would take four times as long" >&2
        return 1 2>/dev/null || exit 1
    fi
fi
# bindgen with the small libclang1 package has no compiler headers of its own: borrow gcc's.
if [ -z "${BINDGEN_EXTRA_CLANG_ARGS:-}" ] && command -v gcc >/dev/null; then
    export BINDGEN_EXTRA_CLANG_ARGS="-I$(gcc -print-file-name=include)"
fi
