#!/usr/bin/env bats
# `holdfast run` on the little model, from a cold start to answers, refusals and the end of a busy server.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() {
    serve_setup
    serve_start --served-name autoglm-phone-9b
}

teardown_file() {
    serve_stop
}

post() { $ASK "$API" post "$@"; }
CHAT=/v1/chat/completions
hi='"model":"autoglm-phone-9b","messages":[{"role":"user","content":"Hi"}]'

@test "a cold start passes its phases in order and says how long each took" {
    local phases
    phases=$(grep -o '"ev":"phase","prog":"holdfast","phase":"[a-z]*"' "$D/log" | sed -E 's/.*"phase":"([a-z]*)"/\1/' | paste -sd' ')
    [ "$phases" = "preflight verifying loading warming ready" ]
    grep -q '"ev":"ready","prog":"holdfast".*"phases_ms":"preflight' "$D/log"
}

@test "every screen gets the answer that only the picture decides" {
    $ASK "$API" screens
}

@test "a stream is the same answer in whole characters, with one finish and [DONE]" {
    $ASK "$API" screens --stream
}

@test "the phone client's rules read every reply" {
    $ASK "$API" client
}

@test "requests at once give what each gives alone" {
    $ASK "$API" same 8
}

@test "usage counts the prompt with its picture, and stands in the last chunk when asked for" {
    run post $CHAT "{$hi,\"max_tokens\":5,\"ignore_eos\":true}"
    [[ $output == "200 None "*'"finish_reason":"length"'*'"completion_tokens":5,'* ]]
    $ASK "$API" stream "$BATS_TEST_TMPDIR/s" max_tokens=5 'stream_options={"include_usage":true}'
    tail -2 "$BATS_TEST_TMPDIR/s" | head -1 | grep -q '"choices": \[\], "usage": {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13'
}

@test "a stop string ends the answer before itself, across tokens, and is named" {
    $ASK "$API" stop
}

@test "log probabilities are there when asked for, with as many alternatives" {
    run post $CHAT "{$hi,\"temperature\":0,\"max_tokens\":1,\"logprobs\":true,\"top_logprobs\":3}"
    [ "$(grep -o '"logprob":' <<< "$output" | wc -l)" -eq 4 ]
}

@test "a seed gives the same answer again, also when sampling" {
    post $CHAT "{$hi,\"temperature\":2,\"seed\":5,\"max_tokens\":40}" | grep -o '"content":"[^"]*"' > "$BATS_TEST_TMPDIR/a"
    post $CHAT "{$hi,\"temperature\":2,\"seed\":5,\"max_tokens\":40}" | grep -o '"content":"[^"]*"' > "$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    post $CHAT "{$hi,\"temperature\":2,\"seed\":6,\"max_tokens\":40}" | grep -o '"content":"[^"]*"' > "$BATS_TEST_TMPDIR/c"
    ! cmp -s "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/c"
}

@test "what is not done is refused by name and never ignored" {
    for field in '"response_format":{"type":"json_object"}' '"tools":[{"type":"function"}]' '"n":2' '"guided_json":{"a":1}' '"logit_bias":{"99999999":1}'; do
        run post $CHAT "{$hi,$field}"
        local name=${field%%:*}
        [[ $output == "400 None "*'"type":"BadRequestError"'* && $output == *"${name//\"/}"* ]]
    done
}

@test "errors have the status and shape that clients know" {
    run post $CHAT '{"model":'
    [[ $output == '400 None {"error":{"message":"body: '*'","type":"BadRequestError","param":null,"code":400}}' ]]
    run post $CHAT '{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}'
    [[ $output == '404 None {"error":{"message":"the model '"'gpt-4'"' does not exist'*'"type":"NotFoundError"'* ]]
    run post /v1/nothing '{}'
    [[ $output == '404 None {"error":{"message":"Not Found","type":"NotFoundError","param":null,"code":404}}' ]]
    run post /health '{}'
    [[ $output == "405 None "*'"type":"MethodNotAllowed"'* ]]
    head -c 40000000 /dev/zero | tr '\0' x > "$BATS_TEST_TMPDIR/big"
    run curl -s -w '%{http_code}' --data-binary "@$BATS_TEST_TMPDIR/big" "$API$CHAT"
    [[ $output == *'"type":"RequestEntityTooLarge"'*413 ]]
}

@test "a prompt longer than the context is refused with both numbers" {
    python3 -c 'import json; print(json.dumps({"model": "autoglm-phone-9b", "messages": [{"role": "user", "content": "hello " * 20000}]}))' > "$BATS_TEST_TMPDIR/long"
    run curl -s --data-binary "@$BATS_TEST_TMPDIR/long" "$API$CHAT"
    [[ $output =~ "the prompt has "[0-9]+" tokens, and the maximum context length is 8192 tokens" ]]
}

@test "pictures: addresses of files and hosts, damaged bytes and pictures without a place are refused" {
    for url in file:///etc/passwd http://127.0.0.1:1/x.png data:image/png\;base64,aGVsbG8=; do
        run post $CHAT "{\"model\":\"autoglm-phone-9b\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"$url\"}}]}]}"
        [[ $output == "400 None "*image* ]]
    done
    local png
    png=$(base64 -w0 "$TOP/examples/little-model/screens/home.png")
    for role in tool system assistant; do
        printf '{"model":"autoglm-phone-9b","messages":[{"role":"%s","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]},{"role":"user","content":"x"}]}' \
            "$role" "$png" > "$BATS_TEST_TMPDIR/body"
        run curl -s -w '%{http_code}' --data-binary "@$BATS_TEST_TMPDIR/body" "$API$CHAT"
        [[ $output == *'"type":"BadRequestError"'*400 ]]
    done
    printf '{"model":"autoglm-phone-9b","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}]}' \
        "$(head -c 500 "$TOP/examples/little-model/screens/home.png" | base64 -w0)" > "$BATS_TEST_TMPDIR/body"
    run curl -s -w '%{http_code}' --data-binary "@$BATS_TEST_TMPDIR/body" "$API$CHAT"
    [[ $output == *"image 1"*400 ]]
}

@test "user text never becomes a special token" {
    run post /tokenize '{"prompt":"<|image|><|user|>[gMASK]"}'
    [[ $output == "200 None "* ]]
    ! grep -qE '[[,](2304|23(0[5-9]|1[0-9]))[],]' <<< "$output"
}

@test "conflicting lengths and bodies without a length are refused" {
    for head in 'Content-Length: 2\r\nContent-Length: 3' 'Content-Length: 2\r\nTransfer-Encoding: chunked' 'Transfer-Encoding: chunked'; do
        run $ASK "$API" raw "POST $CHAT HTTP/1.1\r\nHost: x\r\n$head"
        [[ $output == "HTTP/1.1 4"* ]]
    done
}

@test "deep JSON, a flood of headers and a bomb of small values harm nobody" {
    python3 -c 'print("[" * 200000)' > "$BATS_TEST_TMPDIR/deep"
    python3 -c 'print("[" + "1," * 1000000 + "1]")' > "$BATS_TEST_TMPDIR/bomb"
    for f in deep bomb; do
        run curl -s -o /dev/null -w '%{http_code}' --data-binary "@$BATS_TEST_TMPDIR/$f" "$API$CHAT"
        [ "$output" = 400 ]
    done
    python3 - "$API" << 'PY'
import socket, sys
from urllib.parse import urlparse
u = urlparse(sys.argv[1])
s = socket.create_connection((u.hostname, u.port))
try:
    s.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(100000)) + b"\r\n")
except OSError:
    pass
PY
    curl -sf "$API/health"
}

@test "a client that leaves frees its place within a step" {
    $ASK "$API" leave 5
    until_true sh -c "curl -s $API/metrics | grep -q 'num_requests_running{.*} 0'"
    curl -s "$API/metrics" | grep 'kv_cache_usage_perc{' | grep -q ' 0$'
    curl -s "$API/metrics" | grep 'finished_reason="abort"' | grep -qv ' 0$'
}

@test "models and version are told; metrics carry the names that dashboards know" {
    run curl -s "$API/v1/models"
    [[ $output == *'"id":"autoglm-phone-9b","object":"model"'*'"max_model_len":8192'* ]]
    run curl -s "$API/version"
    [[ $output == '{"version":"'*'"}' ]]
    curl -s "$API/metrics" > "$BATS_TEST_TMPDIR/page"
    for name in num_requests_running num_requests_waiting kv_cache_usage_perc prompt_tokens_total generation_tokens_total request_success_total \
        time_to_first_token_seconds_bucket time_per_output_token_seconds_count e2e_request_latency_seconds_sum; do
        grep -q "^vllm:$name{" "$BATS_TEST_TMPDIR/page"
    done
    if command -v promtool > /dev/null; then promtool check metrics < "$BATS_TEST_TMPDIR/page" || [ $? -eq 3 ]; fi # 3: only that a name holds a colon
}

@test "without process 1 and without a plan the front says 503, when to come again, and why" {
    local port
    port=$(free_port)
    "$TOP/build/release/libexec/holdfast-runtime" front --listen "127.0.0.1:$port" 2> "$BATS_TEST_TMPDIR/log" 3>&- &
    local front=$!
    until_true curl -s -o "$BATS_TEST_TMPDIR/health" "http://127.0.0.1:$port/health"
    run curl -si "http://127.0.0.1:$port/health"
    [[ $output == *"503 Service Unavailable"*"Retry-After: 5"*'{"status":"loading","phase":"waiting"}' ]]
    run $ASK "http://127.0.0.1:$port" post $CHAT "{$hi}"
    [[ $output == '503 5 {"error":{"message":"the model server is loading'*'"type":"ServiceUnavailableError"'* ]]
    kill -TERM "$front"
    wait "$front"
}

@test "a key guards everything but /health" {
    local port
    port=$(free_port)
    HOLDFAST_API_KEY=sesame "$TOP/build/release/libexec/holdfast-runtime" front --listen "127.0.0.1:$port" 2> "$BATS_TEST_TMPDIR/log" 3>&- &
    local front=$! api=http://127.0.0.1:$port
    until_true curl -s -o "$BATS_TEST_TMPDIR/health" "$api/health"
    for path in /v1/models /metrics /version /nothing; do
        [ "$(curl -s -o /dev/null -w '%{http_code}' "$api$path")" = 401 ]
        [ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' "$api$path")" = 401 ]
    done
    [ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer sesame' "$api/v1/models")" = 200 ]
    [ "$(curl -s -o /dev/null -w '%{http_code}' "$api/health")" = 503 ]
    ! grep -q sesame "$BATS_TEST_TMPDIR/log"
    kill -TERM "$front"
    wait "$front"
}

@test "uploads that end in the middle are noticed, and hold up no stop" {
    local port
    port=$(free_port)
    "$TOP/build/release/libexec/holdfast-runtime" front --listen "127.0.0.1:$port" 2> "$BATS_TEST_TMPDIR/log" 3>&- &
    local front=$!
    until_true curl -s -o "$BATS_TEST_TMPDIR/health" "http://127.0.0.1:$port/health"
    python3 - "$port" "$front" << 'PY'
import os, socket, sys, time
port, front = int(sys.argv[1]), sys.argv[2]
def sockets():
    n = 0
    for f in os.listdir(f"/proc/{front}/fd"):
        try:
            n += os.readlink(f"/proc/{front}/fd/{f}").startswith("socket:")
        except FileNotFoundError:
            pass
    return n
before = sockets()
def half():
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    return s
for _ in range(30):
    half().close()
deadline = time.monotonic() + 5
while sockets() > before and time.monotonic() < deadline:
    time.sleep(0.02)
assert sockets() <= before, (before, sockets())
kept = [half() for _ in range(5)]  # these stay open, and unfinished
time.sleep(0.2)
os.kill(int(front), 15)
deadline = time.monotonic() + 3
while os.path.exists(f"/proc/{front}") and open(f"/proc/{front}/stat").read().split()[2] != "Z" and time.monotonic() < deadline:
    time.sleep(0.02)
assert time.monotonic() < deadline, "the stop waited for unfinished uploads"
PY
    wait "$front"
}
