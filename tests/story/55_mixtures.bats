#!/usr/bin/env bats
# Every fault of an origin alone and in seeded mixtures: never a wrong byte under the name, never a hang, a verdict that the
# faults explain. HOLD_CHAOS (24) mixtures; `make soak` runs thousands. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() { origin_stop; }
setup() { fresh; }

mixtures() { python3 -B "$TOP/tests/helpers/mixtures.py" "$JOB" "$URL" "$ROOT" "$BATS_TEST_TMPDIR" "$@"; }

@test "each fault alone ends as its row says" {
    run mixtures 1 36
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"36 runs, 0 bad"* ]]
}

@test "mixtures of faults, streams and pieces, killed and not" {
    run mixtures 37 $((36 + ${HOLD_CHAOS:-24}))
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "six answers of ten are faulty: three seeds, the whole model each time, within 240 s" {
    for seed in 1 2 3; do
        rm -rf "$OUT"
        run timeout 240 "$JOB" fetch "$URL/~chaos:$seed:60/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}" --fetch-tries 30 --fetch-stall 1s --fetch-stall-bytes 1KB
        echo "seed $seed: $status $(grep -c '"ev":"fetch_retry"' <<< "$output") tries failed"
        [ "$status" -eq 0 ] || echo "$output"
        [ "$status" -eq 0 ]
        same_model "$OUT"
        no_partials "$OUT"
    done
}
