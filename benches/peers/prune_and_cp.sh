#!/usr/bin/env bash
# Seconds of `secateur prune --sparsity 0.5`, synced, turn by turn with `cp` and `sync -d` of the same page-cached file:
#
#     benches/peers/prune_and_cp.sh target/release/secateur FILE... >times.txt
#
# Outputs go beside each FILE. Run it on an idle machine.
set -euo pipefail

secateur=$1
shift

timed() {
    local label=$1 began
    shift
    sync
    began=$(date +%s.%N)
    "$@" >/dev/null
    echo "$label $(echo "$(date +%s.%N) - $began" | bc)"
}

copy() {
    cp "$1" "$2" && sync -d "$2"
}

for file in "$@"; do
    out=$file.out.safetensors
    trap 'rm -f "$out"' EXIT
    cat "$file" >/dev/null
    for _ in 1 2 3; do
        rm -f "$out"
        timed "$(basename "$file") cp" copy "$file" "$out"
        for allocation in uniform global; do
            rm -f "$out"
            timed "$(basename "$file") $allocation" "$secateur" prune "$file" -o "$out" --sparsity 0.5 --allocation "$allocation" -q
        done
        timed "$(basename "$file") dry-run" "$secateur" prune "$file" --dry-run --sparsity 0.5 -q
    done
    rm -f "$out"
done
