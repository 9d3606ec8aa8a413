#!/usr/bin/env bats
# Hubs and stores as their own clients see them: ModelScope, S3, Hugging Face. The look-alikes serve PyPI's modelscope and
# huggingface_hub too, and check every signature with botocore. On the real binary; loopback only.
bats_require_minimum_version 1.5.0

load ../helpers/origin

KEY=AKIDEXAMPLE SECRET='se+cr/et=pass' SESSION='sess/ion+=' REGION=eu-west-1

setup_file() {
    origin_setup
    CHECKPOINT=$BATS_FILE_TMPDIR/checkpoint
    mkdir -p "$CHECKPOINT/sub" "$BATS_FILE_TMPDIR/bucket"
    cp "$ROOT/model-1.safetensors" "$ROOT/config.json" "$CHECKPOINT"
    head -c 2000 /dev/urandom > "$CHECKPOINT/sub/an odd+name%&é=.txt"
    : > "$CHECKPOINT/empty.txt"
    cp -r "$CHECKPOINT" "$BATS_FILE_TMPDIR/bucket/models"
    echo other > "$BATS_FILE_TMPDIR/bucket/other.txt"
    export CHECKPOINT BUCKET=$BATS_FILE_TMPDIR/bucket
}
teardown_file() { origin_stop; }
setup() { fresh; }

same_checkpoint() { # FOLDER
    (cd "$CHECKPOINT" && find . -type f -print0) | while IFS= read -r -d '' f; do cmp "$CHECKPOINT/$f" "$1/$f" || return 1; done
    no_partials "$1"
}

# ---- S3 ----

s3() { # BUCKET/PREFIX [WORD...]
    env AWS_ACCESS_KEY_ID=$KEY AWS_SECRET_ACCESS_KEY="$SECRET" AWS_REGION=$REGION AWS_ENDPOINT_URL_S3="$URL" "$JOB" fetch "s3://$1" --out "$OUT/m" "${quick[@]}" "${@:2}"
}
with_s3() { # ORIGIN WORD... : starts it as S3
    origin_args=(--s3 my-bucket "$BUCKET" $KEY "$SECRET" $REGION "$@")
}

@test "s3: signatures that botocore recomputes, pages, odd names, digests of the store" {
    clients
    ORIGIN_PYTHON=$PYTHON
    with_s3 --s3-sums
    other_origin s3 my-bucket/models
    [ "$status" -eq 0 ]
    same_checkpoint "$OUT/m"
    [ ! -e "$OUT/m/other.txt" ]
    grep -q 'continuation-token' "$LOG"
    grep -q '"method": "HEAD"' "$LOG"
    [[ "$output" != *"$SECRET"* ]]
    ! grep -rqF "$SECRET" "$OUT" "$LOG" || false
    : > "$LOG"
    run s3 my-bucket/models # and the next start asks nobody
    [ "$status" -eq 0 ]
    [ "$(requests)" -eq 0 ]
}

@test "s3: the bucket in the host, and temporary credentials" {
    clients
    ORIGIN_PYTHON=$PYTHON
    with_s3 --s3-session "$SESSION"
    in_host() { URL=http://localhost:$PORT AWS_SESSION_TOKEN=$SESSION s3 my-bucket/models --s3-addressing virtual; }
    other_origin in_host
    [ "$status" -eq 0 ]
    same_checkpoint "$OUT/m"
    grep -q '"host": "my-bucket.localhost:' "$LOG"
}

@test "s3: secrets from files, and from the shared credentials file; never in an address or a foreign eye" {
    clients
    ORIGIN_PYTHON=$PYTHON
    with_s3 --s3-session "$SESSION"
    cd "$BATS_TEST_TMPDIR"
    printf '%s\n' "$KEY" > key
    printf '%s\n' "$SECRET" > secret
    printf '%s' "$SESSION" > session
    printf '[default]\naws_access_key_id = wrong\n[work]\n# here\naws_access_key_id=%s\n aws_secret_access_key = %s\naws_session_token=%s\n' "$KEY" "$SECRET" "$SESSION" > credentials
    by_files() {
        env AWS_ACCESS_KEY_ID_FILE=key AWS_SECRET_ACCESS_KEY_FILE=secret AWS_SESSION_TOKEN_FILE=session "$JOB" fetch s3://my-bucket/models --s3-endpoint "$URL" --s3-region $REGION --out "$OUT/files" "${quick[@]}" &&
        env AWS_SHARED_CREDENTIALS_FILE=credentials AWS_PROFILE=work AWS_ENDPOINT_URL="$URL" AWS_DEFAULT_REGION=$REGION "$JOB" fetch s3://my-bucket/models --out "$OUT/profile" "${quick[@]}"
    }
    other_origin by_files
    [ "$status" -eq 0 ]
    same_checkpoint "$OUT/files"
    same_checkpoint "$OUT/profile"
    run env AWS_SHARED_CREDENTIALS_FILE=credentials AWS_PROFILE=none "$JOB" fetch s3://my-bucket/models --out "$OUT/m" "${quick[@]}"
    [ "$status" -eq 65 ]
    [[ "$output" == *"no profile 'none'"* ]]
}

@test "s3: each refusal by its own name" {
    clients
    ORIGIN_PYTHON=$PYTHON
    with_s3 --s3-session "$SESSION"
    refusals() {
        export AWS_SESSION_TOKEN=$SESSION
        s3 my-bucket/none
        echo "none=$?"
        s3 another-bucket/models
        echo "bucket=$?"
        SECRET=wrong s3 my-bucket/models
        echo "secret=$?"
        REGION=us-west-2 s3 my-bucket/models
        echo "region=$?"
        AWS_SESSION_TOKEN=old s3 my-bucket/models
        echo "session=$?"
        AWS_SESSION_TOKEN="a b" s3 my-bucket/models
        echo "blank=$?"
        s3 My_Bucket/models
        echo "name=$?"
        s3 my-bucket/a/../b
        echo "prefix=$?"
    }
    other_origin refusals
    [[ "$output" == *"has nothing below 'none/'"*none=84* ]]
    [[ "$output" == *"NoSuchBucket: The specified bucket does not exist"*bucket=84* ]]
    [[ "$output" == *SignatureDoesNotMatch*secret=83* ]]
    [[ "$output" == *"the bucket is in eu-west-1"*region=83* ]]
    [[ "$output" == *ExpiredToken*session=83* ]]
    [[ "$output" == *"AWS_SESSION_TOKEN holds a blank"*blank=65* ]]
    [[ "$output" == *"a bucket has 3 to 63"*name=65* ]]
    [[ "$output" == *"the prefix has an empty part"*prefix=65* ]]
}

@test "s3: without any digest the bytes are held together by ETag and length, and recorded; cut transfers go on" {
    clients
    ORIGIN_PYTHON=$PYTHON
    with_s3 --faults cut:3000000
    other_origin s3 my-bucket/models
    [ "$status" -eq 0 ]
    same_checkpoint "$OUT/m"
    grep -q '"if_range": "' "$LOG"
    run "$JOB" verify "$OUT/m" --no-plan --deep
    [ "$status" -eq 0 ]
}

@test "s3: a manifest in the bucket is the list, a public bucket is asked without a signature" {
    cp -r "$BUCKET" "$BATS_TEST_TMPDIR/public"
    "$JOB" verify "$BATS_TEST_TMPDIR/public/models" --no-plan --write-manifest
    rm -rf "$BATS_TEST_TMPDIR/public/models/.holdfast"
    origin_args=(--s3 my-bucket "$BATS_TEST_TMPDIR/public" "" "" x)
    public() { AWS_ENDPOINT_URL_S3=$URL "$JOB" fetch s3://my-bucket/models/ --out "$OUT/m" "${quick[@]}"; }
    other_origin public
    [ "$status" -eq 0 ]
    same_checkpoint "$OUT/m"
    ! grep -q 'list-type' "$LOG" || false
    ! grep -q 'AWS4-HMAC' "$LOG" || false
}

# ---- ModelScope ----

modelscope() { env MODELSCOPE_ENDPOINT="$URL/" "$JOB" fetch "modelscope://$1" --out "$OUT/m" "${quick[@]}" "${@:2}"; }

@test "modelscope: its own client and ours bring the same from the look-alike, the token stays with the hub" {
    clients
    origin_args=(--modelscope org/repo "$CHECKPOINT" --gated s3cret-token)
    both() {
        env MODELSCOPE_ENDPOINT="$URL" MODELSCOPE_API_TOKEN=s3cret-token MODELSCOPE_CACHE="$BATS_TEST_TMPDIR/cache" MODELSCOPE_HOME="$BATS_TEST_TMPDIR/home" "$PYTHON" -c '
import sys
from modelscope import snapshot_download
snapshot_download("org/repo", local_dir=sys.argv[1])
try:
    snapshot_download("org/absent", local_dir=sys.argv[1] + "2")
except Exception as e:
    print("absent:", "404" in str(e))' "$OUT/theirs" || return 1
        MODELSCOPE_API_TOKEN=s3cret-token modelscope org/repo
    }
    other_origin both
    [ "$status" -eq 0 ]
    [[ "$output" == *"absent: True"* ]]
    same_checkpoint "$OUT/m"
    same_checkpoint "$OUT/theirs"
    ! grep '"path": "/oss/' "$LOG" | grep -q s3cret || false
    grep -q "Revision=$(printf 'b%.0s' {1..40})&FilePath=model-1" "$LOG" # the commit, not the branch
    [[ "$output" != *s3cret* ]]
    ! grep -rq s3cret "$OUT/m" || false
}

@test "modelscope: a gated model is not a missing one, a revision not a repository" {
    origin_args=(--modelscope org/repo "$CHECKPOINT" --gated s3cret-token)
    refusals() {
        modelscope org/repo
        echo "gated=$?"
        modelscope org/absent
        echo "absent=$?"
        MODELSCOPE_API_TOKEN=s3cret-token modelscope org/repo@v9
        echo "revision=$?"
        echo s3cret-token > "$BATS_TEST_TMPDIR/token"
        MODELSCOPE_API_TOKEN_FILE=$BATS_TEST_TMPDIR/token modelscope org/repo@v1.0
        echo "token=$?"
    }
    other_origin refusals
    [[ "$output" == *"the model is gated: apply for access"*gated=83* ]]
    [[ "$output" == *"record not found"*absent=84* ]]
    [[ "$output" == *"revision not found"*revision=84* ]]
    [[ "$output" == *token=0* ]]
    same_checkpoint "$OUT/m"
}

@test "modelscope: a listing that names no commit is still held by its digests" {
    origin_args=(--modelscope org/repo "$CHECKPOINT" --unpinned)
    other_origin modelscope org/repo
    [ "$status" -eq 0 ]
    same_checkpoint "$OUT/m"
    grep -q 'repo?Revision=master&FilePath=' "$LOG"
}

# ---- Hugging Face ----

@test "the hub's own client downloads the same from the look-alike" {
    clients
    origin_args=(--hub org/repo "$TOP/examples/little-model/checkpoint" --gated s3cret-token)
    both() {
        env HF_ENDPOINT="$URL" HF_TOKEN=s3cret-token HF_HOME="$BATS_TEST_TMPDIR/hf" HF_HUB_DISABLE_XET=1 "$PYTHON" -c '
import huggingface_hub as h
print(h.snapshot_download("org/repo"))
try:
    h.HfApi().model_info("org/absent")
except h.errors.RepositoryNotFoundError:
    print("absent")
try:
    h.snapshot_download("org/repo", token=False, local_dir="'"$BATS_TEST_TMPDIR"'/none")
except Exception as e:
    print(type(e).__name__)' || return 1
        env HF_ENDPOINT="$URL" HF_TOKEN=s3cret-token "$JOB" fetch hf://org/repo --out "$OUT/m" "${quick[@]}"
    }
    other_origin both
    [ "$status" -eq 0 ]
    [[ "$output" == *absent* ]]
    for f in "$OUT"/m/*; do
        [ "$(basename "$f")" = holdfast.manifest.json ] || cmp "$f" "$BATS_TEST_TMPDIR/hf/hub/models--org--repo/snapshots/$(printf 'a%.0s' {1..40})/$(basename "$f")"
    done
}
