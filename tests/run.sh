#!/bin/sh
# Runs the tests, all of them or the suites that are named, and installs what they need.
#
#   sh tests/run.sh                 everything but what runs only by name
#   sh tests/run.sh SUITE...        these suites only
#   sh tests/run.sh --list          the suites, a line each
#
# What the tests run against is fetched once into .peers (or $MONGO_BLOCKING_PEERS) by tests/peers/fetch.sh and handed over in
# MONGOD_6_0, MONGOD_5_0, MONGOD_4_4, MONGOD_4_2, PYTHON_PEERS, AWS_PEERS, PYMONGO_3_13, NODE_PEERS and OIDC_PEERS; a variable that is set already is left alone.
# What cannot be had here is a skip with its reason; with CI=true it is a failure.
# A test that skips itself appends `SKIP <test>: <reason>` to the file $MONGO_BLOCKING_SKIPS; a test with more to say than passed
# or failed (the fixtures' table) appends it to the file $MONGO_BLOCKING_REPORT.
set -u

# The table of suites, without its comments. What its fields and steps mean is written at its head.
suites() { grep -v '^#' tests/suites.tsv; }

main() {
    cd "$(dirname -- "$0")/.." || exit 1
    root=$(pwd)
    if [ "${1:-}" = --list ]; then
        suites | awk -F '\t' '{ printf "%-12s %s\n", $1, $2 }'
        exit 0
    fi
    chosen=$*
    [ -n "$chosen" ] || chosen=$(suites | grep -v 'only by name' | cut -f 1)
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

row() { suites | awk -F '\t' -v name="$1" '$1 == name'; }
column() { row "$1" | cut -f "$2"; }

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
    log=$logs/$suite.$(echo "$1" | tr '/:,' '___').log
    case $1 in
    gssapi:*) kerberos_is_missing "$1" || run_tests "${1#gssapi:}" --features gssapi ;;
    native:*) on_native_tls run_tests "${1#native:}" ;;
    windows:*) on_windows "${1#windows:}" ;;
    sspi:*) with_windows_program "${1#sspi:}" ;;
    doc) cargo_test --doc ;;
    server) cargo_test --package mongo-blocking-test-server ;;
    lib* | test:*) run_tests "$1" ;;
    script:*:*) run_script "$(echo "$1" | cut -d : -f 2)" "$(echo "$1" | cut -d : -f 3)" ;;
    script:*) run_script "${1#script:}" ;;
    *)
        failed=$((failed + 1))
        echo "$suite: tests/suites.tsv has the step $1, which tests/run.sh does not know" >&2
        ;;
    esac
}

# run_tests lib[:FILTER]|test:BINARY[:FILTER] [OPTION...]: the tests whose names contain a part of the filter; all of them without one.
run_tests() {
    step=$1
    shift
    case $step in
    lib) set -- --lib "$@" ;;
    lib:*) set -- --lib "$@" -- && filter=${step#lib:} ;;
    test:*)
        step=${step#test:}
        set -- --test "${step%%:*}" "$@"
        case $step in
        *:*) set -- "$@" -- && filter=${step#*:} ;;
        esac
        ;;
    esac
    # shellcheck disable=SC2046
    cargo_test "$@" $(echo "${filter:-}" | tr ',' '\n' | sed 's/^-/--skip /')
    filter=
}

# What is built with the system's Kerberos is skipped where that cannot be had. (In CI the suite has failed by then.)
kerberos_is_missing() {
    [ -f "$logs/missing.kdc" ] || return 1
    skipped=$((skipped + 1))
    echo "IGNORED $1: $(cat "$logs/missing.kdc")" >>"$skips"
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

# For Windows, and under Wine. Tests that cannot run there are named in tests/windows/left_out.tsv, each with its reason.
on_windows() {
    (
        . tests/windows/environment.sh
        case $1 in
        lib) program=lib && set -- --lib ;;
        test:*) program=${1#test:} && set -- --test "$program" ;;
        esac
        if prepare_windows >"$log" 2>&1; then
            left_out "$program" | sed 's/\t/: /; s/^/IGNORED /' >>"$skips"
            skipped=$((skipped + $(left_out "$program" | wc -l)))
            # shellcheck disable=SC2046
            cargo_test --target "$WINDOWS" --features gssapi "$@" -- --exact $(left_out "$program" | sed 's/\t.*//; s/^/--skip /')
        else
            failed=$((failed + 1))
            show_failure "the equipment of tests/windows" 1
        fi
        echo "$passed $failed $skipped" >"$log.counts"
    )
    read -r passed failed skipped <"$log.counts"
}

# run_tests, with the Windows build of the same test program in MONGO_BLOCKING_KERBEROS_EXE.
with_windows_program() {
    program=${1#test:}
    if exe=$(
        . tests/windows/environment.sh
        prepare_windows >"$log" 2>&1 && build_windows "${program%%:*}" 2>>"$log"
    ); then
        MONGO_BLOCKING_WINE=${CARGO_TARGET_DIR:-$root/target}/windows/wine MONGO_BLOCKING_KERBEROS_EXE=$exe run_tests "$1" --features gssapi
    else
        failed=$((failed + 1))
        show_failure "the Windows build for $1" 1
    fi
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
    elif [ "$((step_passed + step_ignored))" = 0 ]; then
        failed=$((failed + 1))
        echo "$suite: cargo test $* runs no test" >&2
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
    case $1 in tests/house_rules/budget.sh | tests/static/run.sh) cat "$log" ;; esac
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
