#!/usr/bin/env bats
# `holdfast ask`: one chat as a client has it, from a machine without curl or shell. The chart's test pod is this command.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() {
    serve_setup
    cp -r "$MODEL" "$BATS_FILE_TMPDIR/model"
    export MODEL=$BATS_FILE_TMPDIR/model
    "$HOLDFAST" verify "$MODEL" --write-manifest 2> "$BATS_FILE_TMPDIR/manifest.log"
    serve_start --served-name autoglm-phone-9b
}

teardown_file() {
    serve_stop
}

ask() { "$HOLDFAST" ask "$@" 2> "$BATS_TEST_TMPDIR/err"; }

@test "ask_prints_the_answer_alone" {
    run ask "$API/v1" --text Hi
    [ "$status" -eq 0 ]
    [ -n "$output" ]
    grep -q '"ev":"request"' "$BATS_TEST_TMPDIR/err"
}

@test "ask_compares_what_is_served_with_a_digest" {
    digest=$(curl -sf "$STATUS/status" | python3 -c 'import json, sys; print(json.load(sys.stdin)["digest"])')
    ask "$API/v1" --status-url "$STATUS/status" --digest "$digest"
    run ask "$API/v1" --status-url "$STATUS/status" --digest "${digest:1}0"
    [ "$status" -eq 94 ]
    grep -q 'verify-digest' "$BATS_TEST_TMPDIR/err"
}

@test "ask_ends_at_once_when_waiting_cannot_help" {
    run ask "$API/v1" --ask-model another
    [ "$status" -eq 84 ]
    run ask "$API/nowhere"
    [ "$status" -eq 84 ]
    run ask ftp://x/v1
    [ "$status" -eq 64 ]
}

@test "ask_waits_for_a_server_that_is_not_there_yet" {
    run ask "http://127.0.0.1:1/v1" --ask-timeout 1200ms
    [ "$status" -eq 85 ]
    grep -q 'no answer in time' "$BATS_TEST_TMPDIR/err"
    [ "$(grep -c 'asked again until it answers' "$BATS_TEST_TMPDIR/err")" -eq 1 ] # nobody waits without knowing for what
    local port late dir=$BATS_TEST_TMPDIR
    port=$(free_port)
    ask "http://127.0.0.1:$port/v1" --ask-timeout 60s > "$dir/answer" 3>&- &
    "$HOLDFAST" run --model "$MODEL" --listen "127.0.0.1:$port" --status-listen '' --state-dir "$dir/state" > "$dir/out" 2> "$dir/log" 3>&- &
    late=$!
    wait %1
    kill -TERM "$late"
    wait "$late"
    [ -s "$dir/answer" ]
}

@test "ask_refuses_an_answer_that_is_none" {
    printf '{"choices":[]}' > "$BATS_TEST_TMPDIR/none"
    python3 - "$BATS_TEST_TMPDIR/none" "$BATS_TEST_TMPDIR/port" 3>&- <<'P' &
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = open(sys.argv[1], 'rb').read()
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
s = http.server.HTTPServer(('127.0.0.1', 0), H)
open(sys.argv[2], 'w').write(f'{s.server_port}\n')
s.handle_request(); s.handle_request()
P
    until_true test -s "$BATS_TEST_TMPDIR/port"
    run ask "http://127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")/v1"
    [ "$status" -eq 92 ]
    printf '<html>' > "$BATS_TEST_TMPDIR/none"
    run ask "http://127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")/v1"
    [ "$status" -eq 92 ]
}
