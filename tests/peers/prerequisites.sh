#!/bin/sh
# The system packages that building and testing need, beyond Rust: installed by apt-get when root; otherwise one line says what
# to run, and the exit code is 3.
#
#   sh tests/peers/prerequisites.sh tests       all of them
#   sh tests/peers/prerequisites.sh examples    those for Python only if there is a Python: the examples can do without
set -u
. "$(dirname -- "$0")/apt.sh"

main() {
    look "${1:-tests}"
    [ -n "$missing" ] || exit 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        install
        look "${1:-tests}"
        [ -n "$missing" ] || exit 0
    elif ! command -v apt-get >/dev/null 2>&1 && [ -z "$to_build" ]; then
        exit 0 # not Debian; the peers that need Python say so themselves
    fi
    echo "missing here; as root: apt-get install -y --no-install-recommends$missing" >&2
    exit 3
}

# Sets $missing (all packages wanted) and $to_build (those without which nothing compiles).
look() {
    to_build=
    command -v cc >/dev/null 2>&1 || to_build="$to_build gcc libc6-dev"
    command -v pkg-config >/dev/null 2>&1 || to_build="$to_build pkg-config"
    pkg-config --exists openssl 2>/dev/null || [ -n "${OPENSSL_DIR:-}" ] || to_build="$to_build libssl-dev"
    missing=$to_build
    if [ "$1" = examples ] && ! command -v python3 >/dev/null 2>&1 && { [ "$(id -u)" != 0 ] || installed python3; }; then
        return
    fi
    python3 -m pip --version >/dev/null 2>&1 || installed python3-pip || missing="$missing python3-pip"
    python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || installed python3-venv || missing="$missing python3-venv"
    has_libcurl || missing="$missing libcurl4"
}

# A package may be installed and yet not be on the path, which is then meant so.
installed() {
    [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

# MongoDB is linked to it.
has_libcurl() {
    [ "$(uname -s)" != Linux ] || { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -q 'libcurl\.so\.4' || installed libcurl4
}

install() {
    echo "installing$missing ..." >&2
    log=${TMPDIR:-/tmp}/mongo-blocking-apt.$$
    # shellcheck disable=SC2086
    apt_install "$log" $missing || grep -v '^[[:space:]]*$' "$log" | tail -n 3 >&2
    rm -f "$log"
}

main "$@"
