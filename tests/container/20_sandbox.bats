#!/usr/bin/env bats
# The sandbox inside a real container: an image that holds three static programs and nothing else, run by podman as in a pod
# under the restricted standard (a user without capabilities, no-new-privs, the default seccomp profile, read-only root).
# All layers still apply there, and nothing gets out. Without them, most attempts on the supervisor succeed.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    if [ "$(id -u)" -ne 0 ]; then export WHY="needs root"; return 0; fi
    for tool in podman unshare; do
        command -v $tool > /dev/null || { export WHY="needs $tool"; return 0; }
    done
    local root=$BATS_FILE_TMPDIR/root
    mkdir -p "$root/bin" "$root/tmp" "$root/proc" "$root/dev" "$root/etc"
    cp build/release/tests/inbox build/release/tests/escape build/release/bin/holdfast "$root/bin/"
    tar -C "$root" -cf "$BATS_FILE_TMPDIR/root.tar" .
    bash tests/container/in.sh podman import -q "$BATS_FILE_TMPDIR/root.tar" localhost/holdfast-escape:test > /dev/null 2>&1
}

teardown_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -n "${WHY:-}" ] || bash tests/container/in.sh podman rmi -f localhost/holdfast-escape:test > /dev/null 2>&1 || :
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${WHY:-}" ] || skip "$WHY"
}

# pod PODMAN_OPTION... -- COMMAND...
pod() {
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    bash tests/container/in.sh podman run --rm --network none --read-only --tmpfs /tmp:mode=1777 "${options[@]}" localhost/holdfast-escape:test "$@"
}
RESTRICTED=(--user 65532 --cap-drop all --security-opt no-new-privileges)

is_tight() {
    echo "$output" | grep -v '^ok' || :
    [ "$status" -eq 0 ] && ! echo "$output" | grep -q '^not ok' && [ "$(echo "$output" | grep -c '^ok')" -ge 110 ]
}

@test "in a restricted pod every layer applies and nothing gets out" {
    for p in front engine-cpu engine-cuda job-preflight job-fetch job-verify foreign; do
        run pod "${RESTRICTED[@]}" -- /bin/inbox --level strict --report --grant R:/bin "$p" /tmp/arena -- /bin/escape
        is_tight || { echo "profile $p, status $status"; return 1; }
        ! echo "$output" | grep '^layer .* missing'
    done
}

@test "without the sandbox the pod's own walls stop less than half" {
    run pod "${RESTRICTED[@]}" -- /bin/inbox --level off engine-cpu /tmp/arena -- /bin/escape
    [ "$(echo "$output" | grep -c 'GOT THROUGH')" -ge 40 ]
}

@test "as root with podman's default capabilities nothing gets out either" {
    run pod -- /bin/inbox --grant R:/bin engine-cpu /tmp/arena -- /bin/escape
    is_tight
    run pod -- /bin/inbox --level strict --uid 65532 --grant R:/bin engine-cuda /tmp/arena -- /bin/escape
    is_tight
}

@test "a profile that hides Landlock and seccomp is reported, best-effort goes on, strict ends with 100" {
    local profile=$BATS_TEST_TMPDIR/profile.json
    cat > "$profile" << 'JSON'
{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
JSON
    run pod "${RESTRICTED[@]}" --security-opt seccomp="$profile" -- /bin/inbox --report --grant R:/bin engine-cpu /tmp/arena -- /bin/escape
    [[ "$output" == *"layer landlock-files     missing  - Landlock is refused by the container's profile"* ]]
    [[ "$output" == *"layer seccomp            missing  - refused by the container's profile"* ]]
    [[ "$output" == *"must be refused: become root"* ]]
    run pod "${RESTRICTED[@]}" --security-opt seccomp="$profile" -- /bin/inbox --level strict --grant R:/bin engine-cpu /tmp/arena -- /bin/escape
    [ "$status" -eq 100 ]
    [[ "$output" == *"landlock-files (Landlock is refused by the container's profile)"* ]]
}

@test "holdfast as process 1 of a restricted pod locks its server in" {
    run pod "${RESTRICTED[@]}" --env HF_TOKEN=hf_secret --env HOLDFAST_TEST_PROFILE=engine-cpu --env HOLDFAST_TEST_ARENA=/tmp -- \
        /bin/holdfast --sandbox strict --profile engine-cpu --grant r:/bin --state-dir /tmp -- /bin/escape
    echo "$output" | grep '^not ok' || :
    for what in "read the supervisor's environment" "read process 1's environment" "read the supervisor's memory" "trace the supervisor" \
        "signal the supervisor" "limit the supervisor" "connect to a port" "fork" "see the hub's token" "read the service account"; do
        echo "$output" | grep -q "^ok .* must be refused: $what (" || { echo "got through or not tried: $what"; return 1; }
    done
}
