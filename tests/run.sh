#!/bin/sh
# Runs the tests, all of them or the suites that are named, and installs what they need.
#
#   sh tests/run.sh                 everything
#   sh tests/run.sh SUITE...        these suites only
#   sh tests/run.sh --list          the suites, a line each
#
# What the tests run against is fetched once into .peers (or $MONGO_BLOCKING_PEERS) by tests/peers/fetch.sh and handed over in
# MONGOD_6_0, MONGOD_5_0, MONGOD_4_4, MONGOD_4_2, PYTHON_PEERS, AWS_PEERS, PYMONGO_3_13, NODE_PEERS and OIDC_PEERS; a variable that is set already is left alone.
# What cannot be had here is a skip with its reason; with CI=true it is a failure.
# A test that skips itself appends `SKIP <test>: <reason>` to the file $MONGO_BLOCKING_SKIPS; a test with more to say than passed
# or failed (the fixtures' table) appends it to the file $MONGO_BLOCKING_REPORT.
set -u

# name | what it shows | peers | steps: lib, lib:FEATURE (its own tests only), doc, server (the test server's own tests), test:NAME[:FEATURE]
# (tests/NAME.rs), rest (the files in tests/ that no other suite names), script:PATH[:ARGUMENT]
suites() {
    cat <<'END'
checks|house rules: imports, unsafe code, words, Rust version, crate budget, each feature alone, Windows and macOS compile, licences and duplicates|cargo-deny kdc|test:checks script:tests/checks/budget.sh script:tests/checks/features.sh script:tests/checks/platforms.sh script:tests/checks/deny.sh
unit|the library's own tests, the examples in its documentation, the test server's tests, and the small tests in tests/|mongod-6.0 aws|lib doc server rest
fixtures|the drivers' common fixtures, case by case, against a real MongoDB 6.0|mongod-6.0|test:spec
interop|reference clients log in to our test server, and our client logs in to servers we did not write|mongod-6.0 python node libmongoc|test:front_interop test:interop
generations|login and CRUD on MongoDB 4.2, 4.4, 5.0 and 6.0|mongod-6.0 mongod-5.0 mongod-4.4 mongod-4.2|test:generations
tls|client certificates in every encoding, the dangerous switches, and MONGODB-X509 on MongoDB 6.0 and 4.2, beside other drivers|mongod-6.0 mongod-4.2 python pymongo-3.13 libmongoc|test:tls test:x509 test:tls_matrix test:rotation test:subjects test:material test:refused_certificates test:resumption test:tls_version test:handshake_faults test:prompts test:channels
tls-native|the TLS tests on the backend for Windows and macOS (native-tls), as far as Linux can show|mongod-6.0 mongod-4.2|native:lib native:tls native:tls_matrix native:rotation native:subjects native:material native:refused_certificates native:tls_version native:handshake_faults native:channels native:prompts
aws|MONGODB-AWS: moto judges our signatures, PyMongo logs in to the same server, keys from everywhere|aws|test:aws test:aws_sources
oidc|MONGODB-OIDC: the prose tests with tokens of somebody else's provider, PyMongo and the Node driver beside us, reauthentication|oidc python node mongod-6.0|test:oidc
kerberos|GSSAPI against a real KDC with two realms, with an acceptor that we did not write behind the front|kdc python-gssapi libmongoc mongod-6.0|lib:gssapi test:kerberos:gssapi script:tests/kerberos/leaks.sh
ldap|PLAIN, judged by a real OpenLDAP server, and MONGODB-CR, beside PyMongo|slapd python pymongo-3.13 mongod-6.0 mongod-4.2|test:ldap test:mongodb_cr
hostile|servers that lie, stall, or break off||test:hostile
threads|one client in many threads, in a runtime's worker, in Drop, in a scope|mongod-6.0|test:threads
bench|the bench program runs through (no time is judged)|mongod-6.0|script:tests/bench/quick.sh
examples|examples/run.sh as a newcomer runs it: on MongoDB 6.0, and where that cannot be had|mongod-6.0|script:examples/run.sh script:examples/run.sh:--tiny
END
}

main() {
    cd "$(dirname -- "$0")/.." || exit 1
    root=$(pwd)
    if [ "${1:-}" = --list ]; then
        suites | awk -F '|' '{ printf "%-12s %s\n", $1, $2 }'
        exit 0
    fi
    chosen=$*
    [ -n "$chosen" ] || chosen=$(suites | cut -d '|' -f 1)
    for suite in $chosen; do
        [ -n "$(row "$suite")" ] || { echo "there is no suite \"$suite\"; sh tests/run.sh --list names them" >&2; exit 2; }
    done
    command -v cargo >/dev/null 2>&1 || { echo "no cargo on the path: install Rust first" >&2; exit 1; }
    sh tests/peers/prerequisites.sh tests || exit 1
    logs=${CARGO_TARGET_DIR:-$root/target}/test-logs
    rm -rf "$logs"
    mkdir -p "$logs"
    results=$logs/results
    : >"$results"
    if [ -z "${MONGODB_SPECIFICATIONS:-}" ] && [ -d "$root/../shared/specifications" ]; then
        MONGODB_SPECIFICATIONS=$(cd "$root/../shared/specifications" && pwd)
        export MONGODB_SPECIFICATIONS
    fi
    fetch_peers
    for suite in $chosen; do
        run_suite "$suite"
    done
    print_table
    [ "$(total 3)" = 0 ]
}

row() { suites | awk -F '|' -v name="$1" '$1 == name'; }
column() { row "$1" | cut -d '|' -f "$2"; }

# ---- peers -------------------------------------------------------------------------------------------------------

# Each peer that a chosen suite names, once. Why one is missing is kept in $logs/missing.NAME.
fetch_peers() {
    peers=$(for suite in $chosen; do column "$suite" 3; done | tr ' ' '\n' | grep . | sort -u)
    for peer in $peers; do
        variable=$(variable_of "$peer")
        if [ -n "$variable" ] && eval "[ -n \"\${$variable:-}\" ]"; then
            continue
        fi
        if path=$(sh tests/peers/fetch.sh "$peer" 2>"$logs/fetch.$peer"); then
            cat "$logs/fetch.$peer" >&2
            [ -z "$variable" ] || export "$variable=$path"
        else
            grep . "$logs/fetch.$peer" | tail -n 1 | tee "$logs/missing.$peer" >&2
        fi
    done
}

variable_of() {
    case $1 in
    mongod-*) echo "$1" | tr 'a-z.-' 'A-Z__' ;;
    python) echo PYTHON_PEERS ;;
    aws) echo AWS_PEERS ;;
    python-gssapi) echo PYTHON_GSSAPI ;;
    pymongo-3.13) echo PYMONGO_3_13 ;;
    node) echo NODE_PEERS ;;
    oidc) echo OIDC_PEERS ;;
    esac
}

# ---- suites ------------------------------------------------------------------------------------------------------

# Runs the steps of a suite; adds the line "suite passed failed skipped" to the results, and the reasons to files beside it.
run_suite() {
    suite=$1
    passed=0 failed=0 skipped=0
    skips=$logs/$suite.skips report=$logs/$suite.report
    : >"$skips"
    : >"$report"
    started=$(date +%s)
    missing_peers_fail
    for step in $(column "$suite" 4); do
        run_step "$step"
    done
    own_skips=$(sort -u "$skips" | sed -n 's/^SKIP \(.*\)$/\1/p' | sed 's/: .*//' | sort -u | wc -l)
    passed=$((passed - own_skips))
    skipped=$((skipped + own_skips))
    [ ! -s "$report" ] || { echo; cat "$report"; echo; }
    echo "$suite $passed $failed $skipped" >>"$results"
    echo "$suite: $passed passed, $failed failed, $skipped skipped in $(($(date +%s) - started)) s"
}

missing_peers_fail() {
    [ "${CI:-}" = true ] || return 0
    for peer in $(column "$suite" 3); do
        if [ -f "$logs/missing.$peer" ]; then
            failed=$((failed + 1))
            echo "$suite: $(cat "$logs/missing.$peer") (CI=true takes no skips)" >&2
        fi
    done
}

run_step() {
    log=$logs/$suite.$(echo "$1" | tr '/:' '__').log
    case $1 in
    *:gssapi) ! kerberos_is_missing "$1" || return 0 ;;
    esac
    case $1 in
    lib) cargo_test --lib ;;
    lib:*) cargo_test --features "${1#lib:}" --lib "${1#lib:}" ;;
    doc) cargo_test --doc ;;
    server) cargo_test --package mongo-blocking-test-server ;;
    test:*:*) run_test "$(echo "$1" | cut -d : -f 2)" --features "$(echo "$1" | cut -d : -f 3)" ;;
    test:*) run_test "${1#test:}" ;;
    native:lib) on_native_tls cargo_test --lib tls:: ;;
    native:*) on_native_tls run_test "${1#native:}" ;;
    rest) run_rest ;;
    script:*:*) run_script "$(echo "$1" | cut -d : -f 2)" "$(echo "$1" | cut -d : -f 3)" ;;
    script:*) run_script "${1#script:}" ;;
    esac
}

# What is built with the system's Kerberos is skipped where that cannot be had. (In CI the suite has failed by then.)
kerberos_is_missing() {
    [ -f "$logs/missing.kdc" ] || return 1
    skipped=$((skipped + 1))
    echo "IGNORED $1: $(cat "$logs/missing.kdc")" >>"$skips"
}

run_test() {
    if [ -f "tests/$1.rs" ] || [ -f "tests/$1/main.rs" ]; then
        cargo_test --test "$@"
    else
        failed=$((failed + 1))
        echo "$suite: tests/$1.rs is missing" >&2
    fi
}

# With a folder of its own, since these flags make everything anew.
on_native_tls() {
    (
        RUSTFLAGS="${RUSTFLAGS:-} --cfg mongo_blocking_native_tls"
        CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/native
        export RUSTFLAGS CARGO_TARGET_DIR
        "$@"
        echo "$passed $failed $skipped" >"$log.counts"
    )
    read -r passed failed skipped <"$log.counts"
}

run_rest() {
    named=" $(suites | cut -d '|' -f 4 | tr ' ' '\n' | sed -n 's/^test:\([^:]*\).*/\1/p' | tr '\n' ' ')"
    arguments=
    for file in tests/*.rs tests/*/main.rs; do
        [ -f "$file" ] || continue
        name=${file#tests/}
        name=${name%.rs}
        name=${name%/main}
        case $named in
        *" $name "*) ;;
        *) arguments="$arguments --test $name" ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$arguments" ] || cargo_test $arguments
}

cargo_test() {
    echo "$suite: cargo test $*"
    MONGO_BLOCKING_SKIPS=$skips MONGO_BLOCKING_REPORT=$report limited cargo test --locked --no-fail-fast "$@" >"$log" 2>&1 </dev/null
    code=$?
    step_passed=$(count passed) step_failed=$(count failed) step_ignored=$(count ignored)
    passed=$((passed + step_passed))
    skipped=$((skipped + step_ignored))
    sed -n 's/^test \(.*\) \.\.\. ignored,* *\(.*\)$/IGNORED \1: marked so in the source \2/p' "$log" >>"$skips"
    if [ "$code" != 0 ]; then
        failed=$((failed + (step_failed > 0 ? step_failed : 1)))
        show_failure "cargo test $*" "$code"
    fi
}

# Adds up one column of cargo's "test result: ok. 5 passed; 0 failed; 1 ignored; …".
count() {
    awk -v what="$1" '/^test result:/ { for (i = 2; i <= NF; i++) if ($i == what ";") sum += $(i - 1) } END { print sum + 0 }' "$log"
}

run_script() {
    echo "$suite: sh $*"
    limited sh "$@" >"$log" 2>&1 </dev/null
    code=$?
    case $code in
    0) passed=$((passed + 1)) ;;
    77)
        skipped=$((skipped + 1))
        echo "IGNORED $*: $(grep . "$log" | tail -n 1)" >>"$skips"
        ;;
    *)
        failed=$((failed + 1))
        show_failure "sh $*" "$code"
        ;;
    esac
    case $1 in tests/checks/budget.sh) cat "$log" ;; esac
}

show_failure() {
    [ "$2" != 124 ] || echo "$suite: $1 did not end within $LIMIT and was ended" >&2
    echo "---- $1 failed; all it said:" >&2
    cat "$log" >&2
    echo "---- end of $1 (kept in $log)" >&2
}

# In CI nothing may hang for ever. (By hand, ctrl-C ends it.)
LIMIT=20m
limited() {
    if [ "${CI:-}" = true ] && command -v timeout >/dev/null 2>&1; then
        timeout "$LIMIT" "$@"
    else
        "$@"
    fi
}

# ---- the end -----------------------------------------------------------------------------------------------------

print_table() {
    echo
    awk 'BEGIN { printf "%-12s %8s %8s %8s\n", "suite", "passed", "failed", "skipped" } { printf "%-12s %8d %8d %8d\n", $1, $2, $3, $4 }' "$results"
    for suite in $chosen; do
        sort -u "$logs/$suite.skips" | sed -E "s/^(SKIP|IGNORED) /skipped in $suite: /"
    done
    echo
    echo "$(total 2) passed, $(total 3) failed, $(total 4) skipped"
}

total() { awk -v column="$1" '{ sum += $column } END { print sum + 0 }' "$results"; }

main "$@"
