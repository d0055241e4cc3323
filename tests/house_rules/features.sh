#!/bin/sh
# Each feature builds alone, and so do none and all of them, and the backend of the other platforms, without a warning.
set -eu
cd "$(dirname -- "$0")/../.."
# A crate that makes bindings while it builds (bindgen's parser) is written in a way that a later Rust will refuse; that is said once
# in the README, not with each build.
export CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY=never
# The code of openssl-vendored is checked with the system's OpenSSL: building one takes minutes, and is the suite static-binary's.
export OPENSSL_NO_VENDOR=1

features=$(awk '/^\[/ { in_features = ($0 == "[features]") } in_features && /^[a-z][a-z0-9_-]* *=/ { print $1 }' Cargo.toml | grep -v '^default$')
[ -n "$features" ] || { echo "no features found in Cargo.toml" >&2; exit 1; }

# build NAME OPTION...
build() {
    name=$1
    shift
    if output=$(cargo check --locked --quiet --lib "$@" 2>&1) && [ -z "$output" ]; then
        echo "$name: builds"
    else
        printf '%s: does not build, or not without a warning:\n' "$name" >&2
        printf '%s\n' "$output" | head -n 40 >&2
        failed=1
    fi
}

# Kerberos needs its own headers and libclang; tests/peers/fetch.sh kdc installs both. Nothing may be left out in CI.
without_kerberos=
if [ "${CI:-}" != true ] && ! pkg-config --exists krb5-gssapi 2>/dev/null; then
    without_kerberos=yes
    echo "gssapi, all features: not built, the headers of Kerberos are missing (sh tests/peers/fetch.sh kdc)"
fi

failed=0
build "no feature" --no-default-features
for feature in $features; do
    [ "$feature$without_kerberos" != gssapiyes ] || continue
    build "$feature alone" --no-default-features --features "$feature"
done
[ -n "$without_kerberos" ] || build "all features" --all-features
RUSTFLAGS="${RUSTFLAGS:-} --cfg mongo_blocking_native_tls"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/native
export RUSTFLAGS CARGO_TARGET_DIR
build "on native-tls"
exit "$failed"
