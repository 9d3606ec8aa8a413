#!/usr/bin/env bats
# Checkpoints of PyTorch: recognised, their structure proven, nothing of them executed. On the real binary; the legacy files
# are those of the package lpips, fetched when the test runs.

load ../helpers/origin

setup_file() {
    export TOP=${BATS_TEST_DIRNAME}/../..
    export JOB=${HOLD_JOB:-$TOP/build/release/libexec/holdfast-job} GOLDEN=$TOP/tests/golden/torch CACHE=$TOP/build/lpips
    [ -x "$JOB" ] || make -s -C "$TOP" all
    if ! compgen -G "$CACHE/*.pth" > /dev/null; then
        mkdir -p "$CACHE"
        python3 -m pip download -q --disable-pip-version-check --no-deps -d "$CACHE" lpips==0.1.4 2> /dev/null &&
            python3 -m zipfile -e "$CACHE"/lpips-*.whl "$CACHE/unpacked" || export NO_LPIPS=1
        find "$CACHE/unpacked" -name '*.pth' 2> /dev/null | while read -r f; do cp "$f" "$CACHE/$(basename "$(dirname "$f")")-$(basename "$f")"; done
    fi
}

setup() {
    M=$BATS_TEST_TMPDIR/m
    mkdir "$M"
}

verify() {
    run timeout 60 "$JOB" verify "$M" --no-plan "$@"
    echo "$output"
}

@test "a sound pytorch_model.bin with its index is proven, and refused only by the server that cannot read it" {
    cp "$GOLDEN/good/state_dict.pth" "$M/pytorch_model-1.bin"
    cp "$GOLDEN/good/alone_legacy.pth" "$M/consolidated.pth"
    echo '{"weight_map":{"0.bias":"pytorch_model-1.bin","0.weight":"pytorch_model-1.bin","1.bias":"pytorch_model-1.bin","1.weight":"pytorch_model-1.bin"}}' > "$M/pytorch_model.bin.index.json"
    verify --write-manifest
    [ "$status" -eq 0 ]
    sed -i 's/"1.bias":"pytorch_model-1/"1.bias":"pytorch_model-2/' "$M/pytorch_model.bin.index.json"
    verify --write-manifest
    [ "$status" -eq 95 ]
    [[ "$output" == *"shard pytorch_model-2.bin is not there"* ]]
    find "$M" -type f -delete
    cp -r "$TOP"/examples/little-model/checkpoint/*.json "$M"
    rm -f "$M/model.safetensors.index.json"
    cp "$GOLDEN/good/state_dict.pth" "$M/pytorch_model.bin"
    run "$JOB" verify "$M"
    echo "$output"
    [ "$status" -eq 96 ]
    [[ "$output" == *"sound PyTorch checkpoint of 4 tensors"*"safe_serialization"* ]]
}

@test "a global outside the list, a compressed entry, a storage longer than its entry, a tar: refused by name, and nothing is executed" {
    command -v strace > /dev/null || skip "strace is not installed"
    local name words
    for name in os_system compressed_storage storage_long tar legacy_os_system hidden_in_metadata torchscript; do
        words=$(sed -n "s/^$name\.pth\t//p" "$GOLDEN/bad.txt")
        cp "$GOLDEN/bad/$name.pth" "$M/model.pth"
        run strace -f -o "$BATS_TEST_TMPDIR/calls" -e trace=execve,execveat,socket,connect,unlink,unlinkat "$JOB" verify "$M" --no-plan
        echo "$name: $output"
        [ "$status" -eq 96 ]
        [[ "$output" == *"model.pth: "*"$words"* ]]
        [ "$(grep -c execve "$BATS_TEST_TMPDIR/calls")" -eq 1 ] # its own start
        ! grep -E 'socket|connect' "$BATS_TEST_TMPDIR/calls" || false
        [ ! -e /tmp/holdfast-was-here ]
    done
}

@test "every planted damage is refused by the command too, in bounded time" {
    local name begun
    begun=$SECONDS
    for f in "$GOLDEN"/bad/*.pth; do
        name=$(basename "$f")
        cp "$f" "$M/model.pth"
        run timeout 20 "$JOB" verify "$M" --no-plan
        [ "$status" -eq 96 ] || { echo "$name: $status $output"; return 1; }
    done
    echo "$((SECONDS - begun)) s"
}

@test "real legacy checkpoints of a published package are proven, and a cut one is not" {
    [ -z "${NO_LPIPS:-}" ] || skip "lpips cannot be fetched from the package index"
    cp "$CACHE"/*.pth "$M"
    [ "$(find "$M" -name '*.pth' | wc -l)" -ge 6 ] # v0.0 by Python 2 and PyTorch 0.3, v0.1 by 0.4
    for f in "$M"/*.pth; do [ "$(head -c 4 "$f" | xxd -p)" = 80028a0a ]; done
    verify
    [ "$status" -eq 0 ]
    for f in "$M"/*.pth; do
        truncate -s -1 "$f"
        verify
        [ "$status" -eq 96 ]
        [[ "$output" == *"$(basename "$f"): cut short"* ]]
        rm "$f"
    done
}

@test "what torch saves today is proven" {
    python=${HOLD_TORCH_PYTHON:-}
    [ -n "$python" ] || skip "set HOLD_TORCH_PYTHON to a python with torch"
    "$python" - "$M" <<'PY'
import sys, torch
m = sys.argv[1]
torch.manual_seed(3)
net = torch.nn.Sequential(*[torch.nn.Linear(64, 64) for _ in range(40)])
torch.save(net.state_dict(), m + "/a.pth")
torch.save({k: v.half() for k, v in net.state_dict().items()}, m + "/b.pth", _use_new_zipfile_serialization=False)
torch.save({"module": net.state_dict(), "step": 3}, m + "/c.pt")
opt = torch.optim.Adam(net.parameters()); net(torch.ones(1, 64)).sum().backward(); opt.step()
torch.save({"model": net.state_dict(), "optimizer": opt.state_dict()}, m + "/d.ckpt")
PY
    verify
    [ "$status" -eq 0 ]
}
