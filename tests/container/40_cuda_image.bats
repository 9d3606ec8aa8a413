#!/usr/bin/env bats
# The image with the GPU plug-in: built (the toolkit's wheels, 0.4 GB, and minutes of nvcc, so in soak alone), and run where there is no GPU.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    if [ -z "${HOLD_SOAK:-}" ]; then export WHY="builds for minutes: make soak runs it"; return 0; fi
    if [ "$(id -u)" -ne 0 ]; then export WHY="needs root"; return 0; fi
    for tool in podman buildah debootstrap unshare; do
        command -v $tool > /dev/null || { export WHY="needs $tool"; return 0; }
    done
    # The base trusts what this machine trusts, as a company's own base does.
    local context=$BATS_FILE_TMPDIR/base
    mkdir -p "$context"
    cp /etc/ssl/certs/ca-certificates.crt "$context/"
    printf 'FROM localhost/holdfast-base:12\nCOPY ca-certificates.crt /etc/ssl/certs/\n' > "$context/Dockerfile"
    if ! { bash tests/container/in.sh bash tests/container/base.sh localhost/holdfast-base:12 &&
           bash tests/container/in.sh buildah bud -q -t holdfast-base:trusting "$context" &&
           bash tests/container/in.sh make -s image IMAGE_TOOL=buildah IMAGE_TARGET=runtime-cuda IMAGE=holdfast-runtime-cuda:test IMAGE_FORMAT=oci \
               BASE_IMAGE=localhost/holdfast-base:trusting IMAGE_FLAGS="--network host -q"; } > "$BATS_FILE_TMPDIR/log" 2>&1; then
        tail -20 "$BATS_FILE_TMPDIR/log" >&3
        return 1
    fi
    export MODEL=$BATS_FILE_TMPDIR/little
    cp -r examples/little-model/checkpoint "$MODEL"
    chmod -R a+rwX "$MODEL"
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${WHY:-}" ] || skip "$WHY"
    NAME=hold-cuda-$BATS_TEST_NUMBER-$$
}

teardown() {
    [ -z "${NAME:-}" ] || box rm -f -t 0 "$NAME" > /dev/null 2>&1 || true
}

box() { bash tests/container/in.sh podman "$@"; }

@test "it holds the CPU image's files and the plug-in" {
    box create --name "$NAME" holdfast-runtime-cuda:test > /dev/null
    box export "$NAME" | tar -t | sed 's|^\./||; s|/$||' | sort > "$BATS_TEST_TMPDIR/is"
    { cat docker/contents.holdfast-runtime.txt; echo opt/holdfast/lib/holdfast/libholdfast-cuda.so; } | sort > "$BATS_TEST_TMPDIR/allowed"
    diff "$BATS_TEST_TMPDIR/allowed" "$BATS_TEST_TMPDIR/is"
    [ "$(box image inspect -f '{{.Size}}' holdfast-runtime-cuda:test)" -lt 35000000 ]
}

@test "without a GPU it serves on the CPU" {
    box run -d --name "$NAME" --network none -v "$MODEL:/models" holdfast-runtime-cuda:test
    for _ in $(seq 120); do
        box exec "$NAME" /opt/holdfast/bin/holdfast probe ready > /dev/null 2>&1 && return 0
        sleep 0.5
    done
    box logs "$NAME" 2>&1 | tail -20
    return 1
}

@test "a GPU that is asked for and not there ends it with its own status and says what is missing" {
    run box run --rm --name "$NAME" --network none -v "$MODEL:/models" holdfast-runtime-cuda:test run --device cuda
    [ "$status" -eq 75 ]
    [[ "$output" == *libcuda* || "$output" == *driver* || "$output" == */dev/nvidia* ]]
}
