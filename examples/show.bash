# show.bash - what the run.sh of the examples share: steps that a reader sees, waiting for a fact instead of a time, ending what
# was started. Sourced by an example's run.sh; the working folder is then the root of the source.
# shellcheck shell=bash disable=SC2034
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
build=${BUILD:-build/release}
H=$PWD/$build/bin/holdfast
api=${API_PORT:-8000} status=${STATUS_PORT:-8181}
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-example.XXXXXX")
log=$work/log
holdfast='' # its process id while it runs
helpers=()  # process ids of what an example starts beside it

bold=$'\033[1m' plain=$'\033[0m'
[ -t 1 ] || bold='' plain=''
say() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }
wrong() {
    printf '==> NOT AS PROMISED: %s\n' "$*" >&2
    exit 1
}
needs() { # TOOL...
    local tool
    for tool in "$@"; do
        command -v "$tool" > /dev/null || { echo "this example needs $tool" >&2; exit 69; }
    done
}

finish() {
    trap '' INT TERM
    if [ -n "$holdfast" ]; then
        kill -TERM "$holdfast" 2> /dev/null
        wait "$holdfast" 2> /dev/null
    fi
    [ ${#helpers[@]} -eq 0 ] || { kill -KILL "${helpers[@]}"; wait "${helpers[@]}"; } 2> /dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
[ -x "$H" ] || { echo "holdfast is not built yet: run make first" >&2; exit 69; }

# hold ARG...: holdfast in the background, shown as it is typed. What it and the server write is shown indented and kept in $log.
# Its state lies in the example's own folder instead of /run/holdfast.
export HOLDFAST_STATE_DIR=$work/state HOLDFAST_LOG_FORMAT=text HOLDFAST_LOG_LEVEL=info HOLDFAST_TERMINATION_LOG=$work/termination-log
hold() {
    local shown
    printf -v shown ' %q' "$@"
    say "holdfast${shown//\\/}"
    : > "$log"
    "$H" "$@" > >(tee "$log" | sed -u 's/^/    /') 2>&1 &
    holdfast=$!
}

# times TEXT: how many lines of the log have it.
times() { grep -cF -- "$1" "$log"; }

# await WHAT SECONDS COMMAND...: until the command succeeds; holdfast must live meanwhile.
await() {
    local what=$1 until=$((SECONDS + $2))
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ -z "$holdfast" ] || kill -0 "$holdfast" 2> /dev/null || wrong "holdfast ended before $what"
        [ "$SECONDS" -lt "$until" ] || wrong "$what did not come"
        read -rt 0.05 <> <(:) || :
    done
}
logged() { [ "$(times "$1")" -ge "${2:-1}" ]; } # TEXT [TIMES]

# server_pid: of the server that holdfast runs now.
server_pid() { "$H" status --json | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }

# stop: TERM to holdfast, as `docker stop` and Kubernetes do; its exit status in $code.
stop() {
    code=0
    kill -TERM "$holdfast"
    wait "$holdfast" || code=$?
    holdfast=''
}
