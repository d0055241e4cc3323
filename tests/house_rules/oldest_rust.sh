#!/bin/sh
# The driver compiles with the oldest Rust that Cargo.toml promises, with all features, and with what the lock file names.
set -eu
cd "$(dirname -- "$0")/../.."

oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml).0
if ! rustup run "$oldest" rustc --version >/dev/null 2>&1 && ! why=$(rustup toolchain install "$oldest" --profile minimal --no-self-update 2>&1); then
    [ "${CI:-}" != true ] || exit 1
    echo "Rust $oldest cannot be had: $(printf '%s\n' "$why" | tail -n 1)"
    exit 77
fi
export CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY=never OPENSSL_NO_VENDOR=1 # see features.sh
cargo "+$oldest" check --quiet --locked --lib --all-features --target-dir "${CARGO_TARGET_DIR:-target}/oldest-rust"
echo "compiles with Rust $oldest"
