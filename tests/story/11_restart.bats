#!/usr/bin/env bats
# Restarts: delays that grow, a budget that ends them, the child's own code, the old tree proven gone, the ladder.

# shellcheck disable=SC2016,SC2034,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() { story_setup; }
teardown() { story_teardown; }

@test "a server that crashes ten times: delays double up to the cap, the budget ends it, the code is the child's" {
    start --log-level info --restart on-failure --restart-delay 10ms --restart-cap 160ms --restart-budget 9 -- \
        "$FAKE" --counter "$D/counter" --exit-after 0 --code 3
    finish
    [ "$CODE" -eq 3 ]
    [ "$(grep -c '^start' counter)" -eq 10 ]
    mapfile -t delays < <(ev restart | field delay_ms)
    echo "delays: ${delays[*]}"
    [ "${#delays[@]}" -eq 9 ]
    want=10
    for d in "${delays[@]}"; do # each within its 10 % of jitter
        [ "$d" -ge "$want" ] && [ "$d" -le $((want + want / 10)) ]
        want=$((want * 2 > 160 ? 160 : want * 2))
    done
    # It really waited: from start to start never less than the delay.
    mapfile -t begun < <(awk '/^start/ { print $2 }' counter)
    for i in $(seq 1 9); do
        [ $((begun[i] - begun[i - 1])) -ge "${delays[i - 1]}" ]
    done
    [ "$(phases | tr ' ' '\n' | grep -c backoff)" -eq 9 ]
    [ "$(ev diagnosis | tail -n 1 | field final)" = true ]
    [ "$(head -n 1 message | field cause)" = exited ]
    [ "$(wc -c < message)" -le 4096 ]
    grep -q '"exit":3' message
    grep -qE 'given up after 10 starts in [0-9.]+ s, 9 restarts are allowed in 1h' message
    nothing_left
}

@test "never: the first end is the last" {
    start --restart never -- "$FAKE" --counter "$D/counter" --exit-after 0 --code 4
    finish
    [ "$CODE" -eq 4 ]
    [ "$(grep -c '^start' counter)" -eq 1 ]
}

@test "on-failure leaves a clean end alone, always does not" {
    start --restart on-failure --restart-delay 5ms -- "$FAKE" --counter "$D/one" --exit-after 0
    finish
    [ "$CODE" -eq 0 ]
    [ "$(grep -c '^start' one)" -eq 1 ]
    start --restart always --restart-delay 5ms --restart-budget 2 -- "$FAKE" --counter "$D/three" --exit-after 0
    finish
    [ "$CODE" -eq 113 ] # a clean end that nobody wanted: the budget's own verdict
    [ "$(grep -c '^start' three)" -eq 3 ]
}

@test "a life that was healthy restarts at once and refills; one that only ran does not" {
    start --log-level info --restart always --restart-delay 40ms --restart-budget 2 --healthy-reset 60ms -- \
        "$FAKE" --counter "$D/counter" --exit-after 120
    wait_for '[ "$(grep -c ^start counter)" -ge 5 ]' # more starts than the budget: each healthy life refills it
    kill "$HOLD_PID"
    finish
    [ "$(ev restart | field delay_ms | sort -u)" = 0 ]
}

@test "a verdict that no restart can cure ends at once, with the same code every time" {
    for _ in 1 2; do
        start --restart always --restart-delay 5ms --log-level info -- "$FAKE" --exit-after 20 --code 1 \
            --say-err "ModuleNotFoundError: No module named 'vllm'"
        finish
        [ "$CODE" -eq 1 ]
        [ "$(n_ev spawn)" -eq 1 ]
        [ "$(ev diagnosis | field cause)" = module_missing ]
        [ "$(ev diagnosis | field action)" = fix-config ]
    done
}

@test "the same with --on-fatal hold stays alive and not ready until it is stopped" {
    start --on-fatal hold --log-level info --status-listen 127.0.0.1:0 -- "$FAKE" --exit-after 20 --code 1 \
        --say-err "ModuleNotFoundError: No module named 'vllm'"
    wait_for '[ "$(phases)" = "loading ready draining held" ] || phases | grep -q held$'
    run -0 "$HOLD" probe live
    run -1 "$HOLD" probe ready
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 1 ]
    [ "$(head -n 1 message | field cause)" = module_missing ]
}

@test "the next start waits until a helper in a session of its own is gone, and can take its lock" {
    start --log-level info --restart always --restart-delay 1ms --restart-budget 3 --sweep-wait 100ms -- \
        "$FAKE" --lock "$D/lock" --spawn-helpers 1 --helper-ignore-term --exit-after 50 --code 1
    finish
    [ "$CODE" -eq 1 ]
    [ "$(n_ev spawn)" -eq 4 ]
    [ "$(grep -c '^locked' out)" -eq 4 ]
    run ! grep -q 'lock busy' out
    [ "$(n_ev kill)" -ge 4 ]
    nothing_left
}

@test "out of memory goes a rung lower before the next start" {
    cat > holdfast.json << EOF
{"servers": {"engine": {"command": ["$FAKE", "--counter", "$D/counter", "--crash-first", "1", "--code", "1", "--print-env", "BATCH",
  "--say-err", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."],
  "ladder": [{"name": "small-batch", "env": ["BATCH=1"], "args": ["--say", "on a lower rung"]}]}}}
EOF
    start run --config holdfast.json --preflight=false --sandbox off --listen "" --status-listen "" --restart-delay 5ms
    wait_for '[ "$(n_ev spawn)" -eq 2 ]'
    wait_for 'grep -q "on a lower rung" out'
    grep -q 'env BATCH unset' out
    grep -q 'env BATCH=1' out
    [ "$(ev rung | field rung)" = 1 ]
    [ "$(ev spawn | tail -n 1 | field rung)" = 1 ]
    run -0 "$HOLD" status --json
    [[ "$output" == *small-batch* ]]
    kill "$HOLD_PID"
    finish
    nothing_left
}

@test "after process 1 itself was killed the next one counts on from the record" {
    start --restart always --restart-delay 10ms --restart-cap 10s --restart-budget 30 --log-level info -- "$FAKE" --counter "$D/counter" --crash-first 4 --code 1
    wait_for '[ "$(n_ev spawn)" -eq 5 ] && [ "$(n_ev ready)" -ge 1 ]' # four ended, the fifth lives
    kill -KILL "$HOLD_PID"
    wait "$HOLD_PID" || true
    kill -KILL "$(tail -n 1 "$D/counter" | cut -d " " -f 3)" # outside a PID namespace nothing ends with process 1
    start --restart always --restart-delay 10ms --restart-cap 10s --restart-budget 30 --log-level info -- "$FAKE" --exit-after 0 --code 1
    wait_for '[ "$(n_ev restart)" -ge 1 ]'
    [ "$(ev restart | head -n 1 | field delay_ms)" -ge 160 ] # not 10: it goes on where the other was
    kill "$HOLD_PID"
    finish
}

@test "a thousand crashes: the same memory and descriptors at the end, and at most 2 ms of processor time a restart" {
    start --restart always --restart-delay 1ms --restart-cap 1ms --restart-budget 0 --log-level error -- "$FAKE" --counter "$D/counter" --exit-after 0 --code 1
    wait_for '[ "$(grep -c ^start counter)" -ge 50 ]' 60
    fds=$(find "/proc/$HOLD_PID/fd" | wc -l)
    memory=$(awk '/^Anonymous/ { print $2 }' "/proc/$HOLD_PID/smaps_rollup")
    ticks() { awk '{ print $14 + $15 }' "/proc/$HOLD_PID/stat"; }
    local begun from
    begun=$(ticks) from=$(grep -c ^start counter)
    wait_for '[ "$(grep -c ^start counter)" -ge 1050 ]' 240
    local spent starts
    spent=$(($(ticks) - begun)) starts=$(($(grep -c ^start counter) - from))
    echo "$starts restarts: $((spent * 1000000 / $(getconf CLK_TCK) / starts)) us each; $fds descriptors, $memory KiB"
    [ $((spent * 1000 / $(getconf CLK_TCK))) -le $((starts * 2)) ] || [ "${VARIANT:-release}" != release ]
    wait_for '[ "$(find "/proc/$HOLD_PID/fd" | wc -l)" -le "$fds" ]' 10
    # (a sanitizer keeps what was freed)
    [ "${VARIANT:-release}" != release ] || [ "$(awk '/^Anonymous/ { print $2 }' "/proc/$HOLD_PID/smaps_rollup")" -le $((memory + 16)) ]
    kill "$HOLD_PID"
    finish
    nothing_left
}

# policy, how it ends, what follows: restarts (with a budget of two) and holdfast's own code.
@test "each policy and each kind of end: who is started again, and what the code is then" {
    local rows=(
        "never exit-0 0 0" "never exit-3 0 3" "never KILL 0 137" "never SEGV 0 139" "never missing 0 127"
        "on-failure exit-0 0 0" "on-failure exit-3 2 3" "on-failure TERM 2 143" "on-failure SEGV 2 139" "on-failure missing 0 127" "on-failure denied 0 126"
        "always exit-0 2 113" "always exit-3 2 3" "always ABRT 2 134" "always missing 0 127"
    )
    local row policy how restarts code
    for row in "${rows[@]}"; do
        read -r policy how restarts code <<< "$row"
        case $how in
        exit-*) set -- sh -c "exit ${how#exit-}" ;;
        missing) set -- no-such-command ;;
        denied) set -- "$D" ;;
        *) set -- sh -c "ulimit -c 0; kill -$how \$\$" ;;
        esac
        start --log-level info --restart "$policy" --restart-delay 1ms --restart-cap 1ms --restart-budget 2/1h -- "$@"
        finish
        [ "$CODE" -eq "$code" ] && [ "$(n_ev restart)" -eq "$restarts" ] || { echo "$row: code $CODE, $(n_ev restart) restarts"; return 1; }
    done
}

@test "a budget counts within its window only: slow crashes go on, quick ones end" {
    start --log-level info --restart on-failure --restart-delay 1ms --restart-cap 1ms --restart-budget 2/300ms -- "$FAKE" --counter "$D/counter" --exit-after 250 --code 3
    wait_for '[ "$(grep -c ^start counter)" -ge 6 ]' 30
    kill "$HOLD_PID"
    finish
    start --log-level info --restart on-failure --restart-delay 1ms --restart-cap 1ms --restart-budget 2/300s -- "$FAKE" --exit-after 10 --code 3
    finish
    [ "$CODE" -eq 3 ]
    [ "$(n_ev restart)" -eq 2 ]
}

@test "no delay ever needs a budget, and then there is none" {
    run -65 "$HOLD" --restart always --restart-delay 0s --restart-budget 0 -- true
    [[ "$output" == *"needs a --restart-budget"* ]]
    start --log-level info --restart always --restart-delay 0s --restart-budget 20 -- sh -c 'exit 1'
    finish
    [ "$CODE" -eq 1 ]
    [ "$(n_ev restart)" -eq 20 ]
    [ "$(ev restart | field delay_ms | sort -u)" = 0 ]
}

@test "a server of the file has its own policy and budget, and starts, and starts again, only while those it needs are ready" {
    cat > servers.json << JSON
{"restart": {"policy": "never"},
 "servers": {"db": {"command": ["$FAKE"], "health": {"ready": "exec:test -e $D/up", "backoff": "10ms", "period": "20ms", "failures": 1}},
             "app": {"command": ["sh", "-c", "test -e $D/up && echo start; exit 3"], "needs": ["db"], "restart": {"policy": "on-failure", "delay": "5ms", "budget": "2/1h"}}}}
JSON
    start run --config servers.json --log-level info --log-format json --preflight=false --sandbox off --status-listen= --listen=
    wait_for '[ "$(n_ev spawn)" -eq 1 ]'
    wait_for '[ -n "$(servers)" ]'
    [ ! -s out ]
    touch up
    finish
    [ "$CODE" -eq 3 ]
    [ "$(grep -c start out)" -eq 3 ]
    [ "$(ev spawn '"member":"db"' | wc -l)" -eq 1 ]
    grep -q '3 starts .* 2 restarts are allowed' message
    nothing_left
}

@test "the file's servers are judged with ranges, circles and names, all at once" {
    cat > servers.json << 'JSON'
{"servers": {"a": {"command": ["x"], "restart": {"policy": "alway", "budget": "many", "polcy": 1}, "health": {"period": "0s", "failures": 0}, "needs": ["b"]},
             "b": {"command": ["x"], "needs": ["a", "zz"], "restart": {"delay": "0s", "budget": "0"}}, "../c": {"command": ["x"]}}}
JSON
    run -65 "$HOLD" run --config servers.json
    for said in "servers.a.restart.policy: 'alway' is not one of" "servers.a.restart.polcy: unknown key; did you mean 'policy'" "servers.a.restart.budget: 'many'" \
        "servers.a.health.period: '0s' is outside" "servers.a.health.failures: '0' is outside" "servers.b.needs: 'zz' is no server" "servers.a.needs: it would wait for itself" \
        "servers.b.restart.delay: 0s means no wait ever" "servers.../c: a name has"; do
        [[ "$output" == *"$said"* ]] || { echo "not said: $said"; return 1; }
    done
}
