#!/usr/bin/env bats
# What lies on the volume: damage is healed without a human; what no restart cures ends at once and the same way each time, or is
# held for somebody to look at.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space data
    # A sound copy of everything, of an architecture that the runtime does not know.
    cp -r "$ORIGINS/model" "$ORIGINS/odd-model"
    rm -rf "$ORIGINS/odd-model/.holdfast" "$ORIGINS/odd-model/holdfast.manifest.json"
    sed -i 's/Glm4vForConditionalGeneration/SomethingElse/; s/"model_type": "glm4v",/"model_type": "something",/' "$ORIGINS/odd-model/config.json"
    build/release/bin/holdfast verify "$ORIGINS/odd-model" --no-plan --write-manifest > "$ORIGINS/odd.log" 2>&1
    origin odd 8084 "$ORIGINS/odd-model"
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

shards_asked() { grep -c 'GET /model-.*safetensors' "$ORIGINS/odd/access.log" || :; }

@test "a damaged shard on the volume is healed without a human" {
    claim heal
    chart install phone --set cache.existingClaim=heal > "$BATS_TEST_TMPDIR/notes"
    is_ready phone
    helm uninstall phone -n "$NS" --wait --timeout 300s
    shard=$(find "$(folder heal)" -name 'model-00002-of-*.safetensors')
    printf '\377\377\377\377' | dd of="$shard" bs=1 seek=500000 conv=notrunc status=none
    ! cmp -s "$shard" "$ORIGINS/model/${shard##*/}"
    chart install phone --set cache.existingClaim=heal > "$BATS_TEST_TMPDIR/notes"
    is_ready phone
    P=$(pod phone)
    [ "$(restarts "$P")" = 0 ]
    k logs "$P" | grep '"ev":"verify_file"' | grep "${shard##*/}" | grep -q 'fetched again'
    cmp "$shard" "$ORIGINS/model/${shard##*/}"
    api=http://$(address phone-holdfast):8000
    python3 examples/ask.py --base "$api/v1" --model little
    helm uninstall phone -n "$NS"
}

@test "what no restart cures ends at once, the same way each time, without fetching again, and the kubelet backs off" {
    chart install odd --set model.source=http://10.88.8.1:8084/ > "$BATS_TEST_TMPDIR/notes"
    until_true 60 pod odd
    P=$(pod odd)
    ended() { [ "$(restarts "$P")" -ge "$1" ] && [ -n "$(server "$P" .state.waiting.message)" ]; }
    until_true 240 ended 1
    fetched=$(shards_asked)
    until_true 240 ended 2
    first=$(server "$P" .lastState.terminated.exitCode) message=$(server "$P" .lastState.terminated.message)
    echo "$message"
    [ "$first" = 97 ]
    jq -e '.cause == "verify-model" and .action == "fix-config" and .exit == 97' <<< "$(head -1 <<< "$message")"
    until_true 240 ended 3
    [ "$(server "$P" .lastState.terminated.exitCode)" = "$first" ]
    [ "$(server "$P" .lastState.terminated.message)" = "$message" ]
    [ "$(shards_asked)" = "$fetched" ] && [ "$fetched" -gt 0 ]
    [ "$(server "$P" .state.waiting.reason)" = CrashLoopBackOff ]
    [ "$(k logs "$P" --previous | grep '"ev":"end"' | grep -c '"code":97')" = 1 ]
    helm uninstall odd -n "$NS"
}

@test "with onFatal hold it stays: alive, not ready, its start over, and the kubelet leaves it alone" {
    chart install held --set model.source=http://10.88.8.1:8084/ --set onFatal=hold > "$BATS_TEST_TMPDIR/notes"
    until_true 60 pod held
    P=$(pod held)
    until_true 240 says "$P" '"phase":"held"'
    said "$P" | head -1 | jq -e '.cause == "verify-model"'
    has_ip() { ip=$(field "$P" '{.status.podIP}') && [ -n "$ip" ]; } # the kubelet tells it after the container has begun
    until_true 60 has_ip
    [ "$(curl -s -o "$BATS_TEST_TMPDIR/live" -w '%{http_code}' "http://$ip:8181/livez")" = 200 ]
    [ "$(curl -s -o "$BATS_TEST_TMPDIR/ready" -w '%{http_code}' "http://$ip:8181/readyz")" = 503 ]
    started() { [ "$(server "$P" .started)" = true ]; } # the kubelet's startup probe is satisfied, so it ends nothing later
    until_true 60 started
    [ "$(server "$P" .ready)" = false ]
    [ "$(restarts "$P")" = 0 ]
    helm uninstall held -n "$NS"
}
