# Sourced by ./locus and ./test: checks what a fresh machine needs and installs it where it can (Debian packages, as root
# or with sudo); otherwise says in one line what to type.
#
# usage: source scripts/requirements.sh [with-postgresql] [with-jepsen] [with-web] [with-browser]
#   with-web      what compiles the page; optional: without it everything but the page is built
#   with-browser  what tests the page; optional too
# Whether something here can compile for the browser (`cargo xtask web` looks closer).
_locus_wasm() {
    [ -n "${LOCUS_WEB_CARGO:-}" ] || ls -d /usr/lib/rustlib/src/rust/library >/dev/null 2>&1 ||
        ls -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/wasm32-unknown-unknown" >/dev/null 2>&1
}
_locus_require() {
    local missing=() optional=()
    command -v g++ >/dev/null || missing+=(g++)
    command -v ar >/dev/null || missing+=(binutils)
    # Not all of these places exist: that `ls` says so must not count (pipefail).
    { ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* 2>/dev/null || true; } |
        grep -E 'libclang(-[0-9.]+)?\.so' >/dev/null || missing+=(libclang-dev)
    local wanted
    for wanted in "$@"; do
        case $wanted in
        with-postgresql)
            command -v psql >/dev/null || missing+=(postgresql-client)
            ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 || missing+=(postgresql postgresql-contrib)
            ;;
        with-jepsen)
            # Faults on the network take root; without it those tests are left out, and so are the tools.
            [ "$(id -u)" = 0 ] || continue
            command -v ip >/dev/null || missing+=(iproute2)
            command -v nft >/dev/null || missing+=(nftables)
            ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing+=(faketime)
            ;;
        with-web) _locus_wasm || optional+=(rustc-web cargo-web rust-web-src lld-22) ;;
        with-browser)
            command -v chromium >/dev/null && command -v chromedriver >/dev/null || optional+=(chromium chromium-driver)
            ;;
        esac
    done
    command -v cargo >/dev/null || {
        echo "locus: the Rust toolchain (1.92 or newer) is missing: see https://rustup.rs" >&2
        return 1
    }
    _locus_install "${missing[@]}" || return 1
    # What is optional is missed by nothing but the page.
    _locus_install "${optional[@]}" || echo "locus: going on without the page or its tests" >&2
    return 0
}
_locus_install() {
    [ $# -eq 0 ] && return 0
    local install="apt-get install -y $*" sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    if command -v apt-get >/dev/null && { [ -z "$sudo" ] || sudo -n true 2>/dev/null; }; then
        echo "locus: installing $*" >&2
        { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo $install -qq; } >/tmp/locus-apt.$$.log 2>&1 || {
            echo "locus: '$install' failed; its output is in /tmp/locus-apt.$$.log" >&2
            return 1
        }
        return 0
    fi
    echo "locus: missing: $*. To install them:  sudo $install" >&2
    return 1
}
_locus_require "$@"
