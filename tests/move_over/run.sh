#!/bin/sh
# Programs that were written for the official driver's blocking API, built twice from the same source: on the official driver, and on this
# one under the name `mongodb`. Both run against MongoDB 6.0, alone and as a replica set, and have to print the same.
#
#   sh tests/move_over/run.sh              all programs
#   sh tests/move_over/run.sh PROGRAM...   these (file names in tests/move_over/programs, without .rs), or public_items
#
# The program public_items is made from tests/move_over/public_items.tsv. It names each public item that is the same in both drivers.
#
# MONGOD_6_0 names a mongod 6.0; without it, tests/peers/fetch.sh fetches one.
set -eu
cd "$(dirname -- "$0")/../.."
root=$(pwd)
work=${CARGO_TARGET_DIR:-$root/target}/move_over

main() {
    programs=$*
    [ -n "$programs" ] || programs="$(for file in tests/move_over/programs/*.rs; do basename "$file" .rs; done) public_items"
    MONGOD_6_0=${MONGOD_6_0:-$(sh tests/peers/fetch.sh mongod-6.0)}
    export MONGOD_6_0

    mkdir -p "$work"
    public_items >"$work/public_items.rs"
    prepare official tests/move_over/official/Cargo.toml
    cp tests/move_over/official/Cargo.lock "$work/official/Cargo.lock"
    CARGO_TARGET_DIR=$work/official/target cargo build --quiet --locked --manifest-path "$work/official/Cargo.toml"

    prepare ours tests/move_over/official/Cargo.toml
    # This is the one line that changes. The feature "sync" is that of the official driver.
    sed -i "s#^mongodb = { version = \"[^\"]*\"#mongodb = { package = \"mongo-blocking\", path = \"$root\"#" "$work/ours/Cargo.toml"
    cp Cargo.lock "$work/ours/Cargo.lock"
    CARGO_TARGET_DIR=$work/ours/target cargo build --quiet --manifest-path "$work/ours/Cargo.toml"

    cargo build --quiet --locked --package mongo-blocking-test-server --bin mongod
    start
    failed=0
    for program in $programs; do
        compare "$program"
    done
    echo "move_over: $(echo "$programs" | wc -w) programs, $failed of them differ"
    [ "$failed" = 0 ]
}

# prepare NAME MANIFEST: a package in the target folder whose programs are those of this folder.
prepare() {
    mkdir -p "$work/$1"
    cp "$2" "$work/$1/Cargo.toml"
    for program in $programs; do
        source=$root/tests/move_over/programs/$program.rs
        [ "$program" != public_items ] || source=$work/public_items.rs
        printf '\n[[bin]]\nname = "%s"\npath = "%s"\n' "$program" "$source" >>"$work/$1/Cargo.toml"
    done
}

# A program that names each public item of the official driver that the table says is the same here.
public_items() {
    echo '#![allow(warnings, clippy::all)]'
    echo 'use mongodb::bson::{Document, doc};'
    echo 'use mongodb::sync::*;'
    echo 'fn is<T: From<X>, X>() {}'
    echo 'fn tries<T: TryFrom<X>, X>() {}'
    echo 'fn refs<T: AsRef<X>, X: ?Sized>() {}'
    echo 'fn index() -> mongodb::IndexModel { mongodb::IndexModel::builder().keys(doc! {}).build() }'
    awk -F'\t' '!/^#/ && $4 == "same" { print "fn item_" ++count "() { " $6 "; }" }
        END { print "fn main() { println!(\"{} items\", " count "); }" }' tests/move_over/public_items.tsv
}

# A mongod and a replica set of the test server's crate. They end when their input ends, so they do not outlive this shell.
start() {
    mkfifo "$scratch/hold" "$scratch/uri" "$scratch/hold_set" "$scratch/uri_set"
    mongod=${CARGO_TARGET_DIR:-$root/target}/debug/mongod
    "$mongod" <"$scratch/hold" >"$scratch/uri" &
    servers=$!
    exec 9>"$scratch/hold"
    "$mongod" set <"$scratch/hold_set" >"$scratch/uri_set" 9>&- &
    servers="$servers $!"
    exec 8>"$scratch/hold_set"
    read -r MONGODB_URI <"$scratch/uri" || { echo "MongoDB 6.0 does not start" >&2; exit 1; }
    read -r MONGODB_SET_URI <"$scratch/uri_set" || { echo "a replica set of MongoDB 6.0 does not start" >&2; exit 1; }
    export MONGODB_URI MONGODB_SET_URI
}

compare() {
    for side in official ours; do
        if ! timeout 120 "$work/$side/target/debug/$1" >"$scratch/$side" 2>"$scratch/$side.error" 8>&- 9>&-; then
            echo "$1: failed on $side" >&2
            cat "$scratch/$side.error" >&2
            failed=$((failed + 1))
            return 0
        fi
    done
    if diff "$scratch/official" "$scratch/ours" >"$scratch/diff"; then
        echo "$1: both print the same $(wc -l <"$scratch/official") lines"
    else
        echo "$1: differs (< official, > ours)" >&2
        cat "$scratch/diff" >&2
        failed=$((failed + 1))
    fi
}

end() {
    code=$?
    trap - EXIT
    exec 8>&- 9>&-
    for server in $servers; do
        wait "$server" 2>/dev/null || true
    done
    rm -rf "$scratch"
    exit "$code"
}

servers=
scratch=$(mktemp -d)
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
main "$@"
