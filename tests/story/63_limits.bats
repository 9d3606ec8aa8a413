#!/usr/bin/env bats
# The edges of a small server: the last token of the context, one request too many, raw answers to the byte.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() {
    serve_setup
    echo '{"servers":{"front":{"args":["--max-requests","2"]},"engine":{"args":["--max-sessions","1"]}}}' > "$BATS_FILE_TMPDIR/config.json"
    serve_start --config "$BATS_FILE_TMPDIR/config.json" --context 64 --served-name autoglm-phone-9b
}

teardown_file() { serve_stop; }

@test "a prompt of one less than the context has room for one token; one more is refused with both numbers" {
    python3 - "$API" << 'PY'
import json, sys
sys.path.insert(0, __import__("os").environ["TOP"] + "/tests/helpers")
from ask_api import call, chat
api = sys.argv[1]
def ask(n, **more):
    return chat(api, {"messages": [{"role": "user", "content": "1 " * n}], "ignore_eos": True, **more})
sizes = {}
for n in range(1, 64):
    status, a = ask(n, max_tokens=1)
    if status == 200:
        sizes[a["usage"]["prompt_tokens"]] = n
    else:
        assert status == 400 and "64 tokens" in a["error"]["message"] and a["error"]["message"].split("prompt has ")[1].split()[0].isdigit(), a
        break
assert max(sizes) in (62, 63), sizes
for size in sorted(sizes)[-3:]:
    status, a = ask(sizes[size], max_tokens=3000)
    assert status == 200 and a["usage"]["total_tokens"] == 64 and a["choices"][0]["finish_reason"] == "length", a
PY
}

@test "one request too many is 429 with Retry-After, and the others are answered" {
    for i in 1 2; do $ASK "$API" stream "$BATS_TEST_TMPDIR/s$i" max_tokens=50 > "$BATS_TEST_TMPDIR/end$i" 3>&- & done
    python3 - "$API" << 'PY'
import concurrent.futures, json, sys
sys.path.insert(0, __import__("os").environ["TOP"] + "/tests/helpers")
from ask_api import call
body = json.dumps({"model": "autoglm-phone-9b", "messages": [{"role": "user", "content": "Hi"}], "ignore_eos": True, "max_tokens": 50})
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    answers = list(pool.map(lambda _: call(sys.argv[1], "POST", "/v1/chat/completions", body), range(60)))
kinds = {r.status for r, _ in answers}
assert kinds == {200, 429}, kinds
for r, data in answers:
    if r.status == 429:
        assert r.getheader("Retry-After") == "1" and json.loads(data)["error"]["type"] == "RateLimitError"
PY
    wait
}

# Requests and answers as they stand on the wire; id, created and Date are masked.
@test "recorded conversations come out to the byte" {
    for f in "$TOP"/tests/golden/http/*.http; do
        python3 "$TOP/tests/helpers/replay_http.py" "$API" "$f"
    done
}
