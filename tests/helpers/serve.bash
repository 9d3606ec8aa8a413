# serve.bash - for stories about serving: `holdfast run` on the little model, its members, its end.
# shellcheck shell=bash

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

serve_setup() { # in setup_file
    export TOP=$BATS_TEST_DIRNAME/../..
    export HOLDFAST=${HOLD_BIN:-$TOP/build/release/bin/holdfast} MODEL=$TOP/examples/little-model/checkpoint
    [ -x "$HOLDFAST" ] || make -s -C "$TOP" all
    export ASK="python3 $TOP/tests/helpers/ask_api.py"
}

serve_start() { # [OPTION]...: sets D, PID, API, STATUS; returns when it is READY. MODEL may name another folder.
    D=$(mktemp -d "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/run.XXXX") API=http://127.0.0.1:$(free_port) STATUS=http://127.0.0.1:$(free_port)
    export D API STATUS
    "$HOLDFAST" run --model "$MODEL" --listen "${API#http://}" --status-listen "${STATUS#http://}" --state-dir "$D/state" \
        --termination-log "$D/message" --restart-delay 100ms "$@" 2> "$D/log" > "$D/out" 3>&- &
    PID=$!
    export PID
    serve_wait_ready
}

serve_wait_ready() { # within 20 s
    for _ in $(seq 400); do
        "$HOLDFAST" probe ready --state-dir "$D/state" > "$D/probe" 2>&1 && curl -sf -o "$D/probe" "$API/health" && return 0
        kill -0 "$PID" 2> /dev/null || break
        sleep 0.05
    done
    tail -30 "$D/log" >&2
    return 1
}

serve_stop() { # TERM, the exit status in CODE; fails when something of it is left running
    [ -n "${PID:-}" ] || return 0
    kill -TERM "$PID" 2> /dev/null || :
    export CODE=0
    wait "$PID" || CODE=$?
    PID=
    ! pgrep -f "$D/state" > "$D/left"
}

member_pid() { # front|engine: of its newest life
    grep '"ev":"spawn"' "$D/log" | grep "\"member\":\"$1\"" | tail -1 | sed -E 's/.*"pid":([0-9]+).*/\1/'
}

member_starts() { # front|engine: how often it was started
    grep '"ev":"spawn"' "$D/log" | grep -c "\"member\":\"$1\"" || :
}

until_true() { # COMMAND...: within 10 s
    for _ in $(seq 200); do
        "$@" && return 0
        sleep 0.05
    done
    return 1
}
