#!/usr/bin/env bats
# What users of other inits rely on: every signal, rewriting, job control, exit codes, who dies with whom. Each on the real binary.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() { story_setup; }
teardown() { story_teardown; }

waits_for_signals() { [ -n "$(servers)" ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]; }
state_of() { cut -d' ' -f3 "/proc/$1/stat"; }

@test "every signal from 1 to 64 but KILL, STOP and CHLD reaches the child as itself, those that mean a fault too" {
    start --on-stop forward -- "$FAKE" --print-signals --ignore-term
    wait_for waits_for_signals
    for sig in $(seq 64); do
        case $sig in 9 | 17 | 19) continue ;; esac
        python3 -c "import os; os.kill($HOLD_PID, $sig)"
        case $sig in 20 | 21 | 22) # these stop process 1 as well, since the shell waits for it
            wait_for "[ \"\$(state_of $HOLD_PID)\" = T ]"
            python3 -c "import os; os.kill($HOLD_PID, 18)" ;;
        esac
        wait_for "grep -qx 'signal $sig' out"
    done
    kill -KILL "$(servers)"
    finish
    [ "$CODE" -eq 137 ]
}

@test "as process 1 of a namespace the same, and a fault that somebody sends does not end it" {
    unshare --pid --fork --mount-proc true 2> /dev/null || skip "no PID namespace can be made here"
    unshare --pid --fork --mount-proc "$HOLD" --on-stop forward -- "$FAKE" --print-signals --ignore-term > out 2> "$LOG" 3>&- 9<&- &
    local outer=$! one
    wait_for "[ -n \"\$(child_of $outer)\" ]"
    one=$(child_of "$outer")
    wait_for waits_for_signals
    for sig in $(seq 64); do
        case $sig in 9 | 17 | 18 | 19 | 20 | 21 | 22) continue ;; esac # ^Z and its kind are for a shell
        python3 -c "import os; os.kill($one, $sig)"
        wait_for "grep -qx 'signal $sig' out"
    done
    kill -KILL "$(servers)"
    CODE=0
    wait "$outer" || CODE=$?
    [ "$CODE" -eq 137 ]
}

@test "--on-stop forward: TERM as often as it comes is passed on, nobody is killed, and the code is the child's" {
    start --log-level info --on-stop forward --grace 100ms -- "$FAKE" --print-signals --ignore-term
    wait_for waits_for_signals
    for n in 1 2 3; do
        kill -TERM "$HOLD_PID"
        wait_for "[ \"\$(grep -c 'signal 15' out)\" -eq $n ]"
    done
    read -r -t 0.4 -u 9 || true
    [ "$(n_ev kill)" -eq 0 ]
    [ "$(n_ev stop)" -eq 1 ]
    run -1 "$HOLD" probe ready
    kill -USR1 "$HOLD_PID"
    wait_for 'grep -q "signal 10" out'
    kill -KILL "$(servers)"
    finish
    [ "$CODE" -eq 137 ]
    [ "$(n_ev spawn)" -eq 1 ]
}

@test "TERM becomes INT and INT becomes TERM, and a stopped child is continued so that it can end; one that runs is not" {
    start --on-stop forward --signal-map TERM=INT --signal-map INT=TERM -- "$FAKE" --print-signals --ignore-term
    wait_for waits_for_signals
    kill -TERM "$HOLD_PID"
    wait_for 'grep -qx "signal 2" out'
    kill -INT "$HOLD_PID"
    wait_for 'grep -qx "signal 15" out'
    [ "$(grep -cx 'signal 18' out)" -eq 0 ]
    kill -KILL "$(servers)"
    finish
    start --grace 30s -- "$FAKE"
    wait_for waits_for_signals
    kill -STOP "$(servers)"
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
}

@test "INT that was ignored when we were started is not for us: the child goes on, as it would without an init" {
    (trap '' INT; exec "$HOLD" --log-level info --grace 100ms -- "$FAKE" --print-signals --ignore-term > out 2> "$LOG" 3>&- 9<&-) &
    HOLD_PID=$!
    wait_for waits_for_signals
    kill -INT "$HOLD_PID"
    wait_for 'grep -qx "signal 2" out'
    [ "$(n_ev stop)" -eq 0 ]
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 137 ]
    [ "$(n_ev stop)" -eq 1 ]
}

@test "an exit code that counts as success becomes 0, needs no restart, and is not said of what we killed for its health" {
    run -0 "$HOLD" --success-exit 143 -- sh -c 'exit 143'
    run -0 "$HOLD" --success-exit 143 -- sh -c 'kill -TERM $$'
    run -0 "$HOLD" --success-exit 1-3,7 -- sh -c 'exit 7'
    run -4 "$HOLD" --success-exit 1-3,7 --success-exit 9 -- sh -c 'exit 4'
    run -127 "$HOLD" --success-exit 127 -- no-such-command
    run -0 "$HOLD" --success-exit 3 --restart on-failure -- sh -c 'exit 3'
    run -65 "$HOLD" --success-exit 256 -- true
    [[ "$output" == *"0 to 255"* ]]
    run -111 "$HOLD" --success-exit 137 --ready tcp://127.0.0.1:1 --status-listen "" --no-progress 200ms -- sleep 60
}

@test "when whoever started it ends, holdfast gets the signal that was asked for" {
    sh -c "'$HOLD' --parent-death-signal TERM -- '$FAKE' --term-code 3 > out 2> '$LOG' 3>&- 9<&- & echo \$! > pid; sleep 600 3>&- 9<&-" 3>&- 9<&- &
    local parent=$!
    wait_for waits_for_signals
    HOLD_PID=$(cat pid)
    kill -KILL "$parent"
    wait_for "[ ! -e /proc/$HOLD_PID ]"
    HOLD_PID=
    nothing_left
    pkill -P "$parent" -x sleep || true
    run -65 "$HOLD" --parent-death-signal NOPE -- true
}

@test "an interactive shell sees the job as if there were no init: ^Z, fg, bg, ^C, and inside a script" {
    run -0 timeout 120 python3 "$TOP/tests/helpers/jobs.py" "$HOLD" --
    echo "$output"
    [[ "$output" != *"not ok"* ]]
}

@test "without a terminal on standard input ^Z stops the child and process 1, and CONT wakes both" {
    start -- sleep 60 < /dev/null
    wait_for '[ -n "$(child_of $HOLD_PID)" ] && grep -q sleep /proc/$(child_of $HOLD_PID)/comm'
    local child
    child=$(child_of "$HOLD_PID")
    kill -TSTP "$HOLD_PID"
    wait_for "[ \"\$(state_of $HOLD_PID)\" = T ] && [ \"\$(state_of $child)\" = T ]"
    kill -CONT "$HOLD_PID"
    wait_for "[ \"\$(state_of $HOLD_PID)\" != T ] && [ \"\$(state_of $child)\" != T ]"
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 143 ]
}

@test "paths that were given relative stay what they were, though process 1 leaves the folder" {
    mkdir here
    cd here
    unset HOLDFAST_STATE_DIR HOLDFAST_TERMINATION_LOG
    "$HOLD" --state-dir state --termination-log "message-$$" -- "$FAKE" --exit-after 300 --code 4 2> "$LOG" 3>&- 9<&- &
    local pid=$!
    until "$HOLD" probe live --state-dir state > /dev/null 2>&1; do pause; done
    CODE=0
    wait "$pid" || CODE=$?
    [ "$CODE" -eq 4 ]
    [ ! -e "/message-$$" ] || { rm -f "/message-$$"; return 1; }
    grep -q '"exit":4' "$D/here/message-$$"
    [ -e "$D/here/state/record" ]
}

@test "a variable that is nearly an option is told; options of both programs and a Service's links are not" {
    run --separate-stderr -0 env HOLDFAST_RESTRAT=always HOLDFAST_SERVICE_HOST=10.0.0.1 HOLDFAST_PORT_80_TCP=x "$HOLD" -- true
    [[ "$stderr" == *"HOLDFAST_RESTRAT: no such variable; did you mean HOLDFAST_RESTART?"* ]]
    [[ "$stderr" != *SERVICE* ]] && [[ "$stderr" != *TCP* ]] && [[ "$stderr" != *always* ]]
    local names
    mapfile -t names < <("$TOP/build/${VARIANT:-release}/libexec/holdfast-runtime" --help 2>&1 | sed -nE 's/^  --([a-z-]+).*/\1/p; s/^  (HOLDFAST_[A-Z_]+).*/\1/p' | tr 'a-z-' 'A-Z_')
    [ "${#names[@]}" -gt 15 ]
    for name in "${names[@]}"; do
        case ${name#HOLDFAST_} in LOG_LEVEL | LOG_FORMAT | DEVICE | DTYPE | THREADS | LISTEN) continue ;; esac # shared, and checked for their values
        run --separate-stderr -0 env "HOLDFAST_${name#HOLDFAST_}=1" "$HOLD" -- true
        [[ "$stderr" != *"no such variable"* ]] || { echo "$stderr"; return 1; }
    done
}
