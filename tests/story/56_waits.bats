#!/usr/bin/env bats
# What a fetch does with time: waits that an origin asks for, breaks without end, lives cut short. Every bound is of the wall
# clock and generous; what is compared exactly is the origin's own log. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() { origin_stop; }
setup() { fresh; }

gaps() { # seconds between requests whose path contains $1, one a line
    python3 -c '
import json, sys
t = [r["t"] for r in map(json.loads, open(sys.argv[1])) if sys.argv[2] in r["path"]]
print("\n".join("%.3f" % (b - a) for a, b in zip(t, t[1:])))' "$LOG" "$1"
}

@test "43 resets, one after every 3 MB: the right file within 120 s, served once" {
    head -c 129000000 /dev/zero | openssl enc -aes-128-ctr -nosalt -pass pass:x -pbkdf2 > "$ROOT/large.bin"
    sum=$(openssl dgst -sha256 -r "$ROOT/large.bin" | cut -d' ' -f1)
    run timeout 120 "$JOB" fetch --url "$URL/~rst:3000000/large.bin" --sha256 "$sum" --size 129000000 --out "$OUT/file" "${quick[@]}" --fetch-split 0
    echo "$output" | tail -3
    cmp "$OUT/file" "$ROOT/large.bin"
    rm "$ROOT/large.bin"
    [ "$status" -eq 0 ]
    [ "$(grep -c '"ev":"fetch_retry"' <<< "$output")" -ge 42 ]
    fetched=$(grep '"ev":"fetch_done"' <<< "$output" | grep -o '"fetched_bytes":[0-9]*' | cut -d: -f2)
    [ "$fetched" -le 131580000 ]
}

@test "three dropped connections first, with the waits that are the default: within 15 s" {
    begun=$(date +%s)
    run "$JOB" fetch --url "$URL/~drop:3/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" --fetch-reserve 0
    echo "$output"
    right
    [ $(($(date +%s) - begun)) -lt 15 ]
    [ "$(requests)" -eq 4 ]
}

@test "503 with Retry-After: 2, three times: no request comes early" {
    one status:503:3:2
    right
    gaps model-1 | while read -r gap; do python3 -c "import sys; sys.exit(float('$gap') < 2)"; done
    [ "$(gaps model-1 | wc -l)" -eq 3 ]
}

@test "an absurd Retry-After is cut, by seconds and by date" {
    for after in 86400 date86400 date2600000000 99999999999 99999999999999999999999; do
        rm -f "$OUT/file"
        run timeout 30 "$JOB" fetch --url "$URL/~status:503:1:$after/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" --fetch-retry-after-max 1s
        echo "$output"
        right
        grep -q '"delay_ms":1000' <<< "$output"
    done
}

@test "429 for one file: the other files are not held up" {
    run "$JOB" fetch "$URL/~status:429:1:3@sub/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}" --fetch-connections 2
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT"
    python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin if line.startswith("{")]
done = {r["file"]: r["ms"] for r in rows if r["ev"] == "fetch_file"}
held = [n for n in done if n.startswith("sub/")][0]
assert done[held] >= 3000, done
assert all(ms < 3000 for n, ms in done.items() if n != held), done' <<< "$output"
}

@test "killed half way and changed meanwhile: a pinned file is refused, one that nobody pinned comes whole" {
    pinned=(--sha256 "$SHA" --size "$SIZE")
    for case in pinned free; do
        rm -rf "$OUT" && mkdir "$OUT"
        words=()
        [ $case = free ] || words=("${pinned[@]}")
        address=$URL/~stall:5000000+change:9000000+$case/model-1.safetensors # stands still; from the second answer on another version
        "$JOB" fetch --url "$address" "${words[@]}" --out "$OUT/file" "${quick[@]}" 3>&- 2> /dev/null &
        pid=$!
        for _ in $(seq 200); do [ -n "$(find "$OUT" -name '*.part' -size +4000k)" ] && break; sleep .05; done
        kill -9 $pid
        wait $pid || :
        run "$JOB" fetch --url "$address" "${words[@]}" --out "$OUT/file" "${quick[@]}"
        echo "$case: $output"
        if [ $case = pinned ]; then
            refused 94 verify-digest "is wanted"
        else
            [ "$status" -eq 0 ]
            grep -q '"if_range": "' "$LOG"
            python3 -c 'import sys; a, b = (open(p, "rb").read() for p in sys.argv[1:]); assert a == bytes(255 - x for x in b)' "$OUT/file" "$ROOT/model-1.safetensors"
        fi
        [ -z "$(find "$OUT" -name '*.part')" ]
    done
}
