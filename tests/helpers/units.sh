#!/bin/sh
# units.sh PROGRAM...: runs cmocka programs, prints seconds a program and one closing line.
passed=0 failed=0 skipped=0
for t in "$@"; do
    begun=$(date +%s%N)
    out=$(CMOCKA_MESSAGE_OUTPUT=tap "$t" 2>&1)
    status=$?
    ms=$((($(date +%s%N) - begun) / 1000000))
    out=$(printf '%s\n' "$out" | sed -E 's/^not (ok.*# SKIP)/\1/') # cmocka writes a skipped test so
    p=$(printf '%s\n' "$out" | grep -c '^ok' || :)
    s=$(printf '%s\n' "$out" | grep -ci '^ok.*# skip' || :)
    f=$(printf '%s\n' "$out" | grep -c '^not ok' || :)
    [ "$f" -eq 0 ] && [ "$status" -ne 0 ] && f=1
    if [ "$f" -gt 0 ]; then printf '%s\n' "$out" | grep -v '^ok'; fi
    printf '  %-48s %3d passed %d.%03d s%s\n' "$(basename "$t")" $((p - s)) $((ms / 1000)) $((ms % 1000)) "$([ "$f" -gt 0 ] && echo "  $f FAILED")"
    passed=$((passed + p - s)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
