#!/bin/sh
# fuzz.sh: every target under libFuzzer for FUZZ_SECONDS each (default 60), with a copy of its corpus. Needs clang.
set -u
seconds=${FUZZ_SECONDS:-60}
make -s VARIANT=fuzz CC=clang fuzz-programs || exit 1
for t in build/fuzz/tests/fuzz/fuzz_*; do
    [ -x "$t" ] || continue
    name=$(basename "$t")
    grown=build/fuzz/corpus/${name#fuzz_}
    mkdir -p "$grown"
    if "$t" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix=build/fuzz/"$name"- \
        "$grown" tests/fuzz/corpus/"${name#fuzz_}" > build/fuzz/"$name".log 2>&1; then
        echo "ok $name $(grep -oE 'Done [0-9]+ runs' build/fuzz/"$name".log)"
    else
        echo "not ok $name"
        tail -20 build/fuzz/"$name".log
    fi
done
