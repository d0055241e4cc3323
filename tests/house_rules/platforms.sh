#!/bin/sh
# The driver compiles for Windows, macOS and Linux on 64-bit ARM, without a warning: their parts are behind `cfg`. So do the tests for
# Windows. It compiles only; nothing runs. (The suite `windows` runs these tests.) Where rustup cannot fetch a target's standard library,
# a line says so.
set -eu
cd "$(dirname -- "$0")/../.."

failed=0
export CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY=never # see features.sh

# check TARGET OPTION...
check() {
    target=$1
    shift
    # Rust only: no linker and no C compiler of that platform is asked for anything.
    if output=$(cargo check --locked --quiet --target "$target" --target-dir "${CARGO_TARGET_DIR:-target}/platforms" "$@" 2>&1) && [ -z "$output" ]; then
        echo "$target $*: compiles"
    else
        printf '%s %s: does not compile, or not without a warning:\n' "$target" "$*" >&2
        printf '%s\n' "$output" | head -n 40 >&2
        failed=1
    fi
}

# Nothing is linked, so that this machine's OpenSSL does for its headers: on 64-bit ARM for the driver, on Windows for the test server.
libraries=$(pkg-config --variable=libdir openssl) headers=$(pkg-config --variable=includedir openssl)
export AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_LIB_DIR="$libraries" AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_INCLUDE_DIR="$headers"
export X86_64_PC_WINDOWS_GNU_OPENSSL_LIB_DIR="$libraries" X86_64_PC_WINDOWS_GNU_OPENSSL_INCLUDE_DIR="$headers"
export CC_aarch64_unknown_linux_gnu=cc CC_x86_64_pc_windows_gnu=cc

for target in x86_64-pc-windows-gnu aarch64-apple-darwin aarch64-unknown-linux-gnu; do
    if ! rustup target list --installed 2>/dev/null | grep -qx "$target" &&
        ! why=$(rustup target add "$target" 2>&1); then
        echo "$target: not checked, its standard library cannot be had: $(printf '%s\n' "$why" | tail -n 1)"
        continue
    fi
    check "$target" --lib
    # Kerberos by SSPI; elsewhere its bindings need the platform's own headers.
    case $target in *windows*) check "$target" --lib --tests --features gssapi ;; esac
done
# SSPI is type-checked on Linux too, where the targets above cannot be had; beside it, the system's Kerberos is bound as ever.
[ "${CI:-}" != true ] && ! pkg-config --exists krb5-gssapi 2>/dev/null ||
    RUSTFLAGS="${RUSTFLAGS:-} --cfg mongo_blocking_sspi_check" check "$(rustc -vV | sed -n 's/^host: //p')" --lib --features gssapi
exit "$failed"
