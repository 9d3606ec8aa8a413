#!/bin/sh
# tools.sh: helm and kubeconform (from the Go module proxy) and Kubernetes' own schemas (of the package kubernetes-validate) in the
# cache folder, outside the tree. Prints the cache folder.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
mkdir -p "$cache/bin"
if [ ! -x "$cache/bin/helm" ] || [ ! -x "$cache/bin/kubeconform" ]; then
    go=$(sh tests/helpers/go.sh)
    [ -x "$cache/bin/helm" ] || GOBIN=$cache/bin CGO_ENABLED=0 "$go" install helm.sh/helm/v3/cmd/helm@v3.19.0 >&2
    [ -x "$cache/bin/kubeconform" ] || GOBIN=$cache/bin CGO_ENABLED=0 "$go" install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 >&2
fi
# A python with PyYAML (it comes with kubernetes-validate) and yamllint.
if [ ! -x "$cache/validate/bin/kubernetes-validate" ] || [ ! -x "$cache/validate/bin/yamllint" ]; then
    python3 -m venv "$cache/validate" && "$cache/validate/bin/pip" install -q kubernetes-validate yamllint >&2
fi
python3 tests/chart/schemas.py "$(echo "$cache"/validate/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema)" "$cache/schemas"
echo "$cache"
