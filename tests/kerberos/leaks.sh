#!/bin/sh
# A hundred logins by Kerberos under valgrind: no memory is lost, none is used that is not ours.
#   sh tests/kerberos/leaks.sh
set -eu
cd "$(dirname -- "$0")/../.."
{ command -v valgrind && pkg-config --exists krb5-gssapi; } >/dev/null 2>&1 || {
    echo "there is no valgrind here, or no header of Kerberos; tests/peers/fetch.sh kdc installs both" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 77
}
MONGO_BLOCKING_UNDER="valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --child-silent-after-fork=yes" \
    exec cargo test --locked --features gssapi --test kerberos -- leaks::
