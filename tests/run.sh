#!/usr/bin/env bash
# run.sh check|test|soak|cluster: runs the suites of a level, prints the seconds of each and ends with one line 'N passed, N failed,
# N skipped' (HOLD_TALLY names a file for the numbers instead). A suite is a command whose TAP or closing line is counted.
set -u
cd "$(dirname "$0")/.." || exit 1
level=${1:-check}
passed=0 failed=0 skipped=0
reasons=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# suite NAME COMMAND...: counts 'ok', 'not ok' and '# skip' lines (TAP), shows what failed.
suite() {
    local name=$1 out="$work/out" begun status p f s
    shift
    begun=$(date +%s%N)
    "$@" > "$out" 2>&1
    status=$?
    s=$(grep -ciE '^ok\b.*# *skip' "$out")
    p=$(($(grep -cE '^ok\b' "$out") - s))
    f=$(grep -cE '^not ok\b' "$out")
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ $((p + f + s)) -eq 0 ]; then f=1; echo "suite $name ran nothing" >> "$out"; fi
    printf '%-22s %5d passed %4d failed %4d skipped %6d s\n' "$name" "$p" "$f" "$s" $((($(date +%s%N) - begun) / 1000000000))
    if [ "$f" -gt 0 ]; then grep -vE '^ok\b' "$out" | head -n "${HOLD_SHOW:-80}"; fi
    while IFS= read -r line; do reasons+=("$name: ${line#*# }"); done < <(grep -iE '^ok\b.*# *skip' "$out")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# tap: turns 'OK N'-less tools into one TAP line.
one() {
    local name=$1
    shift
    if "$@"; then echo "ok $name"; else echo "not ok $name"; fi
}

cmocka() { # runs every unit program of a variant with TAP output
    local variant=$1 t status=0
    shift
    for t in build/"$variant"/tests/{unit,property,kernels}/*; do
        { [ -x "$t" ] && [ ! -d "$t" ]; } || continue
        CMOCKA_MESSAGE_OUTPUT=tap ASAN_OPTIONS=detect_leaks=1 "$t" > "$work/unit" 2>&1
        status=$?
        # cmocka writes a skipped test as "not ok N # SKIP name"; its reason is the line that the test printed before.
        awk '/^(TAP|1\.\.)/ { next } /^not ok.*# SKIP/ { sub(/^not /, ""); if (why != "") $0 = $0 ": " why } { print } { why = /^(not )?ok|^#/ ? "" : $0; sub(/^ +/, "", why) }' "$work/unit"
        if [ "$status" -ne 0 ] && ! grep -q '^not ok' "$work/unit"; then echo "not ok $t ended with status $status"; fi
    done
}

stories() { # bats files, one after the other, TAP output
    local f
    for f in "$@"; do
        [ -e "$f" ] || continue
        bats --formatter tap "$f" | grep -vE '^1\.\.'
    done
}

# Random model shapes against the published classes; wants a python with torch, transformers and pillow (5 GB), so it is named.
random_models() {
    if [ -z "${HOLD_TORCH_PYTHON:-}" ]; then echo "ok random models # skip set HOLD_TORCH_PYTHON to a python with torch, transformers, pillow"; return; fi
    "$HOLD_TORCH_PYTHON" tests/golden/random_glm4v.py build/release/libexec/holdfast-runtime 1 "${HOLD_SEEDS:-200}" 2> /dev/null
}

# Each planted fault still fits the sources it was made for; whether its test turns red is make sabotage's matter.
patches_fit() {
    local p status=0
    for p in tests/sabotage/*.patch; do
        patch -p1 -s -f -F0 --dry-run < "$p" > /dev/null || { echo "# $p no longer fits"; status=1; }
    done
    return "$status"
}

lint() {
    python3 tests/lint/lint.py
    python3 tests/lint/plant.py
    python3 docs/tables.py --check build/release/bin/holdfast
    python3 docs/chart.py --check
    local scripts prose
    mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
    mapfile -t prose < <(git ls-files '*.md' '*.c' '*.h' '*.sh' '*.py' | grep -vE 'checkpoint|golden|corpus')
    one 'sabotage patches fit' patches_fit
    one shellcheck shellcheck -S warning "${scripts[@]}"
    one codespell codespell -q 3 -L "$(paste -sd, tests/lint/words.txt)" "${prose[@]}"
    one cppcheck cppcheck -q --std=c11 '-D__VA_OPT__(...)=__VA_ARGS__' --enable=warning,portability --inline-suppr --error-exitcode=1 --suppressions-list=tests/lint/cppcheck.txt -I . -D_GNU_SOURCE -D__x86_64__ -j2 base supervisor runtime kernels/ref
}

check() {
    suite units cmocka release
    suite lint lint
    suite 'fuzz corpora' sh tests/fuzz/replay.sh release
}

case $level in
check) check ;;
test)
    check
    suite 'units, sanitized' cmocka asan
    suite 'corpora, sanitized' sh tests/fuzz/replay.sh asan
    suite 'planted faults' bash tests/kernels/plant.sh
    suite 'other compilers' sh tests/helpers/compilers.sh
    suite stories stories tests/story/*.bats
    suite containers stories tests/container/*.bats
    suite chart sh tests/chart/run.sh
    suite gpu sh tests/helpers/gpu.sh
    ;;
soak)
    export HOLD_SOAK=1 HOLD_SEEDS=${HOLD_SEEDS:-5000} HOLD_CHAOS=${HOLD_CHAOS:-3000} HOLD_KILL_ROUNDS=${HOLD_KILL_ROUNDS:-400}
    suite 'units, sanitized' cmocka asan
    suite fuzz sh tests/fuzz/fuzz.sh
    suite 'random models' random_models
    suite sabotage bash tests/sabotage/run.sh
    suite stories stories tests/story/*.bats
    suite containers stories tests/container/40_cuda_image.bats
    ;;
cluster) suite cluster bash tests/cluster/run.sh ;;
lint) suite lint lint ;;
stories) shift; suite stories stories "$@" ;;
*) echo "run.sh: check, test, soak or cluster" >&2; exit 64 ;;
esac
for r in ${reasons[@]+"${reasons[@]}"}; do echo "skipped: $r"; done
if [ -n "${HOLD_TALLY:-}" ]; then echo "$passed $failed $skipped" >> "$HOLD_TALLY"; else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" -eq 0 ]
