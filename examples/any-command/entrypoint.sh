#!/bin/sh
# A server as you may have it. It knows nothing of holdfast.
set -eu
port=${PORT:-8000}
echo "entrypoint: getting ready"
www=$(mktemp -d)
sleep 1
echo ok > "$www/health"
echo "entrypoint: serving on $port"
exec python3 -m http.server --bind 127.0.0.1 --directory "$www" "$port" 2> "$www/log"
