#!/usr/bin/env bats
# Several sources in a row, and the hub as its own client sees it. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() { origin_stop; }
setup() { fresh; }

@test "the first source is down: the next one delivers, and the verdict of the first is told" {
    run "$JOB" fetch http://127.0.0.1:1/m/ "$URL/nowhere/" "$URL/" --out "$OUT" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT"
    no_partials "$OUT"
    [[ "$output" == *'"why":"fetch-net"'* ]]
    [[ "$output" == *'"why":"fetch-missing"'* ]]
    : > "$LOG"
    run "$JOB" fetch http://127.0.0.1:1/m/ "$URL/" --out "$OUT" "${quick[@]}" # and the next start asks nobody
    [ "$status" -eq 0 ]
    [ "$(requests)" -eq 0 ]
}

@test "a source that breaks off half way: the next one continues at the byte" {
    run "$JOB" fetch "$URL/~cutonce:5000000+status:500:9@model/" "$URL/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}" --fetch-split 0
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT"
    no_partials "$OUT"
}

@test "a source with wrong bytes is not believed, the next one is" {
    run "$JOB" fetch "$URL/~flip:0/" "$URL/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT"
}

@test "no source delivers: the last one's verdict; a full disk asks no other source" {
    run "$JOB" fetch http://127.0.0.1:1/m/ "$URL/nowhere/" --out "$OUT" "${quick[@]}"
    [ "$status" -eq 84 ]
    : > "$LOG"
    run "$JOB" fetch "$URL/" "$ROOT" --out "$OUT" --fetch-backoff 20ms --fetch-reserve 900TB
    [ "$status" -eq 88 ]
    [ "$(requests)" -eq 1 ]
}

@test "a missing repository is not a gated one" {
    old=$PID_OF_ORIGIN
    origin_start --hub org/repo "$TOP/examples/little-model/checkpoint" --gated s3cret-token
    run env HF_ENDPOINT="$URL" "$JOB" fetch hf://org/absent --out "$OUT/m" "${quick[@]}"
    absent=$status said=$output
    run env HF_ENDPOINT="$URL" "$JOB" fetch hf://org/repo --out "$OUT/m" "${quick[@]}"
    gated=$status
    echo s3cret-token > "$BATS_TEST_TMPDIR/token"
    run env HF_ENDPOINT="$URL" HF_TOKEN_PATH="$BATS_TEST_TMPDIR/token" "$JOB" fetch hf://org/repo --out "$OUT/m" "${quick[@]}"
    status_by_path=$status
    run env HF_ENDPOINT="$URL" HUGGING_FACE_HUB_TOKEN=$' s3cret-token\n' "$JOB" fetch hf://org/repo --out "$OUT/old" "${quick[@]}" # as "echo" leaves it in a secret
    [ "$status_by_path" -eq 0 ]
    origin_stop
    PID_OF_ORIGIN=$old
    echo "$said" "$output"
    [ "$absent" -eq 84 ]
    [[ "$said" == *"Repository not found"* ]]
    [ "$gated" -eq 83 ]
    [ "$status" -eq 0 ]
    ! grep '/cdn/' "$LOG" | grep -q s3cret || false # the large files' other host never saw it
}

@test "a hub's listing goes on however its next page is linked, and with the endpoint's token only" {
    for way in relative foreign bare zip; do
        rm -rf "$OUT/m"
        : > "$LOG"
        origin_args=(--hub org/repo "$TOP/examples/little-model/checkpoint" --gated s3cret-token --ways "$way")
        brings() { HF_TOKEN=s3cret-token HF_ENDPOINT="$URL" "$JOB" fetch hf://org/repo@feature/x --out "$OUT/m" "${quick[@]}"; }
        other_origin brings
        [ "$status" -eq 0 ]
        for file in "$TOP"/examples/little-model/checkpoint/*; do cmp "$file" "$OUT/m/${file##*/}"; done
        grep -q 'page=2' "$LOG"
    done
}

@test "a hub that answers with a web page or half a listing is asked again; a name that leaves the folder is refused, not left out" {
    asks() { HF_ENDPOINT="$URL" "$JOB" fetch hf://org/repo --out "$OUT/m" "${quick[@]}"; }
    for way in page half; do
        rm -rf "$OUT/m"
        origin_args=(--hub org/repo "$TOP/examples/little-model/checkpoint" --ways "$way")
        other_origin asks
        [ "$status" -eq 0 ]
        [ "$(grep -c '"ev":"fetch_retry","prog":"job:fetch","file":"document","why":"FORMAT"' <<< "$output")" -eq 3 ]
    done
    rm -rf "$OUT/m"
    origin_args=(--hub org/repo "$TOP/examples/little-model/checkpoint" --ways escape)
    other_origin asks
    [ "$status" -eq 92 ]
    [[ "$output" == *"'../escaped' could leave the model's folder"* ]]
    [ -z "$(ls "$OUT/m")" ]
}

@test "a snapshot of the hub's cache: its links to blobs are followed, links out of it are not" {
    repo=$BATS_TEST_TMPDIR/hub/models--org--repo
    snapshot=$repo/snapshots/$(printf 'a%.0s' {1..40})
    mkdir -p "$repo/blobs" "$snapshot/sub"
    cp "$ROOT/model-1.safetensors" "$repo/blobs/one"
    cp "$ROOT/config.json" "$repo/blobs/two"
    cp "$ROOT/sub/an odd name%.safetensors" "$repo/blobs/three"
    ln -s ../../blobs/one "$snapshot/model-1.safetensors"
    ln -s ../../blobs/two "$snapshot/config.json"
    ln -s ../../../blobs/three "$snapshot/sub/an odd name%.safetensors"
    run "$JOB" verify "$snapshot" --no-plan --manifest "$ROOT/holdfast.manifest.json"
    echo "$output"
    [ "$status" -eq 0 ]
    run "$JOB" fetch "$URL/" --out "$snapshot" "${quick[@]}" # everything is there: only the list is asked for
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(requests)" -eq 1 ]
    [ -L "$snapshot/model-1.safetensors" ]
    cp "$ROOT/config.json" "$BATS_TEST_TMPDIR/outside"
    ln -sf ../../../../outside "$snapshot/config.json"
    run "$JOB" verify "$snapshot" --no-plan --manifest "$ROOT/holdfast.manifest.json" --deep
    [ "$status" -ne 0 ]
    mkdir -p "$BATS_TEST_TMPDIR/plain/m" # and a folder that is no snapshot keeps the stricter rule
    cp "$ROOT/model-1.safetensors" "$BATS_TEST_TMPDIR/plain/one"
    ln -s ../one "$BATS_TEST_TMPDIR/plain/m/model-1.safetensors"
    run "$JOB" verify "$BATS_TEST_TMPDIR/plain/m" --no-plan --write-manifest
    [ "$status" -ne 0 ]
}
