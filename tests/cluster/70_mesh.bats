#!/usr/bin/env bats
# A mesh's proxy beside each server: every request goes through it. Two replicas are rolled under load, and not one request fails.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space mesh
    # The sidecar drains for longer than holdfast has, and ends with its last connection; like a mesh's own it is ready only when it listens. A Service of its own leads to it, as a mesh's capture would.
    export VALUES=$BATS_FILE_TMPDIR/values.json
    cat > "$VALUES" <<'JSON'
{"replicas": 2, "grace": 60, "prestopDelay": 10, "probes": {"readiness": {"period": 1}},
 "extraContainers": [{"name": "proxy", "image": "localhost/sidecar:1", "imagePullPolicy": "Never", "args": ["15006", "8000", "15"], "ports": [{"name": "mesh", "containerPort": 15006}],
   "readinessProbe": {"tcpSocket": {"port": "mesh"}, "periodSeconds": 1},
   "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}],
 "extraObjects": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "{{ .Release.Name }}-mesh"}, "spec": {"selector": {"app.kubernetes.io/instance": "{{ .Release.Name }}",
   "app.kubernetes.io/component": "server"}, "ports": [{"port": 80, "targetPort": "mesh"}]}}]}
JSON
    chart install phone -f "$VALUES" > "$BATS_FILE_TMPDIR/notes"
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

@test "two replicas behind a sidecar are rolled under load, and no request fails" {
    k rollout status deployment/phone-holdfast --timeout=300s
    mapfile -t old < <(k get pods -l app.kubernetes.io/component=server -o name)
    [ "${#old[@]}" = 2 ]
    # The node's rules for a Service follow its endpoints a moment after the rollout is done; until then it refuses.
    for _ in 1 2 3 4 5; do until_true 60 curl -sf -o /dev/null "http://$(address phone-mesh):80/health"; done
    # Long ones, that a stop must let finish, and short ones, of which many begin in the moment when an endpoint goes.
    python3 tests/cluster/streams.py "http://$(address phone-mesh):80" 2 "$BATS_TEST_TMPDIR/stop" > "$BATS_TEST_TMPDIR/long" 3>&- &
    python3 tests/cluster/streams.py "http://$(address phone-mesh):80" 4 "$BATS_TEST_TMPDIR/stop" 2 > "$BATS_TEST_TMPDIR/short" 3>&- &
    for p in "${old[@]}"; do # each is at work
        ip=$(k get "$p" -o 'jsonpath={.status.podIP}')
        served() { curl -sf "http://$ip:8000/metrics" | awk '/^vllm:request_success_total/ { n += $2 } END { exit n < 1 }'; }
        until_true 60 served
    done
    chart upgrade phone -f "$VALUES" --set grace=61 > "$BATS_TEST_TMPDIR/notes"
    k rollout status deployment/phone-holdfast --timeout=400s
    for p in "${old[@]}"; do k wait --for=delete "$p" --timeout=150s; done
    touch "$BATS_TEST_TMPDIR/stop"
    wait
    cat "$BATS_TEST_TMPDIR"/{long,short}
    jq -es 'length == 2 and all(.broken == 0 and .refused == 0 and .whole > 3)' "$BATS_TEST_TMPDIR"/{long,short}
}

@test "a sidecar in the pod changes nothing about the restarts of a server" {
    P=$(pod phone)
    kill -KILL "$(member "$P" engine)"
    away() { [ "$(server "$P" .ready)" = false ] || k logs "$P" -c server | grep -q '"ev":"diagnosis"'; }
    until_true 60 away
    k wait --for=condition=Ready "pod/$P" --timeout=120s
    [ "$(restarts "$P")" = 0 ]
    [ "$(field "$P" '{.status.containerStatuses[?(@.name=="proxy")].restartCount}')" = 0 ]
    helm uninstall phone -n "$NS"
}
