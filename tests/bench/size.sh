#!/bin/sh
# How large a program with the driver is, feature by feature: examples/quickstart.rs by itself, built for release and stripped.
#
#   sh tests/bench/size.sh              the rows of the README's table; some minutes
#   sh tests/bench/size.sh aws oidc     these features only, each beside none
set -eu
cd "$(dirname -- "$0")/../.."
root=$(pwd)
folder=${CARGO_TARGET_DIR:-$root/target}/size
mkdir -p "$folder/src"
cp examples/quickstart.rs "$folder/src/main.rs"
cp Cargo.lock "$folder/Cargo.lock"

# size FEATURES...: in bytes
size() {
    cat >"$folder/Cargo.toml" <<END
[package]
name = "size"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
mongo-blocking = { path = "$root", default-features = false, features = [$1] }
serde = { version = "1", features = ["derive"] }

[profile.release]
strip = true
END
    cargo build --quiet --release --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"
    wc -c <"$folder/target/release/size"
}

# row NAME FEATURES
row() {
    bytes=$(size "$2")
    [ -n "${none:-}" ] || none=$bytes
    awk -v name="$1" -v bytes="$bytes" -v none="$none" 'BEGIN {
        printf "%-12s %6.2f MiB  +%.2f\n", name, bytes / 1048576, (bytes - none) / 1048576 }'
}

row none ''
[ "$#" -gt 0 ] || set -- aws oidc ocsp 'aws oidc ocsp srv'
for features in "$@"; do
    row "$features" "$(echo "$features" | sed 's/[^ ]*/"&"/g; s/ /, /g')"
done
