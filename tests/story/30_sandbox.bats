#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154 # bats runs each test in a shell of its own, and sets stderr
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
    cp build/release/tests/inbox build/release/tests/escape build/release/bin/holdfast "$BIN/"
    local d=$BIN
    while [ "$d" != / ] && [ -O "$d" ]; do chmod a+rx "$d"; d=$(dirname "$d"); done
    export USER_ID=65532
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    ARENA=$BATS_TEST_TMPDIR/arena
    mkdir "$ARENA"
    chmod 777 "$ARENA"
    # A user with no capability at all, as in a pod under the restricted standard.
    BARE=(setpriv --no-new-privs)
    [ "$(id -u)" -ne 0 ] || BARE+=(--reuid "$USER_ID" --regid "$USER_ID" --clear-groups --bounding-set=-all --inh-caps=-all)
    local d=$BATS_TEST_TMPDIR
    while [ "$d" != / ] && [ -O "$d" ]; do chmod a+x "$d"; d=$(dirname "$d"); done
}

need_root() { [ "$(id -u)" -eq 0 ] || skip "needs root to become another user"; }

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
    AS=("${BARE[@]}")
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
    AS=("${BARE[@]}")
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
    AS=("${BARE[@]}")
    for abi in 1 3 4 5; do
        run escape --abi "$abi" --report engine-cpu
        is_tight || { echo "ABI $abi, status $status"; return 1; }
    done
    run escape --abi 4 --report foreign
    [[ "$output" == *"landlock-scope     missing  - Landlock ABI 4 has no scopes (Linux 6.12)"* ]]
}

@test "the report agrees with what the kernel shows" {
    AS=("${BARE[@]}")
    run escape --report front
    [ "$status" -eq 0 ]
    for layer in identity capabilities no-new-privs seccomp exec-once; do
        echo "$output" | grep -q "^layer $layer *on *verified" || { echo "$output" | grep ^layer; return 1; }
    done
}

@test "strict starts where every layer is there" {
    AS=("${BARE[@]}")
    run escape --level strict engine-cpu
    is_tight
}

@test "strict refuses to start with status 100 and names what is missing" {
    AS=("${BARE[@]}")
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
    AS=("${BARE[@]}")
    run -100 escape --grant R:/no/such/folder engine-cpu
    [[ "$output" == *"'/no/such/folder'"* ]]
}

@test "a server that runs several programs works under foreign, and only granted ones run" {
    AS=("${BARE[@]}")
    arena=$BATS_TEST_TMPDIR/arena
    # shellcheck disable=SC2016 # for the inner shell
    run "${BARE[@]}" "$BIN/inbox" foreign "$arena" -- /bin/sh -c 'ls / > /dev/null 2>&1 && exit 1; set -e
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

@test "the GPU engine computes the same inside its profile, on the emulated device" {
    [ -e build/release/tests/libholdfast-emu-driver.so ] || skip "needs the emulated device (make emu)"
    mkdir -p "$BIN/build/tests" "$BIN/little"
    cp build/release/libexec/holdfast-runtime "$BIN/"
    cp build/release/tests/libholdfast-cuda.so build/release/tests/libholdfast-emu-driver.so "$BIN/build/tests/"
    cp examples/little-model/checkpoint/* "$BIN/little/"
    chmod -R a+rX "$BIN"
    asked=("$BIN/holdfast-runtime" eval --model "$BIN/little" --ids "1,2,3" --next 2 --backend cuda
        --backend-lib "$BIN/build/tests/libholdfast-cuda.so" --cuda-driver "$BIN/build/tests/libholdfast-emu-driver.so")
    run -0 --separate-stderr "${BARE[@]}" "${asked[@]}"
    plain=$output
    run -0 --separate-stderr "${BARE[@]}" "$BIN/inbox" --level strict --grant "R:$BIN" engine-cuda "$BATS_TEST_TMPDIR/arena" -- "${asked[@]}"
    [ -n "$plain" ] && [ "$output" = "$plain" ]
}

# served OPTION... PROFILE: the attempts again, started by holdfast itself, with a listening socket handed over and a port,
# a file, a program and another process of the same user to attack.
served() {
    local profile=${*: -1} arena=$BATS_TEST_TMPDIR/served status=0
    set -- "${@:1:$#-1}"
    rm -rf "$arena"
    mkdir -p "$arena"/{model,outside,scratch,state}
    echo "the weights" > "$arena/model/model.safetensors"
    echo token > "$arena/outside/token"
    printf '#!/bin/sh\n' > "$arena/outside/program"
    chmod -R 777 "$arena"
    python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); open(sys.argv[1], "w").write(str(s.getsockname()[1])); time.sleep(100)' "$arena/port" > /dev/null 2>&1 3>&- &
    local origin=$!
    "${VICTIM_AS[@]}" sleep 100 > /dev/null 2>&1 3>&- &
    local victim=$!
    for _ in $(seq 200); do [ -s "$arena/port" ] && break; read -rt 0.05 _ <> <(:) || :; done
    HF_TOKEN=hf_secret TMPDIR=$arena/scratch HOLDFAST_TEST_ARENA=$arena HOLDFAST_TEST_PROFILE=$profile HOLDFAST_TEST_PORT=$(cat "$arena/port") HOLDFAST_TEST_VICTIM=$victim \
        "${AS[@]}" "$BIN/holdfast" --profile "$profile" --grant "r:$BIN" --model "$arena/model" --state-dir "$arena/state" --listen 127.0.0.1:0 \
        "$@" -- "$BIN/escape" 2> "$arena/log" || status=$?
    kill -0 "$victim" || echo "not ok - the other process was killed"
    [ "$(cat "$arena/model/model.safetensors")" = "the weights" ] || echo "not ok - the weights changed"
    kill "$origin" "$victim"
    cat "$arena/log" >&2
    return $status
}

@test "holdfast locks its server in: no socket outwards, no token, no exec, no trace, no write to the weights" {
    AS=("${BARE[@]}") VICTIM_AS=("${BARE[@]}")
    for p in front engine-cpu; do
        run --separate-stderr served --sandbox strict "$p"
        is_tight || { echo "profile $p, status $status"; echo "$stderr" | tail -3; return 1; }
        for what in "connect to a port" "read a file outside" "run a program of the system" "trace the supervisor" "open the weights for writing" \
            "read the supervisor's environment" "read process 1's environment" "read the service account" "see the hub's token"; do
            echo "$output" | grep -q "^ok .* must be refused: $what (" || { echo "not tried: $what"; return 1; }
        done
    done
}

@test "holdfast locks a foreign server in, as root that becomes another user" {
    need_root
    AS=() VICTIM_AS=("${BARE[@]}")
    run --separate-stderr served --sandbox strict --run-as "$USER_ID:$USER_ID" --bind-port 47012 --connect-port 47013 foreign
    is_tight || { echo "status $status"; echo "$stderr" | tail -3; return 1; }
}

@test "no secret stands in the environment that the kernel shows of holdfast" {
    HF_TOKEN=hf_secret_7 MY_PASSWORD=hf_secret_8 https_proxy=http://u:hf_secret_9@h "$BIN/holdfast" --state-dir "$BATS_TEST_TMPDIR" \
        -- sh -c 'echo started; exec sleep 100' > "$BATS_TEST_TMPDIR/out" 2> "$BATS_TEST_TMPDIR/log" 3>&- &
    local pid=$!
    for _ in $(seq 200); do [ -s "$BATS_TEST_TMPDIR/out" ] && break; read -rt 0.05 _ <> <(:) || :; done
    run -0 grep -c . "$BATS_TEST_TMPDIR/out"
    run -1 grep -a hf_secret "/proc/$pid/environ"
    run -1 grep hf_secret "$BATS_TEST_TMPDIR/log"
    # The server gets what is its own (a password, the proxy), not holdfast's token.
    run -0 cat "/proc/$(cat "/proc/$pid/task/$pid/children" | tr -d ' ')/environ"
    [[ "$output" == *hf_secret_8* ]]
    [[ "$output" != *hf_secret_7* ]]
    kill "$pid"
    wait "$pid" || :
}

@test "the log says which layers hold the server, which were seen by the kernel's word, and what is missing" {
    "$BIN/holdfast" --state-dir "$BATS_TEST_TMPDIR" --log-level info --sandbox best-effort -- sleep 100 > /dev/null 2> "$BATS_TEST_TMPDIR/log" 3>&- &
    local pid=$!
    for _ in $(seq 200); do grep -q '"ev":"sandbox"' "$BATS_TEST_TMPDIR/log" && break; read -rt 0.05 _ <> <(:) || :; done
    run -0 grep '"ev":"sandbox"' "$BATS_TEST_TMPDIR/log"
    echo "$output"
    [[ "$output" == *'"profile":"foreign","level":"best-effort"'* ]]
    [[ "$output" == *'"verified":"'*'capabilities, no-new-privs, seccomp'* ]]
    [ "$(id -u)" -ne 0 ] || [[ "$output" == *'"missing":"identity (runs as user 0'* ]]
    run -0 "$BIN/holdfast" status --json --state-dir "$BATS_TEST_TMPDIR"
    [[ "$output" == *'"profile":"foreign"'*'"applied":['*'"seccomp"'* ]]
    [[ "$output" == *'"reasons":{'*'"environment":"all but holdfast'* ]]
    kill "$pid"
    wait "$pid" || :
}

@test "a user to become is never forgotten in silence: without a sandbox it is refused" {
    run --separate-stderr "$BIN/holdfast" --state-dir "$BATS_TEST_TMPDIR" --run-as "$USER_ID:$USER_ID" -- true
    [ "$status" -eq 65 ]
    [[ "$stderr" == *"--run-as is done by the sandbox"* ]]
    need_root
    mkdir "$BATS_TEST_TMPDIR/state"
    run -0 --separate-stderr "$BIN/holdfast" --state-dir "$BATS_TEST_TMPDIR/state" --sandbox strict --run-as "$USER_ID:$USER_ID" -- /usr/bin/id -u
    [ "$output" = "$USER_ID" ]
}

@test "holdfast refuses to start what strict cannot have: status 100 and the layer's name" {
    need_root
    AS=() VICTIM_AS=()
    run --separate-stderr served --sandbox strict engine-cpu
    [ "$status" -eq 100 ]
    [[ "$stderr" == *identity* ]]
}
