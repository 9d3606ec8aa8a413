#!/usr/bin/env bash
# run.sh [PATCH...]: applies each kept patch to a copy of the tree, builds, and wants the test that the patch names to fail.
# A patch that changes nothing any test sees is a hole in the tests, and is reported as one. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z --cached --others --exclude-standard | cpio -0pdm --quiet "$work"
mkdir -p "$work/build"
cp -a build/release "$work/build/release"
[ ! -d build/third ] || cp -a build/third "$work/build/third"
if [ $# -eq 0 ]; then set -- "$top"/tests/sabotage/*.patch; fi
export CMOCKA_MESSAGE_OUTPUT=tap HOLD_SEEDS=200

# proves KIND NAME [FILTER]: 0 when the test is green, 1 when it is red, 2 when it could not be built or run.
proves() {
    case $1 in
    unit)
        local program=build/release/tests/unit/$2
        [ "${2#prop_}" = "$2" ] || program=build/release/tests/property/$2
        make -s "$program" > "$work/log" 2>&1 || return 2
        timeout 120 "$program" > "$work/log" 2>&1 || return 1
        ;;
    story)
        make -s all build/release/tests/driven-clock > "$work/log" 2>&1 || return 2
        timeout 240 bats --formatter tap -f "$3" "tests/story/$2.bats" > "$work/log" 2>&1 || return 1
        grep -q '^ok' "$work/log" || return 2 # nothing ran
        ! grep -qi '^ok.*# *skip' "$work/log" || return 3
        ;;
    esac
}

n=0 failed=0
for patch in "$@"; do
    n=$((n + 1))
    name=$(basename "$patch" .patch)
    what=$(sed -n 's/^# what: //p' "$patch")
    red=()
    eval "red=($(sed -n 's/^# red: //p' "$patch"))"
    if ! (cd "$work" && patch -p1 -s -F0 --no-backup-if-mismatch < "$patch") > "$work/log" 2>&1; then
        echo "not ok $n $name: the patch no longer fits"
        failed=1
        (cd "$work" && sed -n "s,^+++ b/,,p" "$patch" | while read -r f; do cp "$top/$f" "$f"; rm -f "$f.rej" "$f.orig"; done)
        continue
    fi
    (cd "$work" && proves "${red[@]}")
    case $? in
    0) echo "not ok $n $name: ${red[*]} stays green though $what"; failed=1 ;;
    1) echo "ok $n $name: ${red[*]} turns red: $what" ;;
    3) echo "ok $n $name # skip its test cannot run here" ;;
    *) echo "not ok $n $name: does not build or run"; sed 's/^/# /' "$work/log" | tail -5; failed=1 ;;
    esac
    (cd "$work" && patch -p1 -s -R < "$patch")
done
[ "$n" -gt 0 ] && [ "$failed" -eq 0 ]
