#!/bin/sh
# Each feature builds alone, and so do none and all of them, and the backend of the other platforms, without a warning.
set -eu
cd "$(dirname -- "$0")/../.."
# A crate that makes bindings while it builds (bindgen's parser) is written in a way that a later Rust will refuse; that is said once
# in the README, not with each build.
export CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY=never
# The code of openssl-vendored is checked with the system's OpenSSL: building one takes minutes, and is the suite static-binary's.
export OPENSSL_NO_VENDOR=1

# Each line of [features] but the default: the feature, and what it turns on.
table=$(awk '/^\[/ { in_features = ($0 == "[features]") } in_features && /^[a-z][a-z0-9_-]* *=/' Cargo.toml | grep -v '^default ')
# Features that turn on another feature of this crate and nothing else, or nothing at all, build as that one does, or as none. The
# source must not ask for them; then building all of them together is enough.
names_only=$(printf '%s\n' "$table" | grep -E '= \[("[a-z-]+")?\]$' | sed 's/ .*//')
features=$(printf '%s\n' "$table" | grep -vE '= \[("[a-z-]+")?\]$' | sed 's/ .*//')
[ -n "$features" ] && [ -n "$names_only" ] || { echo "no features found in Cargo.toml" >&2; exit 1; }

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
for feature in $names_only; do
    if grep -rnF "feature = \"$feature\"" src; then
        echo "$feature is a name for other features, or has no effect: the source must not ask for it" >&2
        failed=1
    fi
done
build "no feature" --no-default-features
for feature in $features; do
    [ "$feature$without_kerberos" != gssapiyes ] || continue
    build "$feature alone" --no-default-features --features "$feature"
done
if [ -z "$without_kerberos" ]; then
    build "the other names of features" --no-default-features --features "$(echo $names_only | tr ' ' ',')"
    build "all features" --all-features
fi
RUSTFLAGS="${RUSTFLAGS:-} --cfg mongo_blocking_native_tls"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/native
export RUSTFLAGS CARGO_TARGET_DIR
build "on native-tls"
exit "$failed"
