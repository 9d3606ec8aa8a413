#!/usr/bin/env bash
# run.sh: a server that knows nothing of holdfast is started, crashes, is started again and is stopped.
# shellcheck disable=SC2154 # what is used here without a word comes from show.bash
. "$(dirname "$0")/../show.bash"
needs curl python3
export PORT=$api TMPDIR=$work

hold --restart on-failure --restart-delay 200ms --status-listen "127.0.0.1:$status" --ready "http://127.0.0.1:$api/health" -- ./examples/any-command/entrypoint.sh
await 'ready' 60 "$H" probe ready
say "ready: holdfast asked /health until it said 200. The server's answer: $(curl -s "http://127.0.0.1:$api/health")"

say 'holdfast status'
"$H" status | sed 's/^/    /'

old=$(server_pid)
say "the server crashes (kill -SEGV $old)"
kill -SEGV "$old"
await 'the next start' 60 logged 'holdfast: ready' 2
new=$(server_pid)
[ "$new" != "$old" ] || wrong 'the server is still the old one'
say "it is back as process $new, and holdfast said what the old one died of:"
grep -F 'holdfast: diagnosis' "$log" | tail -n 1 | sed 's/^/    /'
[ "$(curl -s "http://127.0.0.1:$api/health")" = ok ] || wrong 'it does not answer'

say 'stop: TERM to holdfast, as docker stop and Kubernetes do'
stop
[ "$code" = 143 ] || wrong "the status is $code"
say "ended with status 143: the server's own (128 + 15, it died of the TERM that was passed on). --success-exit 143 would make it 0."
