#!/usr/bin/env bats
# doctor and preflight: every finding at once, each with what was measured, what is needed and the cure; dependencies are
# waited for with back-off. On the real binary and this machine.

load ../helpers/origin

setup_file() {
    origin_setup
    export LITTLE=$TOP/examples/little-model/checkpoint
}
teardown_file() { origin_stop; }
setup() {
    M=$BATS_TEST_TMPDIR/model
    cp -r "$LITTLE" "$M"
    : > "$LOG"
}

doctor() {
    run timeout 60 "$JOB" doctor --device cpu "$@"
    echo "$output"
}

finding() { # ID SEVERITY WORD...: in the JSON output
    python3 - "$@" <<< "$output" 3<<< "$output" << 'PY'
import json, os, sys
found = [f for f in json.load(os.fdopen(3))['findings'] if f['id'] == sys.argv[1] and f['severity'] == sys.argv[2]]
assert found, 'no such finding'
text = json.dumps(found)
for word in sys.argv[3:]:
    assert word in text, 'does not say: ' + word
for f in found:
    assert f['what'] and f['measured'] and f['needed'] and (f['cure'] or f['severity'] == 'ok'), f
PY
}

@test "a sound machine and model: status 0, and a line for each thing that was judged" {
    doctor --model "$M" --state-dir "$BATS_TEST_TMPDIR"
    [ "$status" -eq 0 ]
    [[ "$output" == *"0 to cure, "*" in order"* ]]
    [[ "$output" == *'model_type "glm4v"'* ]]
    [[ "$output" != *fail* ]]
}

@test "no model and no source; with a source it is a note" {
    doctor --model "$M/none" --json
    [ "$status" -eq 71 ]
    finding model-config fail "does not exist" "--model-source"
    doctor --model "$M/none" --model-source "$URL/" --json
    [ "$status" -eq 0 ]
    finding model-config note fetched
}

@test "a missing shard and a git-lfs pointer are named" {
    rm "$M"/model-00002*
    doctor --model "$M" --json
    [ "$status" -eq 71 ]
    finding model-weights fail "1 missing, first model-00002"
    rm "$M"/*.index.json
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n' > "$M/model-00001-of-00003.safetensors"
    doctor --model "$M" --json
    [ "$status" -eq 71 ]
    finding model-weights fail "git-lfs pointer" "git lfs pull"
}

@test "a config that cannot be read, and one of another model" {
    echo '{"model_type": "llama"}' > "$M/config.json"
    doctor --model "$M" --json
    [ "$status" -eq 97 ] # as verify says it after a fetch
    finding model-config fail llama "holdfast -- COMMAND"
    doctor --model "$M" --foreign --json
    [ "$status" -eq 0 ]
    echo '{"model_type":' > "$M/config.json"
    doctor --model "$M" --json
    [ "$status" -eq 70 ]
    finding model-config fail "byte"
}

@test "as a user who may not: which path, whose it is, what to set" {
    [ "$(id -u)" -eq 0 ] || skip "becoming another user needs root"
    chmod 755 "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.." "$BATS_RUN_TMPDIR" "$M"
    cp "$JOB" "$BATS_TEST_TMPDIR/job"
    chmod 600 "$M/config.json" "$M/model-00001-of-00003.safetensors"
    mkdir -m 755 "$BATS_TEST_TMPDIR/state"
    run setpriv --reuid 12345 --regid 12345 --clear-groups env HOME=/nowhere "$BATS_TEST_TMPDIR/job" doctor --device cpu --model "$M" --state-dir "$BATS_TEST_TMPDIR/state" --foreign --json
    echo "$output"
    [ "$status" -eq 74 ]
    finding model-config fail "Permission denied" 12345
    finding model-weights fail model-00001-of-00003
    finding path-write fail "owner 0:0 mode 0755" "--state-dir"
    finding home warn /nowhere
}

@test "a disk that cannot hold the model" {
    [ "$(id -u)" -eq 0 ] || skip "a small mount needs root"
    mkdir "$BATS_TEST_TMPDIR/small"
    mount -t tmpfs -o size=1m none "$BATS_TEST_TMPDIR/small" 2> /dev/null || skip "a tmpfs cannot be mounted here"
    doctor --model "$BATS_TEST_TMPDIR/small/m" --model-source "$URL/" --manifest "$ROOT/holdfast.manifest.json" --fetch-reserve 1MiB --json
    umount "$BATS_TEST_TMPDIR/small"
    [ "$status" -eq 73 ]
    finding disk fail "1.0 MiB free" "10.5 MiB to fetch" "grow the volume by"
}

@test "a memory limit below what is needed names the file and the figure" {
    doctor --memory 900TB --json
    [ "$status" -eq 72 ]
    finding memory-limit fail "resources.limits.memory"
    [ "$(id -u)" -eq 0 ] || skip "making a cgroup needs root"
    if [ -w /sys/fs/cgroup/memory ]; then group=/sys/fs/cgroup/memory/hold-doctor-$$ file=memory.limit_in_bytes
    elif grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2> /dev/null; then group=/sys/fs/cgroup/hold-doctor-$$ file=memory.max
    else skip "no memory cgroup can be made here"; fi
    mkdir "$group" 2> /dev/null || skip "no memory cgroup can be made here"
    echo 209715200 > "$group/$file"
    run sh -c 'echo $$ > "$1/cgroup.procs" && exec "$2" doctor --device cpu --model "$3" --json' sh "$group" "$JOB" "$M"
    rmdir "$group"
    echo "$output"
    [ "$status" -eq 72 ]
    finding memory-limit fail "200.0 MiB" "$file"
}

@test "a dependency that is down, and one that comes while it is waited for" {
    doctor --need tcp://127.0.0.1:1 --json
    [ "$status" -eq 77 ]
    finding dependency fail 127.0.0.1:1
    run "$JOB" preflight --device cpu --need "$URL/~status:503:2+$BATS_TEST_NUMBER/config.json" --need "tcp://127.0.0.1:$PORT" --need-backoff 50ms --need-timeout 20s
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c '503' "$LOG")" -ge 2 ]
    [[ "$output" == *'"measured":"HTTP 503'* ]]
}

@test "a dependency that never comes: within its time, and back-off grows" {
    begun=$(date +%s%N)
    run "$JOB" preflight --device cpu --need tcp://127.0.0.1:1 --need-backoff 50ms --need-timeout 1s
    took=$((($(date +%s%N) - begun) / 1000000))
    echo "$output $took"
    [ "$status" -eq 77 ]
    [ "$took" -ge 900 ]
    [ "$took" -lt 3000 ]
    delays=$(grep -o '"delay_ms":[0-9]*' <<< "$output" | cut -d: -f2)
    [ "$(wc -l <<< "$delays")" -lt 8 ]
    [ "$(sed -n 3p <<< "$delays")" -gt "$(sed -n 1p <<< "$delays")" ]
}

@test "waiting is not done for what time cannot cure" {
    begun=$(date +%s)
    run "$JOB" preflight --device cpu --model /none --need tcp://127.0.0.1:1 --need-timeout 60s
    [ "$status" -eq 71 ]
    [ $(($(date +%s) - begun)) -lt 10 ]
}

@test "python packages without running python" {
    site=$BATS_TEST_TMPDIR/site
    mkdir -p "$site/Foo_Bar-1.10.0+cu12.dist-info" "$site/old-0.1-py3.11.egg-info"
    doctor --python "$site" --package 'foo-bar>=1.9' --package old --json
    [ "$status" -eq 0 ]
    run strace -f -e trace=execve "$JOB" doctor --device cpu --python "$site" --package foo-bar
    [ "$(grep -c 'execve(' <<< "$output")" -eq 1 ]
    doctor --python "$site" --package 'foo.bar>=2' --package nowhere --json
    [ "$status" -eq 78 ]
    finding package fail foo.bar 1.10.0+cu12 ">=2" nowhere "not found" "$site"
}

@test "packages are found where the server's own python would find them, from inside the sandbox" {
    local venv=$BATS_TEST_TMPDIR/srv/venv
    mkdir -p "$venv/bin" "$venv/lib/python3.11/site-packages/Foo_Bar-1.10.0.dist-info"
    printf '#!/bin/sh\nexit 0\n' > "$venv/bin/serve"
    chmod +x "$venv/bin/serve"
    start() { run timeout 60 env -u VIRTUAL_ENV -u PYTHONPATH "$@"; echo "$output"; }
    local hold=("$TOP/build/release/bin/holdfast" --state-dir "$BATS_TEST_TMPDIR/state" --preflight --sandbox best-effort --package 'foo-bar>=1.9' --)
    start "${hold[@]}" "$venv/bin/serve"
    [ "$status" -eq 78 ] # no virtual environment, only a folder that looks like one
    touch "$venv/pyvenv.cfg"
    start "${hold[@]}" "$venv/bin/serve"
    [ "$status" -eq 0 ]
    start PATH="$venv/bin:$PATH" "${hold[@]}" serve
    [ "$status" -eq 0 ]
    start VIRTUAL_ENV="$venv" "${hold[@]}" true
    [ "$status" -eq 0 ]
    start PYTHONPATH="/none:$venv/lib/python3.11/site-packages" "${hold[@]}" true
    [ "$status" -eq 0 ]
    mkdir -p "$BATS_TEST_TMPDIR/home/.local/lib" && mv "$venv/lib/python3.11" "$BATS_TEST_TMPDIR/home/.local/lib/"
    start HOME="$BATS_TEST_TMPDIR/home" "${hold[@]}" true
    [ "$status" -eq 0 ]
    start "${hold[@]}" "$venv/bin/serve"
    [ "$status" -eq 78 ]
}

@test "a GPU that is asked for and not there" {
    [ ! -e /dev/nvidiactl ] || skip "this machine has one"
    run "$JOB" doctor --device cuda --json
    echo "$output"
    [ "$status" -eq 75 ]
    finding device fail "/dev/nvidia" "nvidia.com/gpu"
}

@test "all findings at once, the one that only a person can cure is the verdict" {
    rm "$M/tokenizer.json"
    doctor --model "$M" --need tcp://127.0.0.1:1 --package nowhere --json
    [ "$status" -eq 71 ]
    finding model-tokenizer fail missing
    finding dependency fail 127.0.0.1:1
    finding package fail nowhere
}

@test "process 1 is told what is waited for and the cause" {
    run python3 "$TOP/tests/helpers/control.py" "$JOB" preflight --device cpu --need tcp://127.0.0.1:1 --need-backoff 50ms --need-timeout 300ms
    echo "$output"
    [[ "$output" == *"said STATUS=waiting for dependency tcp://127.0.0.1:1"* ]]
    [[ "$output" == *"said X_HOLDFAST_CAUSE=dependency dependency tcp://127.0.0.1:1"* ]]
    [[ "$output" == *"exit 77"* ]]
}
