#!/usr/bin/env bash
# run.sh: docker/compose.yaml up with the little model, until the container is healthy; one chat; down.
# COMPOSE= and ENGINE= name other tools than those found (COMPOSE='podman-compose' ENGINE=podman), IMAGE= another image.
# shellcheck disable=SC2154 # what is used here without a word comes from show.bash
. "$(dirname "$0")/../show.bash"

if [ -n "${COMPOSE:-}" ]; then
    engine=${ENGINE:-docker}
elif docker compose version > /dev/null 2>&1 && docker info > /dev/null 2>&1; then
    COMPOSE='docker compose' engine=docker
elif command -v podman-compose > /dev/null; then
    COMPOSE=podman-compose engine=podman
else
    echo 'this example needs docker with compose, or podman-compose' >&2
    exit 69
fi
read -ra compose <<< "$COMPOSE"
compose+=(-p holdfast-example -f docker/compose.yaml)
export API_PORT=$api STATUS_PORT=$status
export IMAGE=${IMAGE:-localhost/holdfast-runtime:$(cat VERSION)}
if ! "$engine" image inspect "$IMAGE" > /dev/null 2>&1; then
    say "the image is not there yet: make image IMAGE=$IMAGE"
    make -s image IMAGE="$IMAGE" || exit 1
fi

down() { "${compose[@]}" down -t 30 > "$work/down" 2>&1; }
trap '[ $? = 0 ] || "$engine" logs "$(container)" 2>&1 | tail -n 20; down; finish' EXIT
container() { "$engine" ps -aq --filter label=com.docker.compose.project=holdfast-example | head -n 1; }
# Docker asks by itself; a Podman without systemd has no timer and is told to ask.
healthy() {
    [ "$("$engine" inspect -f '{{.State.Health.Status}}' "$(container)")" = healthy ] || { [ "$engine" = podman ] && podman healthcheck run "$(container)"; }
}

say "$COMPOSE -f docker/compose.yaml up -d"
"${compose[@]}" up -d > "$work/up" 2>&1 || { cat "$work/up" >&2; wrong 'it did not come up'; }
await 'a healthy container' 120 healthy
say 'the container is healthy: its HEALTHCHECK is "holdfast probe ready", there is no shell and no curl inside'
"$engine" exec "$(container)" /opt/holdfast/bin/holdfast status | sed 's/^/    /'

say "one chat from outside, at http://127.0.0.1:$api/v1"
answer=$("$H" ask "http://127.0.0.1:$api/v1" --text 'Open the settings' 2> "$work/ask") || { cat "$work/ask" >&2; wrong 'no answer'; }
echo "    $answer"

say 'the process in it is user 10001 without capabilities, on a read-only root'
"$engine" inspect -f '    user {{.Config.User}}, read-only root {{.HostConfig.ReadonlyRootfs}}' "$(container)"

say "$COMPOSE -f docker/compose.yaml down"
"$engine" stop -t 30 "$(container)" > "$work/stop" 2>&1
code=$("$engine" inspect -f '{{.State.ExitCode}}' "$(container)")
[ "$code" = 0 ] || wrong "the container ended with status $code"
down || { cat "$work/down" >&2; wrong 'it did not go down'; }
[ -z "$(container)" ] || wrong 'the container is still there'
say 'it ended with status 0 and is gone'
