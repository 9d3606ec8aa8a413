#!/bin/sh
# replay.sh VARIANT: runs every fuzz target over its corpus (no fuzzer needed), one TAP line a target.
variant=$1
for t in build/"$variant"/tests/fuzz/fuzz_*; do
    [ -x "$t" ] || continue
    name=$(basename "$t")
    corpus=tests/fuzz/corpus/${name#fuzz_}
    if [ ! -d "$corpus" ]; then
        echo "not ok $name has no corpus in $corpus"
    elif out=$("$t" "$corpus"/* 2>&1); then
        echo "ok $name $out"
    else
        echo "not ok $name"
        printf '%s\n' "$out" | tail -20
    fi
done
