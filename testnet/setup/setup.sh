#!/bin/sh
# Installs what the build and the networks need, and nothing twice. `make setup` calls it.
# Everything lands in the cache: ${POQ_CACHE:-${XDG_CACHE_HOME:-~/.cache}/poq}.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${POQ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/poq}
COMETBFT=0.38.26
BUF=1.57.2
CARGO_DENY=0.20.2

say() { printf 'set-up: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Toolchains are the user's own; all that are missing are named at once.
check_toolchains() {
    missing=
    have cargo || missing="$missing
  Rust: rustup (cargo must be on the PATH)"
    have go || missing="$missing
  Go 1.22 or newer: Debian package golang, or the Go project's release"
    have python3 || missing="$missing
  Python 3.8 or newer: Debian package python3"
    have c++ || missing="$missing
  a C++ compiler: Debian package g++"
    have make || missing="$missing
  make: Debian package make"
    [ -z "$missing" ] || fail "these tools are missing:$missing"
}

# bindgen loads libclang when RocksDB's bindings are generated.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for library in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-*.so* \
        /usr/lib/*-linux-gnu/libclang*.so* /usr/lib64/libclang.so* /usr/local/lib/libclang.so*; do
        [ -e "$library" ] && return 0
    done
    return 1
}

install_packages() {
    packages=
    have_libclang || packages="$packages libclang-dev"
    python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        fail "these packages are missing:$packages; install them (Debian and Ubuntu: sudo apt-get install$packages) and run this again"
    fi
    say "installing$packages"
    # shellcheck disable=SC2086 # a list of packages
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } >&2
}

# go_tool BINARY PACKAGE VERSION: builds a pinned Go program into the cache. Its modules stay
# in the cache only until it is built, so an interrupted download goes on where it stopped.
go_tool() {
    binary=$cache/bin/$1
    have_go_tool "$1" "$3" && return 0
    say "building $1 v$3"
    go_home=$cache/downloads/go
    mkdir -p "$cache/bin"
    GOPATH=$go_home GOMODCACHE=$go_home/mod GOCACHE=$go_home/build GOBIN=$cache/bin GOFLAGS='-modcacherw -trimpath' \
        go install "$2@v$3" >&2 ||
        fail "could not build $2@v$3; the message is above. Run the same command again to go on"
    have_go_tool "$1" "$3" || fail "$binary is not version $3; remove it and run this again"
    rm -rf "$go_home"
}

have_go_tool() {
    [ -x "$cache/bin/$1" ] || return 1
    case $1 in
        cometbft) [ "$("$cache/bin/cometbft" version)" = "$2" ] ;;
        *) [ "$("$cache/bin/$1" --version 2>/dev/null)" = "$2" ] ;;
    esac
}

# cargo_tool CRATE VERSION: builds a pinned Rust program into the cache, apart from the project.
cargo_tool() {
    [ "$("$cache/bin/$1" --version 2>/dev/null)" = "$1 $2" ] && return 0
    say "building $1 v$2, once, some minutes"
    env -u CARGO_TARGET_DIR cargo install --quiet --locked --force --root "$cache" "$1@$2" >&2 ||
        fail "could not build $1 v$2; the message is above. Run the same command again to go on"
}

check_toolchains
case ${1:-network} in
    network)
        install_packages
        go_tool cometbft github.com/cometbft/cometbft/cmd/cometbft "$COMETBFT"
        python3 "$here/fetch.py" "$cache"
        ;;
    lint)
        go_tool buf github.com/bufbuild/buf/cmd/buf "$BUF"
        cargo_tool cargo-deny "$CARGO_DENY"
        ;;
    *) fail "unknown argument '$1'; use 'network' (default) or 'lint'" ;;
esac
