#!/usr/bin/env bash
# run.sh: a real PyTorch server under holdfast: started, asked, crashed while somebody asks, stopped; and started where its memory does not suffice.
# shellcheck disable=SC2154 # what is used here without a word comes from show.bash
. "$(dirname "$0")/../show.bash"
needs curl python3
here=examples/pytorch-server

# ---- a python with torch ----
python=${HOLD_TORCH_PYTHON:-$PWD/build/venv-torch/bin/python3}
imports='import PIL, torch, transformers, uvicorn'
if [ -z "${HOLD_TORCH_PYTHON:-}" ] && ! "$python" -c "$imports" 2> /dev/null; then
    say 'installing PyTorch into build/venv-torch: 5.6 GB, once'
    { python3 -m venv build/venv-torch && { [ -z "${TORCH_INDEX:-}" ] || "$python" -m pip install -q --disable-pip-version-check --index-url "$TORCH_INDEX" "$(grep ^torch= $here/requirements.txt)"; } &&
        "$python" -m pip install -q --disable-pip-version-check -r $here/requirements.txt; } || { echo 'this example needs pip and a package index with torch' >&2; exit 69; }
fi
"$python" -c "$imports" 2> "$work/imports" || { echo "this example needs torch, transformers, uvicorn and pillow in $python: $(tail -n 1 "$work/imports")" >&2; exit 69; }
PATH=$(dirname "$python"):$PATH
# The sandbox shows a server of others the system's folders; where python and its packages lie elsewhere, they are granted.
grants=(--grant "r:$PWD/$here")
while IFS= read -r folder; do grants+=(--grant "x:$folder"); done < <("$python" -c 'import os, sys
print("\n".join(sorted({os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, *sys.path[1:]) if os.path.isdir(p)})))')

cp -r examples/little-model/checkpoint "$work/model"
export MODEL=$work/model PORT=$api
torch() { # holdfast with the server in it; its warm-up is one real inference
    hold run --config $here/holdfast.json --model "$work/model" --listen "127.0.0.1:$api" --status-listen "127.0.0.1:$status" --log-level info \
        --restart-delay 200ms --ready "http://127.0.0.1:$api/health" --warmup "exec:$H ask http://127.0.0.1:$api/v1 --text Hi --max-tokens 4" "${grants[@]}"
}
ended() { [ "$code" = "$1" ] || wrong "the status is $code, not $1"; } # STATUS

say "what holdfast's own runtime answers, to compare with"
hold run --model "$work/model" --listen "127.0.0.1:$api" --status-listen "127.0.0.1:$status" --log-level error
await 'ready' 60 "$H" probe ready
python3 $here/answers.py "http://127.0.0.1:$api" > "$work/ours" || wrong 'no answers'
stop
ended 0

say "the same model on the transformers library's own classes, as server of holdfast"
torch
await 'ready' 900 "$H" probe ready
say 'ready: the packages were found, the files checked, /health said 200, and one real inference came back'
"$H" status | sed 's/^/    /'
python3 $here/answers.py "http://127.0.0.1:$api" > "$work/theirs" || wrong 'no answers'
cmp "$work/ours" "$work/theirs" || wrong "they answer differently: $(diff "$work/ours" "$work/theirs" | head -n 4)"
say "$(wc -l < "$work/theirs") greedy answers of PyTorch, whole and streamed, equal those of holdfast's own runtime, token by token"

old=$(server_pid)
say "the server crashes (kill -SEGV $old); somebody asks at that moment"
kill -SEGV "$old"
python3 examples/ask.py --base "http://127.0.0.1:$api/v1" --model autoglm-phone-9b > "$work/asked" 2>&1 &
asking=$!
await 'the next start' 900 logged 'holdfast: ready' 2
wait "$asking" || wrong "the request was lost: $(tail -n 1 "$work/asked")"
[ "$(server_pid)" != "$old" ] || wrong 'the server is still the old one'
say 'it is back. The socket had stayed open in holdfast, so the request waited in line instead of being refused:'
cat "$work/asked"

say 'stop: TERM. The server ends what it answers, and holdfast ends with its status'
stop
ended 143

say 'now with a reserve of 200000 GiB, more than a machine has'
export RESERVE_GIB=200000
torch
await 'a lower rung' 900 logged 'holdfast: rung'
await 'ready' 900 "$H" probe ready
say 'PyTorch ran out of memory. holdfast knew its words for that, and went a rung lower on the ladder of holdfast.json:'
"$H" status | sed 's/^/    /'
stop
ended 143
