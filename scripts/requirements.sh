# Sourced by ./locus and ./test: checks what a fresh machine needs and installs it where it can (Debian packages, as root
# or with sudo); otherwise says in one line what to type.
#
# usage: source scripts/requirements.sh [with-postgresql] [with-jepsen]
_locus_require() {
    local missing=() tool
    command -v g++ >/dev/null || missing+=(g++)
    command -v ar >/dev/null || missing+=(binutils)
    # Not all of these places exist: that `ls` says so must not count (pipefail).
    { ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* 2>/dev/null || true; } |
        grep -E 'libclang(-[0-9.]+)?\.so' >/dev/null || missing+=(libclang-dev)
    if [[ " $* " == *" with-postgresql "* ]]; then
        command -v psql >/dev/null || missing+=(postgresql-client)
        ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 || missing+=(postgresql postgresql-contrib)
    fi
    # Faults on the network take root; without it those tests are left out, and so are the tools.
    if [[ " $* " == *" with-jepsen "* ]] && [ "$(id -u)" = 0 ]; then
        command -v ip >/dev/null || missing+=(iproute2)
        command -v nft >/dev/null || missing+=(nftables)
        ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing+=(faketime)
    fi
    command -v cargo >/dev/null || {
        echo "locus: the Rust toolchain (1.92 or newer) is missing: see https://rustup.rs" >&2
        return 1
    }
    [ ${#missing[@]} -eq 0 ] && return 0
    local install="apt-get install -y ${missing[*]}"
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    if command -v apt-get >/dev/null && { [ -z "$sudo" ] || sudo -n true 2>/dev/null; }; then
        echo "locus: installing ${missing[*]}" >&2
        { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo $install -qq; } >/tmp/locus-apt.$$.log 2>&1 || {
            echo "locus: '$install' failed; its output is in /tmp/locus-apt.$$.log" >&2
            return 1
        }
        return 0
    fi
    echo "locus: missing: ${missing[*]}. Install them first:  sudo $install" >&2
    return 1
}
_locus_require "$@"
