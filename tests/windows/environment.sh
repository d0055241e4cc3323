# Read by tests/run.sh: what cargo needs to build for Windows, and to run that under Wine.
# shellcheck shell=sh

WINDOWS=x86_64-pc-windows-gnu
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/windows
MONGO_BLOCKING_WINE=$CARGO_TARGET_DIR/wine
# OpenSSL is the test server's alone; the driver has SChannel.
OPENSSL_DIR=$(sh tests/peers/fetch.sh openssl-windows)
OPENSSL_NO_VENDOR=1
CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="sh $root/tests/windows/wine.sh"
LINUX_PROGRAM=$CARGO_TARGET_DIR/$WINDOWS/debug/linux_program.exe
export CARGO_TARGET_DIR MONGO_BLOCKING_WINE OPENSSL_DIR OPENSSL_NO_VENDOR CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER LINUX_PROGRAM

# Once for each run: the target's standard library, the stand-ins for Linux programs, and Wine's own folder.
prepare_windows() {
    [ ! -f "$logs/windows.ready" ] || return 0
    rustup target list --installed | grep -qx "$WINDOWS" || rustup target add "$WINDOWS" || return
    cargo build --locked --quiet --target "$WINDOWS" --package mongo-blocking-test-server --bin linux_program || return
    sh tests/windows/wine.sh --prepare || return
    touch "$logs/windows.ready"
}

# build_windows PROGRAM: builds a test program, and prints where it is.
build_windows() {
    cargo test --locked --target "$WINDOWS" --features gssapi --test "$1" --no-run >"$logs/windows.build" 2>&1 || {
        cat "$logs/windows.build" >&2
        return 1
    }
    found=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$logs/windows.build" | tail -n 1)
    case $found in
    /*) echo "$found" ;;
    *) echo "$root/$found" ;;
    esac
}

# left_out PROGRAM: its tests that do not run there, and why, with a tab between.
left_out() {
    awk -F '\t' -v program="$1" '!/^#/ && $1 == program { print $2 "\t" $3 }' tests/windows/left_out.tsv
}
