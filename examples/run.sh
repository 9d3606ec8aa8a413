#!/usr/bin/env bash
# run.sh: what `make run` does once everything is built. An nginx on loopback is the origin; holdfast judges the machine, fetches and
# proves the little model, starts its runtime in the sandbox, does one real inference and is READY; then one question that only
# the screenshot decides is asked through the OpenAI API. Serves until Ctrl-C; with ONCE=1 it ends with status 0 when the answer was right.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build/release}
work=build/run
api=${API_PORT:-8000} status=${STATUS_PORT:-8181}
bold=$'\033[1m' plain=$'\033[0m'
[ -t 1 ] || bold='' plain=''
say() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }

for tool in nginx curl python3; do
    PATH=$PATH:/usr/sbin command -v "$tool" > /dev/null || { echo "make run: needs $tool (make deps installs it)" >&2; exit 69; }
done
rm -rf "$work"
mkdir -p "$work/origin" "$work/model" "$work/state" "$work/nginx"
cp examples/little-model/checkpoint/* "$work/origin/"
"$build/bin/holdfast" verify "$work/origin" --write-manifest > "$work/manifest.log" 2>&1 || { cat "$work/manifest.log" >&2; exit 1; }

# ---- the origin: nginx on a free port of loopback, everything it writes below build/run ----
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_root=
[ "$(id -u)" -ne 0 ] || as_root='user root;'
cat > "$work/nginx/nginx.conf" <<CONF
$as_root daemon off; worker_processes 1; pid $PWD/$work/nginx/pid; error_log $PWD/$work/nginx/error.log;
events { worker_connections 64; }
http {
    access_log off; default_type application/octet-stream; sendfile on;
    client_body_temp_path $PWD/$work/nginx/a; proxy_temp_path $PWD/$work/nginx/b; fastcgi_temp_path $PWD/$work/nginx/c;
    uwsgi_temp_path $PWD/$work/nginx/d; scgi_temp_path $PWD/$work/nginx/e;
    server { listen 127.0.0.1:$port; root $PWD/$work/origin; }
}
CONF
chmod a+rx "$work" "$work/origin" 2> /dev/null
PATH=$PATH:/usr/sbin nginx -c "$PWD/$work/nginx/nginx.conf" -e "$PWD/$work/nginx/error.log" 2> "$work/nginx/start.log" &
nginx=$!
holdfast=
finish() {
    trap '' INT TERM
    [ -z "$holdfast" ] || { kill -TERM "$holdfast" 2> /dev/null; wait "$holdfast" 2> /dev/null; }
    kill -TERM "$nginx" 2> /dev/null
    wait "$nginx" 2> /dev/null
}
trap finish EXIT
trap 'exit 130' INT TERM
for _ in $(seq 100); do
    curl -sf -o /dev/null "http://127.0.0.1:$port/config.json" && break
    kill -0 "$nginx" 2> /dev/null || { cat "$work/nginx/start.log" "$work/nginx/error.log" >&2; exit 1; }
    read -r -t 0.05 < <(:) || :
done

say "origin: http://127.0.0.1:$port (nginx, the little model)"
say "holdfast run --model $work/model --model-source http://127.0.0.1:$port/"
"$build/bin/holdfast" run --model "$PWD/$work/model" --model-source "http://127.0.0.1:$port/" --served-name autoglm-phone-little \
    --listen "127.0.0.1:$api" --status-listen "127.0.0.1:$status" --state-dir "$PWD/$work/state" --termination-log "$PWD/$work/termination-log" ${RUN_EXTRA:-} &
holdfast=$!
until "$build/bin/holdfast" probe ready --state-dir "$PWD/$work/state" > /dev/null 2>&1; do
    kill -0 "$holdfast" 2> /dev/null || { wait "$holdfast"; echo "make run: holdfast ended with status $? (API_PORT= and STATUS_PORT= choose other ports)" >&2; cat "$work/termination-log" >&2; holdfast=; exit 1; }
    read -r -t 0.05 < <(:) || :
done
say "READY: API on http://127.0.0.1:$api/v1, status page on http://127.0.0.1:$status/"

python3 examples/ask.py --base "http://127.0.0.1:$api/v1" --model autoglm-phone-little
answered=$?
if [ -n "${ONCE:-}" ]; then exit "$answered"; fi
say "serving until Ctrl-C"
wait "$holdfast"
code=$?
holdfast=
exit "$code"
