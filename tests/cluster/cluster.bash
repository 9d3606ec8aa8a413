# cluster.bash - for the stories on a real node: a namespace that enforces the restricted standard, the chart in it, what the kubelet
# and the pod's files say.
# shellcheck shell=bash disable=SC2034,SC2154

# space NAME: a new namespace, used by k and chart from here on.
space() {
    export NS=$1
    kubectl create namespace "$NS" > /dev/null
    kubectl label namespace "$NS" pod-security.kubernetes.io/enforce=restricted > /dev/null
    until_true 60 k get serviceaccount default
}

k() { kubectl -n "$NS" "$@"; }

# chart install|upgrade RELEASE [OPTION]...
chart() { helm "$1" "$2" helm/holdfast -n "$NS" -f tests/cluster/values.yaml "${@:3}"; }

# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not within its time: $*"; return 1; }
        sleep 0.2
    done
}

# pod RELEASE: the name of its newest pod that is not being deleted.
pod() {
    k get pods -l "app.kubernetes.io/instance=$1,app.kubernetes.io/component=server" --sort-by=.metadata.creationTimestamp \
        -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{.metadata.deletionTimestamp}{"\n"}{end}' | awk 'NF == 1 { name = $1 } END { if (name == "") exit 1; print name }'
}

# field POD JSONPATH
field() { k get pod "$1" -o "jsonpath=$2"; }
server() { field "$1" "{.status.containerStatuses[?(@.name==\"server\")]$2}"; }
restarts() { server "$1" .restartCount; }

# is_ready RELEASE: its newest pod becomes Ready, within five minutes.
is_ready() {
    until_true 60 pod "$1"
    k wait --for=condition=Ready "pod/$(pod "$1")" --timeout=300s
}

# said POD: the termination message as it stands on the node now, while the container still runs.
said() { cat "$HOLD_NODE_DIR/kubelet/pods/$(field "$1" '{.metadata.uid}')/containers/server/"*; }
says() { said "$1" | grep -qE "$2"; }

# processes POD: the pids of everything in it, as the node numbers them.
processes() { cat $(find /sys/fs/cgroup/*/hold-node.*/ -name cgroup.procs -path "*$(field "$1" '{.metadata.uid}')*") | sort -un; }

# member POD front|engine: the pid of that member on the node.
member() {
    local p
    for p in $(processes "$1"); do
        if tr '\0' ' ' < "/proc/$p/cmdline" | grep -q "holdfast-runtime $2"; then echo "$p"; return 0; fi
    done
    return 1
}

# origin NAME PORT FOLDER [DIRECTIVE]: an nginx of its own, so that one can be frozen alone. Its pid is in $ORIGINS/NAME/pid.
origin() {
    local d=$ORIGINS/$1
    mkdir -p "$d"
    cat > "$d/nginx.conf" <<CONF
user root; daemon off; worker_processes 1; pid $d/pid; error_log $d/error.log;
events { worker_connections 64; }
http {
    access_log $d/access.log; default_type application/octet-stream; sendfile on;
    client_body_temp_path $d/a; proxy_temp_path $d/b; fastcgi_temp_path $d/c; uwsgi_temp_path $d/d; scgi_temp_path $d/e;
    server { listen $HOLD_NODE:$2; root $3; ${4:-} }
}
CONF
    PATH=$PATH:/usr/sbin nginx -c "$d/nginx.conf" -e "$d/error.log" > "$d/out" 2>&1 3>&- 4>&- &
    until_true 60 curl -sf -o "$d/probe" "http://$HOLD_NODE:$2/config.json"
}

# volume CLAIM: a static volume for that claim, a folder of the node that group 0 may write. Restricted pods may not name a path.
volume() {
    mkdir -p "$(folder "$1")"
    chmod 2775 "$(folder "$1")"
    k apply -f - <<MANIFEST
{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "$NS-$1"},
 "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "", "persistentVolumeReclaimPolicy": "Retain",
          "hostPath": {"path": "$(folder "$1")"}, "claimRef": {"namespace": "$NS", "name": "$1"}}}
MANIFEST
}
# claim NAME: a claim bound to such a volume.
claim() {
    volume "$1"
    k apply -f - <<MANIFEST
{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "$1"},
 "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": "$NS-$1", "resources": {"requests": {"storage": "1Gi"}}}}
MANIFEST
}
folder() { echo "$HOLD_NODE_DIR/volumes/$NS-$1"; }

address() { k get service "$1" -o 'jsonpath={.spec.clusterIP}'; } # SERVICE

# tell: what there is to know about a story that failed.
tell() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] && return 0
    k get pods -o wide
    k describe pods | grep -A 40 -E 'Events:|Last State|State:' | head -120
    for p in $(k get pods -o name); do k logs "$p" --tail 30; done
    return 0
}

clean() { kubectl delete namespace "$NS" --wait=false > /dev/null 2>&1 || :; }
