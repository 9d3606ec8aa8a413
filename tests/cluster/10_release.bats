#!/usr/bin/env bats
# One release from install to uninstall, as a user lives with it: the little model from an origin, in a namespace that enforces
# the restricted standard. The stories follow each other on the same release.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space release
    export BEFORE=$BATS_FILE_TMPDIR/before
    everything > "$BEFORE"
    chart install phone > "$BATS_FILE_TMPDIR/notes"
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

everything() { # what the namespace holds, events apart
    kubectl api-resources --namespaced --verbs=list -o name | grep -vE '^events|^leases' | paste -sd, | xargs -I{} kubectl -n "$NS" get {} -o name --ignore-not-found | sort
}

@test "the little model is brought from its origin, and the pod is Ready through the startup probe" {
    is_ready phone
    P=$(pod phone)
    [ "$(server "$P" .started)" = true ]
    [ "$(restarts "$P")" = 0 ]
    k logs "$P" | grep '"ev":"fetch_done"' | grep -q '"fetched_files":10'
    field "$P" '{.spec.containers[0].startupProbe}' | grep -q startup
    [ "$(field "$P" '{.spec.containers[0].securityContext.readOnlyRootFilesystem}')" = true ]
}

@test "a chat about a screenshot is answered through a port-forward" {
    coproc FORWARD { exec kubectl -n "$NS" port-forward "$(k get service -o name | head -1)" :8000 2>&1 3>&-; }
    read -r line <&"${FORWARD[0]}"
    port=$(sed -E 's/.*127\.0\.0\.1:([0-9]+) .*/\1/' <<< "$line")
    python3 examples/ask.py --base "http://127.0.0.1:$port/v1" --model little
    kill "$FORWARD_PID"
}

@test "helm test is green through the Service and its name" {
    helm test phone -n "$NS" --timeout 300s 2>&1 | tee "$BATS_TEST_TMPDIR/tested"
    grep -q 'Phase: *Succeeded' "$BATS_TEST_TMPDIR/tested"
    grep -q '"ev":"request"' "$BATS_TEST_TMPDIR/tested" # the pod's log, before it goes
}

@test "helm upgrade with a changed value rolls the pod and drops no stream" {
    old=$(pod phone)
    python3 tests/cluster/streams.py "http://$(address phone-holdfast):8000" 2 "$BATS_TEST_TMPDIR/stop" > "$BATS_TEST_TMPDIR/tally" 3>&- &
    clients=$!
    chart upgrade phone --set grace=20 > "$BATS_TEST_TMPDIR/notes"
    k rollout status deployment/phone-holdfast --timeout=300s
    k wait --for=delete "pod/$old" --timeout=120s
    touch "$BATS_TEST_TMPDIR/stop"
    wait "$clients"
    cat "$BATS_TEST_TMPDIR/tally"
    [ "$(pod phone)" != "$old" ]
    [ "$(field "$(pod phone)" '{.spec.terminationGracePeriodSeconds}')" = 25 ]
    jq -e '.broken == 0 and .whole > 0' "$BATS_TEST_TMPDIR/tally"
}

@test "helm uninstall leaves nothing" {
    uid=$(field "$(pod phone)" '{.metadata.uid}')
    helm uninstall phone -n "$NS" --wait --timeout 300s
    left() { diff "$BEFORE" <(everything); }
    until_true 120 left
    no_files() { [ ! -e "$HOLD_NODE_DIR/kubelet/pods/$uid" ] && [ -z "$(find /sys/fs/cgroup -name "pod$uid")" ]; }
    until_true 120 no_files
}
