#!/bin/sh
# A static Linux program (musl, feature openssl-vendored), built for release and run in an empty chroot against a real MongoDB with
# TLS: with tlsCAFile, with authorities where a container has them, and with none. It prints the program's size.
#
# MONGOD_6_0 and PYTHON_PEERS come from tests/run.sh.
set -eu
cd "$(dirname -- "$0")/../.."

TARGET=x86_64-unknown-linux-musl
scratch=$(mktemp -d)
mongod=

main() {
    trap end EXIT
    [ "$(id -u)" = 0 ] || skip "only root can run a program in a chroot"
    sh tests/peers/fetch.sh musl || exit $?
    if ! rustup target list --installed | grep -qx "$TARGET" && ! rustup target add "$TARGET" >"$scratch/rustup" 2>&1; then
        skip "the standard library for $TARGET cannot be had: $(tail -n 1 "$scratch/rustup")"
    fi
    build
    make_certificates
    start_mongod
    for container in file system none; do
        mkdir -p "$scratch/$container"
        cp "$program" "$scratch/$container/quickstart"
    done
    cp "$scratch/ca.pem" "$scratch/file/ca.pem"
    mkdir -p "$scratch/system/etc/ssl/certs"
    cp "$scratch/ca.pem" "$scratch/system/etc/ssl/certs/ca-certificates.crt"

    logs_in file "&tlsCAFile=/ca.pem"
    logs_in system ""
    is_refused none "This machine has no trusted authorities"
    is_refused none "ca-certificates"
}

# The example that users see first, as they would build it.
build() {
    CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --quiet --locked --release --target "$TARGET" --features openssl-vendored --example quickstart
    program=${CARGO_TARGET_DIR:-target}/$TARGET/release/examples/quickstart
    file_says=$(ldd "$program" 2>&1 || :)
    case $file_says in
    *"not a dynamic executable"* | *"statically linked"*) ;;
    *) fail "$program is not static: $file_says" ;;
    esac
    echo "examples/quickstart, static, default features, stripped: $(wc -c <"$program") bytes"
}

make_certificates() {
    authority="/CN=static test authority"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "$authority" -keyout "$scratch/ca.key" \
        -out "$scratch/ca.pem" -addext keyUsage=critical,keyCertSign,cRLSign >"$scratch/openssl" 2>&1
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=127.0.0.1" -keyout "$scratch/server.key" \
        -out "$scratch/server.csr" >>"$scratch/openssl" 2>&1
    printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >"$scratch/extensions"
    openssl x509 -req -in "$scratch/server.csr" -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" -CAcreateserial -days 2 \
        -extfile "$scratch/extensions" -out "$scratch/server.pem" >>"$scratch/openssl" 2>&1
    cat "$scratch/server.key" >>"$scratch/server.pem"
}

# With access control and one user, whom PyMongo makes.
start_mongod() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir "$scratch/data"
    "$MONGOD_6_0" --dbpath "$scratch/data" --logpath "$scratch/log" --bind_ip 127.0.0.1 --port "$port" --nounixsocket --auth \
        --wiredTigerCacheSizeGB 0.25 --tlsMode requireTLS --tlsCertificateKeyFile "$scratch/server.pem" &
    mongod=$!
    "$PYTHON_PEERS" - "$port" "$scratch/ca.pem" <<'PYTHON'
import sys, pymongo
port, authorities = sys.argv[1:]
client = pymongo.MongoClient("127.0.0.1", int(port), tls=True, tlsCAFile=authorities, directConnection=True)
client.admin.command("createUser", "root", pwd="pencil", roles=["root"])
PYTHON
}

# run CONTAINER OPTIONS
run() {
    chroot "$scratch/$1" /quickstart "mongodb://root:pencil@127.0.0.1:$port/?tls=true$2" >"$scratch/said" 2>&1
}

logs_in() {
    run "$1" "$2" || fail "the program failed in the container \"$1\": $(cat "$scratch/said")"
    grep -q 'connected and logged in' "$scratch/said" || fail "no login: $(cat "$scratch/said")"
    echo "container \"$1\": logged in over TLS"
}

is_refused() {
    ! run "$1" "" || fail "the program trusts a server in the container \"$1\""
    grep -q "$2" "$scratch/said" || fail "\"$2\" is missing: $(cat "$scratch/said")"
    echo "container \"$1\": refused, and told: $2"
}

skip() {
    echo "$1" >&2
    exit 77
}

fail() {
    echo "$1" >&2
    exit 1
}

end() {
    [ -z "$mongod" ] || { kill "$mongod" && wait "$mongod" || :; }
    rm -rf "$scratch"
}

main
