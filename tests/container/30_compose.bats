#!/usr/bin/env bats
# docker/compose.yaml and the lines of examples/compose, as written there, by podman-compose and podman on the image that
# 10_image.bats tests. Each runs in a network namespace of its own, where its ports, its bridge and its rules are nobody else's.

bats_require_minimum_version 1.5.0
load image
load ../helpers/examples

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    if [ "$(id -u)" -ne 0 ]; then export WHY="needs root"; return 0; fi
    for tool in podman buildah debootstrap unshare ip iptables podman-compose; do
        PATH=$PATH:/usr/sbin command -v $tool > /dev/null || { export WHY="needs $tool"; return 0; }
    done
    unshare -n true 2> /dev/null || { export WHY="needs network namespaces"; return 0; }
    local log=$BATS_FILE_TMPDIR/build.log
    if ! { bash tests/container/in.sh bash tests/container/base.sh localhost/holdfast-base:12 && image runtime-cpu holdfast-runtime:test && with_healthcheck; } > "$log" 2>&1; then
        tail -20 "$log" >&3
        return 1
    fi
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${WHY:-}" ] || skip "$WHY"
}

# alone COMMAND...: where podman works, with a loopback and nothing else.
alone() { timeout -k 30 300 unshare -n bash -c 'ip link set lo up && exec "$@"' alone bash tests/container/in.sh env IMAGE=localhost/holdfast-runtime:docker COMPOSE=podman-compose ENGINE=podman "$@" 3>&-; }

@test "the example: up, healthy, a chat, down with status 0" {
    run alone bash -c "$(command_of compose)"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *'==> the container is healthy'*'ready for '*'==> one chat from outside'*'<think>'*'user 10001:0, read-only root true'*'==> it ended with status 0 and is gone'* ]]
    ! box ps -a --format '{{.Names}}' | grep holdfast-example
}

@test "without Compose: the README's docker run line serves and stops with status 0" {
    local line
    line=$(grep '^docker run ' examples/compose/README.md)
    [ "$(wc -l <<< "$line")" -eq 1 ]
    line="podman ${line#docker }"
    line=${line/localhost\/holdfast-runtime:$(cat VERSION)/localhost\/holdfast-runtime:docker}
    line=${line/ --stop-timeout 30 / -d --stop-timeout 30 } line=${line/ --rm / }
    cat > "$BATS_TEST_TMPDIR/line.sh" <<SH
set -e
trap 'podman rm -f -t 0 holdfast > /dev/null' EXIT
$line
build/release/bin/holdfast ask http://127.0.0.1:8000/v1 --text Hi --ask-timeout 60s
curl -sf http://127.0.0.1:8181/readyz
podman healthcheck run holdfast
podman stop holdfast
echo "ended with \$(podman inspect -f '{{.State.ExitCode}} {{.Config.StopTimeout}}' holdfast)"
SH
    run alone bash "$BATS_TEST_TMPDIR/line.sh"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *'<think>'*'ended with 0 30'* ]]
}

# Compose reads its files with compose-go; podman-compose passes over what it does not know.
@test "Compose's own reader understands the file, and refuses a misspelt key" {
    local go bin=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/compose-go-2.4.7
    if [ ! -x "$bin" ]; then
        go=$(sh tests/helpers/go.sh) && GOBIN=$BATS_TEST_TMPDIR "$go" install github.com/compose-spec/compose-go/v2/cmd@v2.4.7 > "$BATS_TEST_TMPDIR/log" 2>&1 && mv "$BATS_TEST_TMPDIR/cmd" "$bin" ||
            skip "compose-go cannot be built here: $(tail -n 1 "$BATS_TEST_TMPDIR/log")"
    fi
    cd docker
    run "$bin" compose.yaml
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"source: $(dirname "$PWD")/examples/little-model/checkpoint"* ]]
    sed 's/cap_drop/cap_drp/' compose.yaml > "$BATS_TEST_TMPDIR/compose.yaml"
    run -1 "$bin" "$BATS_TEST_TMPDIR/compose.yaml"
    [[ "$output" == *cap_drp* ]]
}
