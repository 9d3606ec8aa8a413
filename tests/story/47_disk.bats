#!/usr/bin/env bats
# Disks that are full, fill up, are read-only or limited: the right verdict, what came is kept, the next start goes on. On the real
# binary; small disks are tmpfs in a mount namespace of the test's own.

load ../helpers/origin

setup_file() {
    origin_setup
    head -c 20000 "$ROOT/model-1.safetensors" > "$ROOT/small.bin"
    SMALL=$(sha256sum "$ROOT/small.bin" | cut -d' ' -f1)
    export SMALL
}
teardown_file() {
    origin_stop
}
setup() { fresh; }

# own SCRIPT: runs it in a mount namespace where $OUT is a disk of its own to mount; skips where that is not allowed.
own() {
    unshare -m true 2> /dev/null || skip "a mount namespace cannot be made here"
    export OUT JOB URL ROOT SHA SIZE SMALL
    run unshare -m bash -euc "$1"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a disk of every size around a small file: right or 'no space', never a wrong byte, and the next start finishes" {
    own '
for way in sized unsized; do
    for pages in $(seq 1 14); do
        mount -t tmpfs -o size=$((pages * 4096)) none "$OUT"
        args=(fetch --url "$URL/small.bin" --sha256 "$SMALL" --out "$OUT/file" --fetch-backoff 20ms --fetch-reserve 0)
        if [ $way = sized ]; then args+=(--size 20000); fi
        status=0
        "$JOB" "${args[@]}" 2> /dev/null || status=$?
        echo "$way, $pages pages: $status"
        if [ $status -eq 0 ]; then cmp "$OUT/file" "$ROOT/small.bin"; else [ $status -eq 88 ]; [ ! -e "$OUT/file" ]; fi
        mount -o remount,size=1m "$OUT"
        "$JOB" "${args[@]}" 2> /dev/null
        cmp "$OUT/file" "$ROOT/small.bin"
        [ "$(ls -A "$OUT")" = file ]
        umount "$OUT"
    done
done'
    [[ "$output" == *": 88"* ]]
    [[ "$output" == *", 14 pages: 0"* ]]
}

@test "a disk without inodes: the same" {
    own '
for inodes in 1 2 3 4 5; do
    mount -t tmpfs -o size=1m,nr_inodes=$inodes none "$OUT"
    status=0
    "$JOB" fetch --url "$URL/small.bin" --sha256 "$SMALL" --out "$OUT/file" --fetch-backoff 20ms --fetch-reserve 0 2> /dev/null || status=$?
    echo "$inodes inodes: $status"
    if [ $status -eq 0 ]; then cmp "$OUT/file" "$ROOT/small.bin"; else [ $status -eq 88 ]; [ ! -e "$OUT/file" ]; fi
    mount -o remount,nr_inodes=100 "$OUT"
    "$JOB" fetch --url "$URL/small.bin" --sha256 "$SMALL" --out "$OUT/file" --fetch-reserve 0 2> /dev/null
    cmp "$OUT/file" "$ROOT/small.bin"
    umount "$OUT"
done'
    [[ "$output" == *"1 inodes: 88"* ]]
}

@test "a disk that somebody else fills: stopped while a margin is left, what came is kept, the room reserved is given back" {
    own '
mount -t tmpfs -o size=40m none "$OUT"
"$JOB" fetch --url "$URL/~slow:1000000/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" --fetch-reserve 16MB --fetch-takeover 2s 2> "$OUT.log" &
pid=$!
for i in $(seq 400); do [ -n "$(find "$OUT" -name "*.part" -size +500k)" ] && break; sleep .05; done
head -c 24000000 /dev/zero > "$OUT/other"
status=0
wait $pid || status=$?
cat "$OUT.log"
[ $status -eq 88 ]
[ -n "$(find "$OUT" -name "*.part" -size +500k)" ]
[ "$(du -k "$OUT"/.holdfast-*.part | cut -f1)" -lt 7000 ] # of 7813 reserved
rm "$OUT/other"
"$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" --fetch-reserve 16MB 2> "$OUT.log"
cat "$OUT.log"
cmp "$OUT/file" "$ROOT/model-1.safetensors"
[ "$(ls -A "$OUT")" = file ]'
    [[ "$output" == *"the disk fills up"* ]]
    [ "$(grep -o '"fetched_bytes":[0-9]*' <<< "$output" | tail -1 | cut -d: -f2)" -lt "$SIZE" ]
}

# failing CALL ERROR WHEN [ARGUMENTS]: fetches while the kernel answers that call with that error.
failing() {
    local call=$1 inject="inject=$1:error=$2:when=$3"
    shift 3
    run timeout 60 strace -f -qq -o /dev/null -e "trace=$call" -e "$inject" "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" "$@"
    echo "$output"
}
goes_on() { # the next start, on a healthy disk
    one none "$@"
    right
}

@test "the kernel says no at a write: space, quota, read-only, broken disk, each has its verdict and the next start goes on" {
    for split in 0 2MiB; do
        failing pwrite64 ENOSPC 20+ --fetch-split $split
        refused 88 fetch-space "No space left"
        goes_on --fetch-split $split && rm "$OUT/file"
        failing pwrite64 EDQUOT 20+ --fetch-split $split
        refused 123 fetch-quota "quota"
        goes_on --fetch-split $split && rm "$OUT/file"
        failing pwrite64 EIO 20+ --fetch-split $split
        refused 89 fetch-write "Input/output error"
        goes_on --fetch-split $split && rm "$OUT/file"
    done
}

@test "the kernel says no when room is reserved: quota and space before the first byte" {
    failing fallocate EDQUOT 1
    refused 123 fetch-quota "reserve 8000000"
    failing fallocate ENOSPC 1
    refused 88 fetch-space "reserve 8000000"
    [ "$(requests)" -eq 0 ]
    failing fallocate EOPNOTSUPP 1 # a file system that cannot reserve
    right
}

@test "the kernel says no at the very end: sync, rename; nothing stands under the name, and the next start asks for nothing" {
    failing fsync EIO 1+
    refused 89 fetch-write "Input/output error"
    : > "$LOG"
    goes_on
    [ "$(requests)" -eq 0 ]
    rm "$OUT/file"
    failing renameat,renameat2 ENOSPC 1+
    refused 88 fetch-space
    : > "$LOG"
    goes_on
    [ "$(requests)" -eq 0 ]
}

@test "a limit on the size of files is an error, not a death" {
    run bash -c "ulimit -f 2000; exec \"\$@\"" sh "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    echo "$output"
    refused 89 fetch-write "File too large"
    goes_on
}
