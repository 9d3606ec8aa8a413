#!/bin/bash
# tools.sh: what the cluster is made of. Kubernetes and CoreDNS are built from the Go module proxy into the cache folder, outside
# the tree, once a version; helm comes with the chart's tools. Prints the folder of the programs; a reason on standard error when
# something cannot be had. From nothing: about 8 minutes on an idle machine of two cores, 2 GB of memory, 8 GB of disk (Go's caches).
set -eu
kubernetes=1.33.5 coredns=1.12.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
bin=$cache/kube-$kubernetes
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
log=$bin/build.log
mkdir -p "$bin"
exec 9> "$bin/.lock"
flock 9

missing=
for p in $programs coredns; do [ -x "$bin/$p" ] || missing="$missing $p"; done
if [ -n "$missing" ]; then
    go=$(sh tests/helpers/go.sh) || { echo "Go could not be had" >&2; exit 1; }
    PATH=$(dirname "$go"):$PATH
    export PATH CGO_ENABLED=0
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    package=k8s.io/component-base/version
    stamp="-s -w -X $package.gitVersion=v$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<< $kubernetes)"
    script=$PWD/tests/cluster/kubemod.py
    module() { [ -e go.sum ] || { python3 "$script" "$kubernetes" && go mod tidy -e; }; }
    build() {
        if [ "$1" = coredns ]; then
            GOBIN=$work/out go install -trimpath -ldflags '-s -w' "github.com/coredns/coredns@v$coredns"
        else
            module && go build -trimpath -ldflags "$stamp" -o out/ "k8s.io/kubernetes/cmd/$1"
        fi
    }
    for p in $missing; do
        (cd "$work" && build "$p" && mv "out/$p" "$bin/$p") > "$log" 2>&1 || { echo "building $p failed: $(tail -1 "$log")" >&2; exit 1; }
    done
fi
chart=$(sh tests/chart/tools.sh 2> "$bin/chart.log") || { echo "helm could not be built: $(tail -1 "$bin/chart.log")" >&2; exit 1; }
ln -sf "$chart/bin/helm" "$bin/helm"
echo "$bin"
