#!/bin/sh
# Builds the fuzz targets and runs them, on the stable toolchain, without cargo-fuzz.
#
#   sh fuzz/run.sh                          a short run of each target, the same inputs every time
#   sh fuzz/run.sh --seconds 600            that long for each target, with inputs of its own
#   sh fuzz/run.sh --seconds 600 uri dns    these targets only
#   sh fuzz/run.sh --list                   the targets
#
# A run starts from the seeds (fuzz/seeds/TARGET) and keeps what it finds in fuzz/corpus/TARGET. An input that breaks a property is
# written to fuzz/artifacts/TARGET, and the script fails.
set -eu
cd "$(dirname -- "$0")"

# Enough to pass all seeds and some thousand mutations of them; a second or two for each target.
SHORT_RUNS=3000

main() {
    seconds=
    if [ "${1:-}" = --list ]; then
        targets
        exit 0
    fi
    if [ "${1:-}" = --seconds ]; then
        seconds=$2
        shift 2
    fi
    chosen=${*:-$(targets)}
    build
    failed=0
    for target in $chosen; do
        fuzz "$target" || failed=$((failed + 1))
    done
    echo "$(echo "$chosen" | wc -w) fuzz targets, $failed failed"
    [ "$failed" = 0 ]
}

targets() { for file in fuzz_targets/*.rs; do basename "$file" .rs; done; }

# libFuzzer needs the coverage of each edge and comparison. These are the flags that cargo-fuzz passes, without a sanitizer: the crate denies
# unsafe code nearly everywhere, and the properties are assertions.
build() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks" \
        cargo build --quiet --locked --release --target "$host" --target-dir target
    programs=target/$host/release
}

fuzz() {
    mkdir -p "corpus/$1" "artifacts/$1"
    if [ -n "$seconds" ]; then
        set -- "$1" -max_total_time="$seconds"
    else
        set -- "$1" -runs="$SHORT_RUNS" -seed=1
    fi
    target=$1
    shift
    log=artifacts/$target.log
    if "$programs/$target" "$@" -artifact_prefix="artifacts/$target/" -timeout=20 -rss_limit_mb=4096 "corpus/$target" "seeds/$target" \
        >"$log" 2>&1; then
        echo "$target: $(grep -E '^Done|DONE' "$log" | tail -n 1)"
    else
        echo "$target: failed; the input is in fuzz/artifacts/$target" >&2
        tail -n 30 "$log" >&2
        return 1
    fi
}

main "$@"
