#!/usr/bin/env bats
# A sandboxed child tries to get out: about 120 attempts (read a token, the supervisor's environment and memory, open a
# socket outwards, exec, ptrace, write the weights, ...) under each profile, as root, as root that becomes another user, and
# as a user without a single capability. Everything that must work is tried as well. What is missing is reported, and
# strict refuses it.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    # Where any user may read and run them.
    export BIN=$BATS_FILE_TMPDIR/bin
    mkdir -p "$BIN"
    cp build/release/tests/inbox build/release/tests/escape "$BIN/"
    local d=$BIN
    while [ "$d" != / ] && [ -O "$d" ]; do chmod a+rx "$d"; d=$(dirname "$d"); done
    export USER_ID=65532
}

setup() {
    ARENA=$BATS_TEST_TMPDIR/arena
    mkdir "$ARENA"
    chmod 777 "$ARENA"
    local d=$BATS_TEST_TMPDIR
    while [ "$d" != / ] && [ -O "$d" ]; do chmod a+x "$d"; d=$(dirname "$d"); done
}

need_root() { [ "$(id -u)" -eq 0 ] || skip "needs root to become another user"; }

# bare COMMAND...: as a user with no capability at all, as in a pod under the restricted standard.
bare() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
    else
        setpriv --no-new-privs "$@"
    fi
}

# inbox OPTION... PROFILE: the escape attempts under it.
escape() {
    local arena=$BATS_TEST_TMPDIR/$RANDOM$RANDOM
    mkdir "$arena"
    chmod 777 "$arena"
    "${AS[@]}" "$BIN/inbox" --grant "R:$BIN" "$@" "$arena" -- "$BIN/escape"
}

# Nothing got through, nothing broke, and that many attempts were made.
is_tight() {
    echo "$output" | grep -v '^ok' || :
    [ "$status" -eq 0 ] && ! echo "$output" | grep -q '^not ok' && [ "$(echo "$output" | grep -c '^ok')" -ge 110 ]
}

profiles="front engine-cpu engine-cuda job-preflight job-fetch job-verify foreign"

@test "a user without any capability: nothing gets out under any profile, and what must work works" {
    AS=(bare)
    for p in $profiles; do
        run escape "$p"
        is_tight || { echo "profile $p, status $status"; return 1; }
    done
}

@test "root that becomes another user: nothing gets out" {
    need_root
    AS=()
    for p in $profiles; do
        run escape --uid "$USER_ID" "$p"
        is_tight || { echo "profile $p, status $status"; return 1; }
    done
}

@test "root that stays root: nothing gets out, and the report calls it missing" {
    need_root
    AS=()
    for p in $profiles; do
        run escape --report "$p"
        is_tight || { echo "profile $p, status $status"; return 1; }
        [[ "$output" == *"layer identity           missing"* ]]
    done
}

@test "every layer counts: left out, something gets through" {
    AS=(bare)
    run escape --without landlock engine-cpu
    [ "$(echo "$output" | grep -c 'GOT THROUGH')" -ge 10 ]
    run escape --without seccomp engine-cpu
    [ "$(echo "$output" | grep -c 'GOT THROUGH')" -ge 15 ]
    run escape --without args foreign
    [ "$(echo "$output" | grep -c 'GOT THROUGH')" -ge 3 ]
    run escape --level off engine-cpu
    [ "$(echo "$output" | grep -c 'GOT THROUGH')" -ge 30 ]
}

@test "on kernels with an older Landlock our own servers are as tight, but the start says what is absent" {
    AS=(bare)
    for abi in 1 3 4 5; do
        run escape --abi "$abi" --report engine-cpu
        is_tight || { echo "ABI $abi, status $status"; return 1; }
    done
    run escape --abi 4 --report foreign
    [[ "$output" == *"landlock-scope     missing  - Landlock ABI 4 has no scopes (Linux 6.12)"* ]]
}

@test "the report agrees with what the kernel shows" {
    AS=(bare)
    run escape --report front
    [ "$status" -eq 0 ]
    for layer in identity capabilities no-new-privs seccomp exec-once; do
        echo "$output" | grep -q "^layer $layer *on *verified" || { echo "$output" | grep ^layer; return 1; }
    done
}

@test "strict starts where every layer is there" {
    AS=(bare)
    run escape --level strict engine-cpu
    is_tight
}

@test "strict refuses to start with status 100 and names what is missing" {
    AS=(bare)
    run -100 escape --level strict --abi 0 engine-cpu
    [[ "$output" == *"strict, and missing are: landlock-files (the kernel has no Landlock"* ]]
    run -100 escape --level strict --abi 2 engine-cpu
    [[ "$output" == *"does not stop truncation"* ]]
    need_root
    AS=()
    run -100 escape --level strict front
    [[ "$output" == *"identity (runs as user 0"* ]]
}

@test "a granted path that does not exist stops the start with its name" {
    AS=(bare)
    run -100 escape --grant R:/no/such/folder engine-cpu
    [[ "$output" == *"'/no/such/folder'"* ]]
}

@test "a server that runs several programs works under foreign, and only granted ones run" {
    AS=(bare)
    arena=$BATS_TEST_TMPDIR/arena
    # shellcheck disable=SC2016 # for the inner shell
    run bare "$BIN/inbox" foreign "$arena" -- /bin/sh -c 'ls / > /dev/null 2>&1 && exit 1; set -e
        echo "$(cat "$HOLDFAST_TEST_ARENA/model/model.safetensors")"; (exit 0) & wait
        ! "$HOLDFAST_TEST_ARENA/outside/program" 2> /dev/null; ! cat "$HOLDFAST_TEST_ARENA/outside/token" 2> /dev/null
        ! echo x > "$HOLDFAST_TEST_ARENA/model/model.safetensors"; [ -z "$HF_TOKEN" ]; echo done'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"the weights, as they must stay"* ]]
    [[ "$output" == *done ]]
}

@test "a grant on /proc stays good when the kernel drops its caches" {
    need_root
    [ -w /proc/sys/vm/drop_caches ] || skip "needs /proc/sys/vm/drop_caches"
    arena=$BATS_TEST_TMPDIR/arena
    "$BIN/inbox" --uid "$USER_ID" --grant "R:$BIN" engine-cuda "$arena" -- "$BIN/escape" --wait-then-name "$arena/scratch/go" 3>&- &
    echo $! > "$BATS_TEST_TMPDIR/pid"
    for _ in $(seq 200); do [ -e "$arena/scratch/ready" ] && break; read -rt 0.05 _ <> <(:) || :; done
    echo 2 > /proc/sys/vm/drop_caches
    : > "$arena/scratch/go"
    wait "$(cat "$BATS_TEST_TMPDIR/pid")"
}
