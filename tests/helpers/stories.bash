# stories.bash - what the stories of process 1 share. Sourced by bats files; a story waits for events, never for time.
# shellcheck disable=SC2016,SC2034,SC2154 # variables are read by the stories; conditions are evaluated later

story_setup() {
    TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    HOLD=$TOP/build/${VARIANT:-release}/bin/holdfast
    FAKE=$TOP/build/${VARIANT:-release}/tests/fake-server
    D=$BATS_TEST_TMPDIR
    LOG=$D/log
    export HOLDFAST_STATE_DIR=$D/state HOLDFAST_TERMINATION_LOG=$D/message HOLDFAST_LOG_FORMAT=json
    unset HOLDFAST_CONFIG
    cd "$D" || return 1
    mkfifo "$D/nothing"
    sleep 600 > "$D/nothing" 3>&- & # keeps a FIFO open, so that reading it with a timeout is a wait without a process
    FIFO_PID=$!
    exec 9< "$D/nothing"
    HOLD_PID=
}

story_teardown() {
    [ -z "$HOLD_PID" ] || kill -KILL "$HOLD_PID" 2> /dev/null || true
    exec 9<&-
    kill "$FIFO_PID" 2> /dev/null || true
    # Whatever this story left running is its failure, and is ended here.
    for pid in $(marked); do kill -KILL "$pid" 2> /dev/null || true; done
}

# marked: processes that carry this story's folder in their environment.
marked() {
    grep -lzF "HOLDFAST_STATE_DIR=$D/state" /proc/[0-9]*/environ 2> /dev/null | while IFS=/ read -r _ _ pid _; do
        case $(cut -d' ' -f3 "/proc/$pid/stat" 2> /dev/null) in Z | '') continue ;; esac
        grep -qzE 'bats' "/proc/$pid/cmdline" 2> /dev/null || [ "$pid" = "$FIFO_PID" ] || [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] || echo "$pid"
    done
}

# servers: the living fake servers of this story (the fixed part of "nothing is left running").
servers() {
    find /proc -maxdepth 2 -name exe -lname "$FAKE" 2> /dev/null | while IFS=/ read -r _ _ pid _; do
        ! grep -qzF "HOLDFAST_STATE_DIR=$D/state" "/proc/$pid/environ" 2> /dev/null || echo "$pid"
    done
}

nothing_left() { # a killed process may need a moment to leave /proc
    wait_for '[ -z "$(servers)" ]' || { echo "left running: $(servers)"; return 1; }
}

# pause: a hundredth of a second without a process (from a FIFO that nobody writes to).
pause() { read -r -t 0.01 -u 9 || true; }

# wait_for CONDITION [SECONDS]: until the shell condition holds.
wait_for() {
    local until=$((${EPOCHREALTIME/./} + ${2:-10} * 1000000))
    until eval "$1"; do
        [ "${EPOCHREALTIME/./}" -lt "$until" ] || { echo "waited in vain for: $1"; [ ! -e "$LOG" ] || tail -n 30 "$LOG"; return 1; }
        pause
    done
}

# start ARG...: holdfast in the background; its log in $LOG, its output in $D/out, its pid in $HOLD_PID.
start() {
    "$HOLD" "$@" > "$D/out" 2> "$LOG" 3>&- 9<&- &
    HOLD_PID=$!
}

# finish: waits for the end; the exit status in $CODE.
finish() {
    CODE=0
    wait "$HOLD_PID" || CODE=$?
    HOLD_PID=
}

child_of() { pgrep -P "$1" || true; }
# blocked PID: its mask of blocked signals, 16 hexadecimal digits.
blocked() { sed -n 's/^SigBlk:[[:space:]]*//p' "/proc/$1/status" 2> /dev/null; }

# ev EVENT [REGEX]: the log lines of an event.
ev() { grep -F "\"ev\":\"$1\"" "$LOG" 2> /dev/null | grep -E -- "${2:-}"; }
# n_ev EVENT [REGEX]: how many.
n_ev() { ev "$@" | wc -l; }
# field KEY: the value of a key in the JSON lines on standard input.
field() { sed -nE "s/.*\"$1\":\"?([^\",}]*).*/\1/p"; }
# phases: the published phases in their order, on one line.
phases() { ev phase '"phase":' | field phase | tr '\n' ' ' | sed 's/ $//'; }
