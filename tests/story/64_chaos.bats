#!/usr/bin/env bats
# Clients of every manner, members killed at random: every answer is one that a client can act on, and afterwards nothing is left
# behind. HOLD_CHAOS_SECONDS (8) for each of the two rounds.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() { serve_setup; }
setup() { serve_start --served-name autoglm-phone-9b --restart-delay 1ms --restart-cap 20ms --restart-budget 0; }
teardown() { serve_stop || :; }

# Prints whom it killed.
killer() {
    cat > "$BATS_TEST_TMPDIR/kill" << 'SH'
who=$1
[ "$who" != any ] || who=$( [ $((RANDOM % 3)) -eq 0 ] && echo front || echo engine)
pid=$(grep '"ev":"spawn"' "$D/log" | grep "\"member\":\"$who\"" | tail -1 | sed -E 's/.*"pid":([0-9]+).*/\1/')
kill -KILL "$pid" 2> /dev/null && echo "$who"
SH
    echo "$BATS_TEST_TMPDIR/kill"
}

nothing_is_left() {
    serve_wait_ready
    until_true sh -c "curl -s $API/metrics | grep -q 'num_requests_running{.*} 0'"
    curl -s "$API/metrics" | grep 'kv_cache_usage_perc{' | grep -q ' 0$'
    $ASK "$API" screens
}

@test "the engine dies again and again: no connection breaks, every end is explicit" {
    python3 "$TOP/tests/helpers/chaos.py" "$API" "${HOLD_CHAOS_SECONDS:-8}" "${HOLD_SEED:-1}" 6 bash "$(killer)" engine
    nothing_is_left
}

@test "front and engine die in any order" {
    python3 "$TOP/tests/helpers/chaos.py" "$API" "${HOLD_CHAOS_SECONDS:-8}" "${HOLD_SEED:-1}" 6 bash "$(killer)" any
    nothing_is_left
    serve_stop
    [ "$CODE" -eq 0 ]
}
