#!/bin/sh
# Builds and runs examples/quickstart.rs, each step shown as it happens.
#
#   sh examples/run.sh URI        against that server (or set MONGODB_URI)
#   sh examples/run.sh            against a real MongoDB 6.0, fetched once and started with access control on a free port;
#                                 where that cannot be had, against the small in-memory store of tests/server
#   sh examples/run.sh --tiny     against that store
#
# Nothing it started outlives it.
set -eu
cd "$(dirname -- "$0")/.."

main() {
    sh tests/peers/prerequisites.sh examples || exit 1
    uri=${1:-${MONGODB_URI:-}}
    case $uri in
    --tiny) on_the_tiny_store "asked for" ;;
    '') on_mongodb ;;
    *) quickstart "$uri" ;;
    esac
}

# Both mechanisms, each named in the URI; without a name the client negotiates SCRAM-SHA-256.
on_mongodb() {
    if why=$(fetch_mongodb); then
        build mongod
        say "starting MongoDB 6.0 with access control ..."
        if start mongod; then
            show "$uri?authMechanism=SCRAM-SHA-256"
            show "$uri?authMechanism=SCRAM-SHA-1"
            return
        fi
        why="MongoDB 6.0 does not start on this machine"
    fi
    on_the_tiny_store "$why"
}

# Sets nothing; what it says on standard output is the reason when it fails.
fetch_mongodb() {
    sh tests/peers/fetch.sh mongod-6.0 2>"$scratch/fetch" >"$scratch/launcher" && return 0
    grep . "$scratch/fetch" | tail -n 1
    return 1
}

on_the_tiny_store() {
    say "not on a real MongoDB: $1; on the in-memory store of tests/server instead"
    build fake_server
    start fake_server --user root --password pencil || {
        say "the in-memory store does not start"
        exit 1
    }
    show "$uri"
}

# The example and a program of tests/server.
build() {
    say "building ..."
    cargo build --locked --workspace --example quickstart --bin "$1"
}

# start PROGRAM ARGUMENT...: a program of tests/server, which prints its URI, serves, and ends when its input ends. Its input is
# a pipe that this shell holds, so however this shell ends, the program does, and what the program started with it.
start() {
    program=${CARGO_TARGET_DIR:-target}/debug/$1
    shift
    rm -f "$scratch/hold" "$scratch/uri"
    mkfifo "$scratch/hold" "$scratch/uri"
    MONGOD_6_0=$(cat "$scratch/launcher" 2>/dev/null || true) "$program" "$@" <"$scratch/hold" >"$scratch/uri" &
    server=$!
    exec 9>"$scratch/hold"
    uri=
    read -r uri <"$scratch/uri" || true
    [ -n "$uri" ]
}

show() {
    echo
    echo "==== $(echo "$1" | sed 's#://[^@/]*@#://<user>:<password>@#') ===="
    quickstart "$1"
}

quickstart() { cargo run --quiet --locked --example quickstart -- "$1" 9>&-; }

say() { echo "$*" >&2; }

# Lets the server end by itself, for it takes along what it started, and waits for it.
end() {
    code=$?
    trap - EXIT INT TERM HUP
    exec 9>&-
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$scratch"
    exit "$code"
}

server=
scratch=$(mktemp -d)
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
main "$@"
