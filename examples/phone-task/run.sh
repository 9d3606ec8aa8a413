#!/usr/bin/env bash
# run.sh: holdfast serves the little model; the real openai client works through phone tasks, and the engine dies in the middle of one.
# shellcheck disable=SC2154 # what is used here without a word comes from show.bash
. "$(dirname "$0")/../show.bash"
needs curl python3

venv=$PWD/build/venv-openai
if ! "$venv/bin/python" -c 'import openai' 2> /dev/null; then
    say 'installing the openai client into build/venv-openai'
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check -r examples/phone-task/requirements.txt; } ||
        { echo 'this example needs pip and a package index with openai' >&2; exit 69; }
fi

cp -r examples/little-model/checkpoint "$work/model"
hold run --model "$work/model" --listen "127.0.0.1:$api" --status-listen "127.0.0.1:$status" --restart-delay 100ms --log-level error
await 'ready' 60 "$H" probe ready
say "ready; the agent begins. It asks http://127.0.0.1:$api/v1"

engine() { "$H" status --json | python3 -c 'import json, sys; print(next(m["pid"] for m in json.load(sys.stdin)["members"] if m["name"] == "engine"))'; }
old=$(engine)
"$venv/bin/python" examples/phone-task/agent.py --base "http://127.0.0.1:$api/v1" --disturb "kill -KILL $old" || wrong 'the tasks were not done'
await 'the next engine' 60 "$H" probe ready
[ "$(engine)" != "$old" ] || wrong 'the engine is still the old one'
say "one engine died in between; the client's retries carried its task over to the next one"

say 'stop'
stop
[ "$code" = 0 ] || wrong "the status is $code"
