#!/usr/bin/env bash
# run.sh: vllm.json as a GPU machine runs it, with fake-vllm in the place of `python3 -m vllm.entrypoints.openai.api_server` and the
# little model's shards: a start that runs out of memory and goes a rung lower, a request, a worker that dies, an engine that hangs
# behind a healthy /health, a stop during a stream.
# shellcheck disable=SC2154 # what is used here without a word comes from show.bash
. "$(dirname "$0")/../show.bash"
needs curl python3
fake=$PWD/$build/tests/fake-vllm
[ -x "$fake" ] || { echo "$fake is not built yet: run make first" >&2; exit 69; }
sed -e "s|\"python3\", \"-m\", \"vllm.entrypoints.openai.api_server\"|\"$fake\"|" -e "s|\"zai-org/[^\"]*\"|\"$PWD/examples/little-model/checkpoint\"|" \
    -e "s|127.0.0.1:8000|127.0.0.1:$api|; s|\"8000\"|\"$api\"|" examples/vllm-shaped/vllm.json > "$work/vllm.json"

url=http://127.0.0.1:$api
question() { # stream? true or false
    printf '{"model":"autoglm-phone-9b-multilingual","stream":%s,"max_tokens":%s,"messages":[{"role":"user","content":"Open the settings"}]}' "$1" "$2"
}
chat() { curl -sN -m 60 "$url/v1/chat/completions" -H 'Content-Type: application/json' -d "$(question "$@")"; }
worker() { # the worker process of the server that runs now
    local p
    for p in /proc/[0-9]*; do
        [ "$(cat "$p/comm" 2> /dev/null)" = VLLM::Worker_0 ] && grep -qzxF "HOLDFAST_STATE_DIR=$HOLDFAST_STATE_DIR" "$p/environ" 2> /dev/null && echo "${p#/proc/}"
    done
}
pending() { curl -s "$url/metrics" | grep -q '^vllm:num_requests_running{.*} 1.0'; }
last() { grep -F "holdfast: $1" "$log" | tail -n 1 | sed 's/^/    /'; }

say 'a start on a device whose memory is enough for 64 requests at a time; the command line leaves it at the default of 256'
export FAKE_VLLM_FAIL=oom-cuda
hold run --config "$work/vllm.json" --status-listen "127.0.0.1:$status" --restart-delay 500ms --live-period 500ms --live-failures 4
await 'the first shards' 60 logged 'Completed | 1/3'
say 'while it loads: holdfast reads the log, so a slow start is not taken for a dead one'
"$H" probe ready | sed 's/^/    /'
"$H" status | sed 's/^/    /'

await 'the end for want of memory' 60 logged 'holdfast: rung'
say 'out of device memory: the cause is the line that explains, not the last one, and the next start gets another argument'
last diagnosis
last rung
await 'ready' 60 "$H" probe ready
tr '\0' ' ' < "/proc/$(server_pid)/cmdline" | grep -oE -- '--max-num-seqs 64' | sed 's/^/    the server now runs with /' || wrong 'the argument did not change'

say 'ready: a request'
answer=$(chat false 8)
echo "    $answer"
[[ "$answer" == *'"completion_tokens":8'* ]] || wrong 'that is no answer'

say 'a worker process is killed: the server ends with it, holdfast starts it again once nothing of it is left'
kill -KILL "$(worker)"
await 'the next start' 60 logged 'holdfast: ready' 2
last diagnosis

say 'the worker hangs (kill -STOP): /health still says 200, but a request is pending and the counters of /metrics stand still'
kill -STOP "$(worker)"
chat false 8 > "$work/hung" &
hung=$!
await 'the pending request' 60 pending
curl -s -o "$work/health" -w '    /health: %{http_code}\n' "$url/health"
curl -s "$url/metrics" | grep -E '^vllm:(num_requests_running|generation_tokens_total)' | sed 's/^/    /'
await 'the verdict' 60 logged 'cause=stalled'
await 'the next start' 60 logged 'holdfast: ready' 3
wait "$hung"
last diagnosis

say 'stop (TERM) while an answer streams: it is finished first'
chat true 60 > "$work/stream" &
stream=$!
await 'the first words' 60 grep -q word "$work/stream"
stop
wait "$stream" || wrong 'the stream was cut'
grep -qxF 'data: [DONE]' "$work/stream" || wrong 'the stream has no end'
[ "$code" = 0 ] || wrong "the status is $code"
say "the stream came to its end with $(grep -c '"content":"word "' "$work/stream") words and [DONE]; holdfast ended with status 0"
