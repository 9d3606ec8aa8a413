# origin.bash - for stories about fetching: an origin with faults, the job binary, small waits.
# shellcheck shell=bash disable=SC2120,SC2154

origin_setup() { # in setup_file: a root with three files and a manifest, and the origin
    export TOP=${BATS_TEST_DIRNAME}/../..
    export JOB=${HOLD_JOB:-$TOP/build/release/libexec/holdfast-job}
    export ROOT=$BATS_FILE_TMPDIR/root LOG=$BATS_FILE_TMPDIR/requests
    [ -x "$JOB" ] || make -s -C "$TOP" all
    mkdir -p "$ROOT/sub"
    random_weights 8000000 > "$ROOT/model-1.safetensors"
    random_weights 3000000 > "$ROOT/sub/an odd name%.safetensors"
    echo '{"model_type": "glm4v"}' > "$ROOT/config.json"
    "$JOB" verify "$ROOT" --no-plan --write-manifest 2> "$BATS_FILE_TMPDIR/made"
    rm -rf "$ROOT/.holdfast"
    SHA=$(sha256sum "$ROOT/model-1.safetensors" | cut -d' ' -f1)
    export SHA SIZE=8000000
    origin_start
}

# SIZE: a safetensors file of so many bytes, one tensor of noise.
random_weights() {
    local header
    header=$(printf '{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' $(($1 - 128)) $(($1 - 128)))
    printf '\170\0\0\0\0\0\0\0%-120s' "$header"
    head -c $(($1 - 128)) /dev/urandom
}

origin_start() { # [ORIGIN ARGUMENTS]: sets URL and PID_OF_ORIGIN
    coproc ORIGIN { exec "${ORIGIN_PYTHON:-python3}" -B "$TOP/tests/helpers/origin.py" "$ROOT" --log "$LOG" "$@" 3>&- 2> "$BATS_FILE_TMPDIR/origin.err"; }
    PID_OF_ORIGIN=$!
    local port
    read -r port <&"${ORIGIN[0]}"
    export PORT=$port URL=http://127.0.0.1:$port PID_OF_ORIGIN
}

clients() { # sets PYTHON to one that has the hubs' own clients and botocore, or skips
    PYTHON=$(sh "$TOP/tests/helpers/clients.sh" 2> "$BATS_TEST_TMPDIR/clients") || skip "PyPI's huggingface_hub, modelscope and botocore cannot be installed: $(tail -1 "$BATS_TEST_TMPDIR/clients")"
}

# other_origin COMMAND...: runs it with an origin of its own, started with the words of the array origin_args; sets status and output.
other_origin() {
    local old=$PID_OF_ORIGIN old_url=$URL old_port=$PORT
    origin_start "${origin_args[@]}"
    run "$@"
    origin_stop
    PID_OF_ORIGIN=$old URL=$old_url PORT=$old_port
    echo "$output"
}

origin_stop() {
    kill "$PID_OF_ORIGIN" 2> /dev/null || :
    wait "$PID_OF_ORIGIN" 2> /dev/null || :
}

certificates() { # FOLDER: ca.pem, and s.pem with s.key for localhost, 127.0.0.1 and *.example
    (
        cd "$1" || exit 1
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
        openssl req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=localhost
        printf 'subjectAltName=DNS:localhost,DNS:*.example,IP:127.0.0.1\n' > ext
        openssl x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out s.pem -days 2 -extfile ext
    ) 2> /dev/null
}

fresh() { # an empty folder to fetch into, and an empty request log
    OUT=$BATS_TEST_TMPDIR/out
    rm -rf "$OUT"
    mkdir "$OUT"
    : > "$LOG"
}

quick=(--fetch-backoff 20ms --fetch-backoff-max 100ms --fetch-reserve 0)

# FAULT [ARGUMENTS]: model-1.safetensors with a fault, pinned, to $OUT/file. The test's number in the address gives each
# test counters of its own.
one() {
    local fault=$1
    shift
    run timeout 60 "$JOB" fetch --url "$URL/~$fault+$BATS_TEST_NUMBER/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" "$@"
    echo "$output"
}

right() { # the file is right, and nothing else lies beside it
    [ "$status" -eq 0 ]
    cmp "$OUT/file" "$ROOT/model-1.safetensors"
    [ "$(ls -A "$OUT")" = file ]
}

refused() { # STATUS CAUSE WORD...: ended with that verdict, every word is in the message, no file under the name
    [ "$status" -eq "$1" ]
    [[ "$output" == *"\"cause\":\"$2\""* ]]
    shift 2
    local word
    for word in "$@"; do [[ "$output" == *"$word"* ]] || { echo "does not say: $word"; return 1; }; done
    [ ! -e "$OUT/file" ]
}

same_model() { # every file of the root is in the folder $1, right
    (cd "$ROOT" && find . -type f ! -path './.holdfast/*' -print0) | while IFS= read -r -d '' f; do cmp "$ROOT/$f" "$1/$f" || return 1; done
}

requests() { wc -l < "$LOG"; }
no_partials() { [ -z "$(find "$1" -name '*.part*')" ]; }

forge() { # FOLDER FILE: its marker as if the bytes had rotted on the disk, unseen by the file system
    python3 - "$1" "$2" <<'PY'
import os, sys, time
folder, name = sys.argv[1:]
st, path = os.stat(os.path.join(folder, name)), os.path.join(folder, '.holdfast/proof', name + '.proof')
words = open(path).read().split()
time.sleep(.05)
open(path, 'w').write(' '.join(words[:3] + [str(st.st_size), str(st.st_ino), str(st.st_mtime_ns), str(st.st_ctime_ns)]) + '\n')
PY
}
