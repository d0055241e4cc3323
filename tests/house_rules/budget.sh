#!/bin/sh
# How many crates a user's program takes on, our own included, is bounded, and the README tells the truth about it.
set -eu
cd "$(dirname -- "$0")/../.."

# count NAME MOST AIM OPTION...
count() {
    name=$1 most=$2 aim=$3
    shift 3
    tree=$(cargo tree --locked -e normal --prefix none "$@")
    crates=$(printf '%s\n' "$tree" | awk '{print $1,$2}' | sort -u | wc -l | tr -d ' ')
    line="$name features: $crates crates (at most $most, aim below $aim)"
    echo "$line"
    grep -qxF "$line" README.md || {
        echo "README.md does not have this line" >&2
        over=1
    }
    if [ "$crates" -gt "$most" ]; then
        echo "that is $((crates - most)) too many; \`cargo tree -e normal $*\` shows why" >&2
        over=1
    fi
}

over=0
count default 90 85
count no 70 67 --no-default-features
exit "$over"
