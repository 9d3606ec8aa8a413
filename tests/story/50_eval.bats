#!/usr/bin/env bats
# holdfast-runtime eval: the whole model by hand. Golden numbers of the tiny model T (text, one picture, two pictures) in
# both types, on the reference and on the cpu; every dialect and file layout of the checkpoint; refusals by name.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    make -s build/release/libexec/holdfast-runtime build/release/tests/make-t
    export RUNTIME=$PWD/build/release/libexec/holdfast-runtime MAKE_T=$PWD/build/release/tests/make-t
    export GOLDEN="python3 $PWD/tests/golden/tiny.py"
    export T=$BATS_FILE_TMPDIR/t IMAGE_ID=992
    "$MAKE_T" "$T"
    $GOLDEN images "$BATS_FILE_TMPDIR"
}

# golden NAME DTYPE BACKEND [FOLDER]
golden() {
    local name=$1 dtype=$2 backend=$3 folder=${4:-$T} args
    case $name in
    G1) args=(--ids "1,2,3,4,5,6,7,8" --next 8) ;;
    G2) args=(--ids "1,2,3,$IMAGE_ID,4,5,6" --image "$BATS_FILE_TMPDIR/g2.png" --next 8) ;;
    G3) args=(--ids "1,2,$IMAGE_ID,3,4,$IMAGE_ID,5,6,7" --image "$BATS_FILE_TMPDIR/g3.png" --image "$BATS_FILE_TMPDIR/g2.png") ;;
    esac
    "$RUNTIME" eval --model "$folder" "${args[@]}" --dtype "$dtype" --backend "$backend" --json > "$BATS_TEST_TMPDIR/out" || return 1
    $GOLDEN check "$name" "$dtype" < "$BATS_TEST_TMPDIR/out"
}

@test "text, one picture and two agree with the golden numbers on the reference" {
    for name in G1 G2 G3; do for dtype in f32 bf16; do golden $name $dtype ref; done; done
}

@test "text, one picture and two agree with the golden numbers on the cpu" {
    for name in G1 G2 G3; do for dtype in f32 bf16; do golden $name $dtype cpu; done; done
}

@test "every dialect, old names and a single file give the same model" {
    for how in "--dialect flat" "--dialect nested" "--old-names" "--single" "--single --old-names --dialect flat"; do
        # shellcheck disable=SC2086 # several options
        "$MAKE_T" "$BATS_TEST_TMPDIR/t" $how
        golden G2 f32 cpu "$BATS_TEST_TMPDIR/t"
        rm -r "$BATS_TEST_TMPDIR/t"
    done
}

@test "a checkpoint in f32 or f16 computes in both types" {
    for stored in f32 f16; do
        "$MAKE_T" "$BATS_TEST_TMPDIR/$stored" --dtype $stored
        for dtype in f32 bf16; do
            "$RUNTIME" eval --model "$BATS_TEST_TMPDIR/$stored" --ids 1,2,3,4,5,6,7,8 --next 1 --dtype $dtype --backend cpu > "$BATS_TEST_TMPDIR/out"
            grep -q '"next":\[959\]' "$BATS_TEST_TMPDIR/out"
        done
    done
}

@test "the trained little model gives the published library's logits and greedy ids" {
    cd "$BATS_TEST_DIRNAME/../.."
    python3 tests/golden/little.py "$RUNTIME" examples/little-model
}

@test "int8 is refused by name" {
    run "$RUNTIME" eval --model "$T" --ids 1 --dtype int8
    [ "$status" -eq 65 ]
    [[ $output == *"int8 does not exist yet"* ]]
}

@test "pictures and placeholders that disagree are refused with both counts" {
    run "$RUNTIME" eval --model "$T" --ids 1,2,3 --image "$BATS_FILE_TMPDIR/g2.png"
    [ "$status" -eq 65 ]
    [[ $output == *"1 images, but the image token (992) stands 0 times"* ]]
    run "$RUNTIME" eval --model "$T" --ids "1,$IMAGE_ID,2,$IMAGE_ID" --image "$BATS_FILE_TMPDIR/g2.png"
    [ "$status" -eq 65 ]
}

@test "ids outside the vocabulary, a missing folder and a damaged picture are refused by name" {
    run "$RUNTIME" eval --model "$T" --ids 1,1024
    [ "$status" -eq 65 ]
    [[ $output == *1024* ]]
    run "$RUNTIME" eval --model "$BATS_TEST_TMPDIR/none" --ids 1
    [ "$status" -eq 71 ]
    head -c 300 "$BATS_FILE_TMPDIR/g2.png" > "$BATS_TEST_TMPDIR/cut.png"
    run "$RUNTIME" eval --model "$T" --ids "1,$IMAGE_ID" --image "$BATS_TEST_TMPDIR/cut.png"
    [ "$status" -eq 96 ]
    [[ $output == *cut.png* ]]
}

@test "a NaN in one weight is an error, never a token" {
    "$MAKE_T" "$BATS_TEST_TMPDIR/t" --single
    python3 - "$BATS_TEST_TMPDIR/t/model.safetensors" << 'PY'
import json, struct, sys
with open(sys.argv[1], "r+b") as f:
    n = struct.unpack("<Q", f.read(8))[0]
    header = json.loads(f.read(n))
    f.seek(8 + n + header["model.language_model.norm.weight"]["data_offsets"][0])
    f.write(b"\xc0\x7f")
PY
    run "$RUNTIME" eval --model "$BATS_TEST_TMPDIR/t" --ids 1,2,3 --next 3
    [ "$status" -eq 75 ]
    [[ $output == *"not finite"* ]]
    [[ $output != *'"next"'* ]]
}

@test "a plug-in that is not there: cuda alone is an error, auto says why it runs on the cpu" {
    run "$RUNTIME" eval --model "$T" --ids 1 --backend cuda --backend-lib "$BATS_TEST_TMPDIR/none.so"
    [ "$status" -eq 75 ]
    run "$RUNTIME" eval --model "$T" --ids 1 --backend auto --backend-lib "$BATS_TEST_TMPDIR/none.so"
    [ "$status" -eq 0 ]
    [[ $output == *"none.so"* ]]
    [[ $output == *'"backend":"cpu '* ]]
}
