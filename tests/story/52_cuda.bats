#!/usr/bin/env bats
# The CUDA backend as real processes on the emulated device: golden numbers of the tiny model T through `eval`, and the whole
# server with its engine on that device. Proves the device code's logic, the launches and the engine's use of device memory; not
# what only hardware shows. With HOLD_TEST_BACKEND=cuda (make check-gpu) the same on a real GPU.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    make -s build/release/libexec/holdfast-runtime build/release/bin/holdfast build/release/libexec/holdfast-job build/release/tests/make-t emu
    export RUNTIME=$PWD/build/release/libexec/holdfast-runtime HOLDFAST=$PWD/build/release/bin/holdfast
    export GOLDEN="python3 $PWD/tests/golden/tiny.py" T=$BATS_FILE_TMPDIR/t IMAGE_ID=992
    build/release/tests/make-t "$T"
    $GOLDEN images "$BATS_FILE_TMPDIR"
    if [ "${HOLD_TEST_BACKEND:-}" = cuda ]; then
        export LIBS="--backend-lib $PWD/build/release/lib/holdfast/libholdfast-cuda.so"
    else
        export LIBS="--backend-lib $PWD/build/release/tests/libholdfast-cuda.so --cuda-driver $PWD/build/release/tests/libholdfast-emu-driver.so"
    fi
}

golden() { # NAME DTYPE IDS [OPTION...]
    local name=$1 dtype=$2 ids=$3
    shift 3
    # shellcheck disable=SC2086 # several options
    "$RUNTIME" eval --model "$T" --ids "$ids" "$@" --dtype "$dtype" --backend cuda $LIBS --json > "$BATS_TEST_TMPDIR/out"
    $GOLDEN check "$name" "$dtype" < "$BATS_TEST_TMPDIR/out"
}

@test "text agrees with the golden numbers on the cuda backend" {
    golden G1 f32 1,2,3,4,5,6,7,8 --next 8
    golden G1 bf16 1,2,3,4,5,6,7,8 --next 8
}

@test "one picture agrees with the golden numbers on the cuda backend" {
    golden G2 f32 "1,2,3,$IMAGE_ID,4,5,6" --image "$BATS_FILE_TMPDIR/g2.png" --next 8
    golden G2 bf16 "1,2,3,$IMAGE_ID,4,5,6" --image "$BATS_FILE_TMPDIR/g2.png" --next 8
}

@test "two pictures agree with the golden numbers on the cuda backend" {
    golden G3 f32 "1,2,$IMAGE_ID,3,4,$IMAGE_ID,5,6,7" --image "$BATS_FILE_TMPDIR/g3.png" --image "$BATS_FILE_TMPDIR/g2.png"
    golden G3 bf16 "1,2,$IMAGE_ID,3,4,$IMAGE_ID,5,6,7" --image "$BATS_FILE_TMPDIR/g3.png" --image "$BATS_FILE_TMPDIR/g2.png"
}

@test "the server answers about a screenshot with its engine on the cuda backend" {
    local dir=$BATS_TEST_TMPDIR port status
    read -r port status < <(python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])')
    cp -r "$BATS_TEST_DIRNAME/../../examples/little-model/checkpoint" "$dir/little"
    python3 - "$dir/config.json" $LIBS <<'PY'
import json, sys
json.dump({'servers': {'engine': {'args': sys.argv[2:]}}}, open(sys.argv[1], 'w'))
PY
    "$HOLDFAST" run --config "$dir/config.json" --model "$dir/little" --served-name little --device cuda --sandbox off --preflight=false \
        --listen "127.0.0.1:$port" --status-listen "127.0.0.1:$status" --state-dir "$dir/state" --termination-log "$dir/end" 2> "$dir/log" &
    local pid=$!
    for _ in $(seq 300); do
        "$HOLDFAST" probe ready --state-dir "$dir/state" > /dev/null 2>&1 && break
        kill -0 $pid || { tail -5 "$dir/log"; return 1; }
        sleep 0.2
    done
    run python3 "$BATS_TEST_DIRNAME/../../examples/ask.py" --base "http://127.0.0.1:$port/v1" --model little
    kill -TERM $pid
    wait $pid
    echo "$output"
    [ "$status" -eq 0 ] || return 1
    grep -q '"backend":"cuda"' "$dir/log"
}
