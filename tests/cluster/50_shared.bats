#!/usr/bin/env bats
# Replicas on one volume, and the end of a pod that is answering.

bats_require_minimum_version 1.5.0
load cluster
load ../helpers/examples

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space shared
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

@test "of three replicas on one volume one brings a file, the others wait and say for whom: the example's own command" {
    volume phone-holdfast-models
    origin shared 8085 "$ORIGINS/model" 'limit_rate 300k;'
    # As its README has it; what this node differs in comes behind: where the model comes from, how small it is, no storage class.
    bash -c "$(command_of kubernetes-shared-volume) -n $NS -f tests/cluster/values.yaml --set model.source=http://$HOLD_NODE:8085/ \
        --set-string cache.storageClass=- --set prestopDelay=0" > "$BATS_TEST_TMPDIR/notes" 2>&1 3>&- &
    install=$!
    all() { [ "$(k get pods -o name | wc -l)" = 3 ]; }
    until_true 60 all
    mapfile -t pods < <(k get pods -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
    waits() {
        local p
        for p in "${pods[@]}"; do said "$p" | grep -E "waiting for ($(paste -sd'|' <<< "$(printf '%s\n' "${pods[@]}" | grep -v "$p")"))" && return 0; done
        return 1
    }
    until_true 120 waits
    waits
    wait "$install" || { cat "$BATS_TEST_TMPDIR/notes"; return 1; } # helm waited until all were ready
    for p in "${pods[@]}"; do [ "$(restarts "$p") $(server "$p" .ready)" = '0 true' ]; done
    # No shard came twice.
    for f in "$ORIGINS"/model/model-*.safetensors; do
        sent=$(awk -v name="/${f##*/}" '$7 == name && ($9 == 200 || $9 == 206) { n += $10 } END { print n }' "$ORIGINS/shared/access.log")
        echo "${f##*/}: $(stat -c %s "$f") bytes, sent $sent"
        [ "$sent" -le $(($(stat -c %s "$f") * 11 / 10)) ]
    done
}

@test "a pod that is deleted during a stream finishes it within the grace" {
    P=$(pod phone)
    api=http://$(field "$P" '{.status.podIP}'):8000
    # As many tokens as ten seconds bring, on a machine of any speed.
    stream() { API_MODEL=little python3 tests/helpers/ask_api.py "$api" stream "$1" max_tokens="$2"; }
    begun=$(date +%s%3N)
    [ "$(stream "$BATS_TEST_TMPDIR/short" 500)" = done ]
    tokens=$((500 * 10000 / ($(date +%s%3N) - begun)))
    [ $tokens -lt 7000 ] || tokens=7000
    k logs -f "$P" > "$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
    stream "$BATS_TEST_TMPDIR/s" $tokens > "$BATS_TEST_TMPDIR/end" 2>&1 3>&- &
    stream=$!
    until_true 60 grep -q content "$BATS_TEST_TMPDIR/s"
    k delete pod "$P" --wait=false
    until_true 60 grep -q '"phase":"draining"' "$BATS_TEST_TMPDIR/log"
    kill -0 "$stream" # it is under way
    wait "$stream"
    echo "$tokens tokens asked, $(grep -c content "$BATS_TEST_TMPDIR/s") pieces"
    [ "$(< "$BATS_TEST_TMPDIR/end")" = done ]
    k wait --for=delete "pod/$P" --timeout=60s
    grep '"ev":"end"' "$BATS_TEST_TMPDIR/log" | grep -q '"code":0'
    k get events --field-selector "involvedObject.name=$P" -o json | jq -e '[.items[] | select(.reason == "Failed" or .reason == "FailedKillPod")] == []'
    helm uninstall phone -n "$NS"
}
