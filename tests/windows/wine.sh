#!/bin/sh
# Runs a Windows program under Wine, in a prefix of its own: cargo's runner for x86_64-pc-windows-gnu in the suite `windows`.
#
#   sh tests/windows/wine.sh --prepare          makes the prefix and the stand-ins for Linux programs
#   sh tests/windows/wine.sh PROGRAM.exe ...    runs it; its Linux programs are run by linux_programs.py, which ends with it
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
folder=${MONGO_BLOCKING_WINE:-$root/target/wine}
stand_ins=$folder/stand-ins
export WINEPREFIX="$folder/prefix" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml,winemenubuilder.exe='
unset DISPLAY WAYLAND_DISPLAY

main() {
    wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
    if [ "${1:-}" = --prepare ]; then
        prepare
    else
        run "$@"
    fi
}

# ---- once --------------------------------------------------------------------------------------------------------

prepare() {
    mkdir -p "$folder"
    [ -f "$WINEPREFIX/.ready" ] || make_prefix
    x86_64-w64-mingw32-gcc -shared -O2 -s -o "$system32/bcryptprimitives.dll" "$here/bcryptprimitives.c" -ladvapi32
    cp "$OPENSSL_DIR"/bin/*.dll "$system32/"
    make_stand_ins
}

system32=$WINEPREFIX/drive_c/windows/system32

# Files that tests make are on the drive Z:, the root of the Linux file system, so that their peers find them too.
make_prefix() {
    rm -rf "$WINEPREFIX"
    "$wine" wineboot --init >"$folder/wineboot.log" 2>&1
    for variable in TEMP TMP; do
        "$wine" reg add 'HKCU\Environment' /v "$variable" /d "$(windows_path "${TMPDIR:-/tmp}")" /f >>"$folder/wineboot.log" 2>&1
    done
    touch "$WINEPREFIX/.ready"
}

# Copies of one program, each in the place of a Linux program: see tests/server/src/bin/linux_program.rs.
make_stand_ins() {
    rm -rf "$stand_ins"
    mkdir -p "$stand_ins/path" "$stand_ins/root"
    for name in sh openssl printf false sleep ldapwhoami mkfifo pkg-config cc script klist kinit krb5kdc kadmin.local kdb5_util; do
        ln "$LINUX_PROGRAM" "$stand_ins/path/$name.exe"
    done
    stand_in /usr/sbin/slapd
    for variable in PYTHON_PEERS AWS_PEERS PYMONGO_3_13 PYTHON_GSSAPI; do
        eval "path=\${$variable:-}"
        [ -z "$path" ] || stand_in "$path"
    done
    for variable in NODE_PEERS OIDC_PEERS; do
        eval "path=\${$variable:-}"
        [ -n "$path" ] || continue
        stand_in "$path/node"
        ln -s "$path/node_modules" "$stand_ins/root$path/node_modules"
    done
}

stand_in() {
    mkdir -p "$(dirname "$stand_ins/root$1")"
    ln -f "$LINUX_PROGRAM" "$stand_ins/root$1.exe"
}

# ---- each program ------------------------------------------------------------------------------------------------

run() {
    for variable in PYTHON_PEERS AWS_PEERS PYMONGO_3_13 PYTHON_GSSAPI; do
        eval "path=\${$variable:-}"
        [ -z "$path" ] || eval "export $variable=\$(windows_path \"\$stand_ins/root\$path.exe\")"
    done
    for variable in NODE_PEERS OIDC_PEERS; do
        eval "path=\${$variable:-}"
        [ -z "$path" ] || eval "export $variable=\$(windows_path \"\$stand_ins/root\$path\")"
    done
    WINEPATH=$(windows_path "$stand_ins/path")
    export WINEPATH
    # It lives as long as its standard input, which is held open by this shell alone.
    fifo=$(mktemp -u "$folder/programs.XXXXXX")
    mkfifo "$fifo" "$fifo.in"
    python3 "$here/linux_programs.py" <"$fifo.in" >"$fifo" &
    exec 8>"$fifo.in"
    read -r broker <"$fifo"
    rm -f "$fifo" "$fifo.in"
    # Not in the environment: some tests start their programs with an empty one.
    echo "$broker" >"$stand_ins/broker"
    code=0
    "$wine" "$@" 8>&- || code=$?
    exec 8>&-
    wait
    exit "$code"
}

windows_path() { printf 'Z:%s' "$1" | tr / '\\'; }

main "$@"
