#!/usr/bin/env bats
# The examples do what their READMEs say: the one command of each is taken from its README and run as written, from the root of
# the source.

bats_require_minimum_version 1.5.0
load ../helpers/examples

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

@test "every example has one command, stands in the list with it, and is run by a test" {
    local readme name command bad=0
    for readme in examples/*/README.md; do
        name=$(basename "$(dirname "$readme")")
        command=$(command_of "$name")
        if [ "$(fences "$readme" | grep -c '^sh ')" -ne 1 ] || [ "$(grep -c . <<< "$command")" -ne 1 ]; then
            echo "$readme: wants exactly one fenced block of language sh with exactly one line"
            bad=1
        fi
        if fences "$readme" | grep -E '^(bash|shell|console?sh|\(none\)|\(open\)) '; then
            echo "$readme: any other block has a language of its own: text, console, dockerfile, yaml"
            bad=1
        fi
        grep -qF "| [$name]($name/README.md) |" examples/README.md || { echo "examples/README.md: has no row for $name"; bad=1; }
        grep -F "[$name]($name/README.md)" examples/README.md | grep -qF "\`$command\`" || { echo "examples/README.md: the row of $name has another command"; bad=1; }
        grep -qE "^ *(example|elsewhere) $name( |$)" "$BATS_TEST_FILENAME" || { echo "70_examples.bats: no test runs $name"; bad=1; }
    done
    [ "$bad" = 0 ]
}

@test "what the list of examples names exists" {
    local link
    for link in $(grep -oE '\]\([^)#:]+' examples/README.md | cut -c3-); do
        [ -e "examples/$link" ] || { echo "examples/README.md: $link does not exist"; return 1; }
    done
}

@test "little-model: from an origin to an answer that only the screenshot decides" {
    PATH=$PATH:/usr/sbin command -v nginx > /dev/null || skip "needs nginx"
    example little-model 600
    [ "$status" -eq 0 ]
    [[ "$output" == *'==> READY: API on '*'answer '*'<answer>finish(message="home")'* ]]
}

@test "any-command: ready, crash, restart, status, stop" {
    example any-command
    [ "$status" -eq 0 ]
    [[ "$output" == *'==> ready: holdfast asked /health'*'==> holdfast status'*'==> the server crashes'*'==> it is back as process '*'==> ended with status 143'* ]]
}

@test "vllm-shaped: a followed start, a rung lower, a dead worker, a stall, a stop that finishes its stream" {
    example vllm-shaped 300
    [ "$status" -eq 0 ]
    # Each line of vLLM's that holdfast follows is there, in this order.
    local line rest=$output
    while IFS= read -r line; do
        [[ "$rest" == *"$line"* ]] || { echo "not there, or too early: $line"; return 1; }
        rest=${rest#*"$line"}
    done <<'LINES'
Starting to load model
Loading safetensors checkpoint shards:
Loading weights took
Model loading took
torch.compile takes
GPU KV cache size:
Capturing CUDA graph
Graph capturing finished in
Application startup complete
LINES
    [[ "$output" == *'waits for vllm, 33 %'*'cause=gpu_oom'*'rung=1 name=64-requests'*'now runs with --max-num-seqs 64'*'"completion_tokens":8'* ]]
    [[ "$output" == *'==> a worker process is killed'*'cause=exited'*'Worker proc VllmWorker-0 died unexpectedly'*'/health: 200'*'cause=stalled'*'60 words and [DONE]; holdfast ended with status 0'* ]]
}

@test "vllm-shaped: its file for a GPU machine is understood, and is the README's line" {
    run build/release/bin/holdfast config --config examples/vllm-shaped/vllm.json
    [ "$status" -eq 0 ]
    python3 - <<'PY'
import json, re, shlex
readme = open('examples/vllm-shaped/README.md').read()
line = next(b for b in re.findall(r'```text\n(.*?)```', readme, re.S) if 'vllm.entrypoints' in b)
words = shlex.split(line.replace('\\\n', ' '))
server = json.load(open('examples/vllm-shaped/vllm.json'))['servers']['vllm']
assert words[words.index('--') + 1:] == server['command'], words
assert words[words.index('--live') + 1] == server['health']['live'] and words[words.index('--ready') + 1] == server['health']['ready']
PY
}

# The table of the README: each way to fail, and what holdfast makes of the words that the real server would say.
@test "vllm-shaped: every failure of the fake is named as its README says" {
    local port name cause pid bad=0 log=$BATS_TEST_TMPDIR/log rows=0
    while read -r name cause; do
        rows=$((rows + 1))
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        FAKE_VLLM_FAIL=$name FAKE_VLLM_LOAD_MS=20 FAKE_VLLM_STEP_MS=5 timeout -k 5 60 build/release/bin/holdfast --state-dir "$BATS_TEST_TMPDIR/$name" --log-level info --log-format json \
            --no-progress 500ms --sweep-wait 100ms --ready "http://127.0.0.1:$port/health" --live "counter:http://127.0.0.1:$port/metrics" --live-period 100ms --live-failures 3 --health-timeout 10s \
            --status-listen '' -- build/release/tests/fake-vllm --model examples/little-model/checkpoint --port "$port" > "$log" 2>&1 3>&- &
        pid=$!
        until grep -qE '"ev":"(ready|diagnosis)"' "$log" || ! kill -0 $pid 2> /dev/null; do read -rt 0.05 <> <(:) || :; done
        curl -s -m 30 -d '{"max_tokens":2}' "http://127.0.0.1:$port/v1/chat/completions" > "$BATS_TEST_TMPDIR/answer" || :
        wait $pid || :
        grep '"ev":"diagnosis"' "$log" | grep -qF "\"cause\":\"$cause\"" || { echo "$name: not $cause"; cat "$log"; bad=1; }
    done < <(sed -nE 's/^\| `([a-z-]+)` \|.*\| `([a-z_]+)`[^|]*\|$/\1 \2/p' examples/vllm-shaped/README.md)
    [ "$rows" -eq "$(grep -c '^    { "[a-z-]*", AT_' examples/vllm-shaped/fake-vllm.c)" ]
    [ "$bad" = 0 ]
}

@test "phone-task: an OpenAI client's nine tasks, across the death of the engine" {
    example phone-task 300
    [ "$status" -ne 69 ] || skip "the openai package cannot be installed here"
    [ "$status" -eq 0 ]
    [[ "$output" == *'sees map.png '*'finish(message="map")'*'9 tasks done in 15 requests'*'one engine died in between'* ]]
}

@test "compose: up, healthy, a chat, down" {
    elsewhere compose tests/container/30_compose.bats
}

@test "scale-by-queue-depth: the queries of the rendered autoscalers give the number of requests" {
    sh tests/chart/tools.sh > /dev/null 2> "$BATS_TEST_TMPDIR/log" || skip "helm could not be had: $(tail -1 "$BATS_TEST_TMPDIR/log")"
    command -v prometheus > /dev/null || skip "prometheus is not installed (apt package prometheus)"
    example scale-by-queue-depth 300
    [ "$status" -eq 0 ]
    [[ "$output" == *'nobody asks: 0 '*'KEDA reads 12 '*'2 pods'*'reads 11: '*'3 pods'*'gone: 0 '*'KEDA reads 21: '* ]]
}

@test "kubernetes-shared-volume: three replicas, one download" {
    elsewhere kubernetes-shared-volume tests/cluster/50_shared.bats
}

@test "troubleshooting: every failure of the page, provoked again" {
    elsewhere troubleshooting tests/story/71_tour.bats
}

@test "pytorch-server: real classes, answers equal to our own runtime's, a crash, a stop, a rung lower" {
    [ -n "${HOLD_SOAK:-}${HOLD_TORCH_PYTHON:-}" ] || skip "make soak runs it: it installs 5.6 GB (HOLD_TORCH_PYTHON names a python that has torch, transformers, uvicorn, pillow)"
    example pytorch-server 3600
    [ "$status" -ne 69 ] || skip "$(tail -n 1 <<< "$output")"
    [ "$status" -eq 0 ]
    [[ "$output" == *'30 greedy answers of PyTorch'*'the server crashes'*'it is back'*'cause=host_oom'*'rung=1'*'a rung lower'* ]]
}
