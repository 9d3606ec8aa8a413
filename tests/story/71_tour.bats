#!/usr/bin/env bats
# The troubleshooting tour: each failure of docs/troubleshooting.md is provoked again with the real program, once for the file; what
# it prints must be what the page says. docs/tour.py has the scenarios.

bats_require_minimum_version 1.5.0
load ../helpers/examples

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    bash -c "$(command_of troubleshooting)" > "$BATS_FILE_TMPDIR/tap" 2>&1 || true
}
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# What was printed for a scenario: its line of TAP and what follows up to the next.
visit() {
    awk -v id="$1" '/^(not )?ok / { mine = $(1 + ($1 == "not") + 1) == id } mine' "$BATS_FILE_TMPDIR/tap" | tee "$BATS_TEST_TMPDIR/said"
    if grep -q "^ok $1 # skip" "$BATS_TEST_TMPDIR/said"; then skip "$(sed 's/.*# skip //' "$BATS_TEST_TMPDIR/said")"; fi
    grep -qx "ok $1" "$BATS_TEST_TMPDIR/said"
}

@test "every scenario stands here" {
    python3 docs/tour.py --list > "$BATS_TEST_TMPDIR/list"
    sed -n 's/^@test .* { visit \([a-z-]*\); }$/\1/p' "$BATS_TEST_FILENAME" | diff "$BATS_TEST_TMPDIR/list" -
}

@test "command missing" { visit command-missing; }
@test "command denied" { visit command-denied; }
@test "library missing" { visit library-missing; }
@test "module missing" { visit module-missing; }
@test "illegal instruction" { visit illegal-instruction; }
@test "bus error" { visit bus-error; }
@test "crash" { visit crash; }
@test "killed outside" { visit killed-outside; }
@test "stands still" { visit stands-still; }
@test "unkillable" { visit unkillable; }
@test "few descriptors" { visit few-descriptors; }
@test "configuration" { visit configuration; }
@test "memory limit" { visit memory-limit; }
@test "oom kill" { visit oom-kill; }
@test "oom rung" { visit oom-rung; }
@test "shm small" { visit shm-small; }
@test "shm full" { visit shm-full; }
@test "disk small" { visit disk-small; }
@test "disk fills" { visit disk-fills; }
@test "disk server" { visit disk-server; }
@test "no model" { visit no-model; }
@test "shard missing" { visit shard-missing; }
@test "lfs pointer" { visit lfs-pointer; }
@test "web page" { visit web-page; }
@test "truncated" { visit truncated; }
@test "header length" { visit header-length; }
@test "header json" { visit header-json; }
@test "digest" { visit digest; }
@test "digest healed" { visit digest-healed; }
@test "wrong model" { visit wrong-model; }
@test "fetch denied" { visit fetch-denied; }
@test "fetch missing" { visit fetch-missing; }
@test "fetch busy" { visit fetch-busy; }
@test "fetch size" { visit fetch-size; }
@test "fetch cut" { visit fetch-cut; }
@test "fetch wait" { visit fetch-wait; }
@test "fetch page" { visit fetch-page; }
@test "fetch nobody" { visit fetch-nobody; }
@test "model closed" { visit model-closed; }
@test "target closed" { visit target-closed; }
@test "read only" { visit read-only; }
@test "home closed" { visit home-closed; }
@test "home server" { visit home-server; }
@test "cache closed" { visit cache-closed; }
@test "no passwd" { visit no-passwd; }
@test "no gpu" { visit no-gpu; }
@test "dependency" { visit dependency; }
@test "package" { visit package; }
@test "address busy" { visit address-busy; }
