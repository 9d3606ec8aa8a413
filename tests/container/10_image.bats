# The image in real containers: built by buildah on a Debian base, run by podman as process 1, as root and as a user that no file
# knows, with a read-only root, limits and no network; stopped, checked, looked into.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    if [ "$(id -u)" -ne 0 ]; then export WHY="needs root"; return 0; fi
    for tool in podman buildah debootstrap unshare; do
        command -v $tool > /dev/null || { export WHY="needs $tool"; return 0; }
    done
    log=$BATS_FILE_TMPDIR/build.log
    if ! { bash tests/container/in.sh bash tests/container/base.sh localhost/holdfast-base:12 &&
           bash tests/container/in.sh buildah bud --layers --network host -q -f docker/Dockerfile --build-arg BASE=localhost/holdfast-base:12 --target runtime-cpu -t holdfast-runtime:test . &&
           bash tests/container/in.sh buildah bud --layers --network host -q -f docker/Dockerfile --build-arg BASE=localhost/holdfast-base:12 --target holdfast -t holdfast:test .; } > "$log" 2>&1; then
        tail -20 "$log" >&3
        return 1
    fi
    # The volume: the little model with its manifest, owned by nobody in particular.
    export MODELS=$BATS_FILE_TMPDIR/models
    mkdir -p "$MODELS"
    cp -r examples/little-model/checkpoint "$MODELS/little"
    build/release/bin/holdfast verify "$MODELS/little" --write-manifest > /dev/null 2>&1
    chmod -R a+rX "$MODELS"
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${WHY:-}" ] || skip "$WHY"
    NAME=hold-$BATS_TEST_NUMBER-$$
}

teardown() {
    [ -z "${NAME:-}" ] || box rm -f -t 0 "$NAME" > /dev/null 2>&1 || true
}

box() { bash tests/container/in.sh podman "$@"; }

# ready NAME: waits until holdfast inside says so, at most a minute.
ready() {
    for _ in $(seq 120); do
        box exec "$1" /opt/holdfast/bin/holdfast probe ready > /dev/null 2>&1 && return 0
        [ "$(box inspect -f '{{.State.Running}}' "$1")" = true ] || { box logs "$1" 2>&1 | tail -20; return 1; }
        sleep 0.5
    done
    box logs "$1" 2>&1 | tail -20
    return 1
}

@test "image_serves_as_root" {
    box run -d --name "$NAME" --network none -m 1g -v "$MODELS:/models" holdfast-runtime:test run --model /models/little
    ready "$NAME"
    box exec "$NAME" /opt/holdfast/bin/holdfast status --json | grep -q '"ready"'
}

@test "image_serves_as_any_user_with_a_read_only_root" {
    box run -d --name "$NAME" --network none -m 1g --pids-limit 200 --user 1234567:0 --read-only --cap-drop ALL --security-opt no-new-privileges \
        --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp -v "$MODELS:/models:ro" holdfast-runtime:test run --model /models/little
    ready "$NAME"
}

@test "podman_stop_ends_within_the_grace_with_status_0" {
    box run -d --name "$NAME" --network none -v "$MODELS:/models:ro" --user 1234567:0 --read-only --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp holdfast-runtime:test run --model /models/little
    ready "$NAME"
    begun=$(date +%s)
    box stop -t 30 "$NAME"
    [ $(($(date +%s) - begun)) -lt 15 ]
    [ "$(box inspect -f '{{.State.ExitCode}}' "$NAME")" = 0 ]
}

@test "missing_model_ends_at_once_with_its_own_status_and_a_cure" {
    run box run --name "$NAME" --network none --user 1234567:0 --read-only --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp holdfast-runtime:test run --model /models/nothing
    [ "$status" -ge 64 ] && [ "$status" -le 99 ]
    [[ "$output" == *model* ]]
}

@test "orphans_of_a_command_are_reaped_and_its_status_passes_through" {
    run box run --rm -v /bin/busybox:/busybox:ro holdfast:test --restart never -- /busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do /busybox sh -c "/busybox sleep 0.1 &" & done; wait; /busybox sleep 0.5; /busybox ps -o stat; exit 7'
    [ "$status" -eq 7 ]
    ! grep -q '^Z' <<< "$output"
}

@test "last_stage_has_no_shell_and_is_small" {
    box create --name "$NAME" holdfast-runtime:test > /dev/null
    box export "$NAME" | tar -t > "$BATS_TEST_TMPDIR/files"
    ! grep -qE '(^|/)(sh|bash|dash|busybox|apt|dpkg)$' "$BATS_TEST_TMPDIR/files"
    bytes=$(box image inspect -f '{{.Size}}' holdfast-runtime:test)
    echo "runtime-cpu: $bytes bytes"
    [ "$bytes" -lt 60000000 ]
}

@test "prefix_copied_into_an_empty_image_runs" {
    mkdir -p "$BATS_TEST_TMPDIR/ctx"
    printf 'FROM localhost/holdfast:test AS h\nFROM scratch\nCOPY --from=h /opt/holdfast /an/odd/place\nENTRYPOINT ["/an/odd/place/bin/holdfast"]\n' > "$BATS_TEST_TMPDIR/ctx/Dockerfile"
    bash tests/container/in.sh buildah bud -q -t holdfast-odd:test "$BATS_TEST_TMPDIR/ctx"
    run box run --rm --name "$NAME" holdfast-odd:test version
    [ "$status" -eq 0 ]
    run box run --rm --name "$NAME" holdfast-odd:test doctor
    [[ "$output" == *kernel* ]]
}
