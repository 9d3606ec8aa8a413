# The image in real containers: built by buildah on a Debian base, run by podman as process 1, as root and as a user that no file
# knows, with a read-only root, limits and no network; stopped, checked, looked into.

load image

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    if [ "$(id -u)" -ne 0 ]; then export WHY="needs root"; return 0; fi
    for tool in podman buildah debootstrap unshare; do
        command -v $tool > /dev/null || { export WHY="needs $tool"; return 0; }
    done
    log=$BATS_FILE_TMPDIR/build.log
    if ! { bash tests/container/in.sh bash tests/container/base.sh localhost/holdfast-base:12 &&
           image runtime-cpu holdfast-runtime:test && image holdfast holdfast:test && with_healthcheck; } > "$log" 2>&1; then
        tail -20 "$log" >&3
        return 1
    fi
    # The volume: the little model with its manifest, owned by nobody in particular.
    export MODELS=$BATS_FILE_TMPDIR/models
    mkdir -p "$MODELS"
    cp -r examples/little-model/checkpoint "$MODELS/little"
    build/release/bin/holdfast verify "$MODELS/little" --write-manifest > /dev/null 2>&1
    chmod -R a+rX "$MODELS"
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${WHY:-}" ] || skip "$WHY"
    NAME=hold-$BATS_TEST_NUMBER-$$
}

teardown() {
    rm -f oom # the container monitor's own mark of an OOM kill
    [ -z "${NAME:-}" ] || box rm -f -t 0 "$NAME" > /dev/null 2>&1 || true
}

# ready NAME: waits until holdfast inside says so, at most a minute.
ready() {
    for _ in $(seq 120); do
        box exec "$1" /opt/holdfast/bin/holdfast probe ready > /dev/null 2>&1 && return 0
        [ "$(box inspect -f '{{.State.Running}}' "$1")" = true ] || { box logs "$1" 2>&1 | tail -20; return 1; }
        sleep 0.5
    done
    box logs "$1" 2>&1 | tail -20
    return 1
}

@test "image_serves_as_root_what_is_mounted_at_models" {
    cp -r "$MODELS/little" "$BATS_TEST_TMPDIR/mine"
    box run -d --name "$NAME" --network none -m 1g --user 0:0 -v "$BATS_TEST_TMPDIR/mine:/models" holdfast-runtime:test
    ready "$NAME"
    box exec "$NAME" /opt/holdfast/bin/holdfast status --json | grep -q '"ready"'
}

@test "image_serves_as_any_user_with_a_read_only_root_and_no_home" {
    box run -d --name "$NAME" --network none -m 1g --pids-limit 200 --user 1234567:0 --env HOME= --read-only --cap-drop ALL --security-opt no-new-privileges \
        --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp -v "$MODELS:/models:ro" holdfast-runtime:test run --model /models/little
    ready "$NAME"
    ! tr '\0' '\n' < "/proc/$(box inspect -f '{{.State.Pid}}' "$NAME")/environ" | grep '^HOME=.'
}

@test "podman_stop_ends_within_the_grace_with_status_0" {
    box run -d --name "$NAME" --network none -v "$MODELS:/models:ro" --user 1234567:0 --read-only --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp holdfast-runtime:test run --model /models/little
    ready "$NAME"
    begun=$(date +%s)
    box stop -t 30 "$NAME"
    [ $(($(date +%s) - begun)) -lt 15 ]
    [ "$(box inspect -f '{{.State.ExitCode}}' "$NAME")" = 0 ]
}

@test "missing_model_ends_at_once_with_its_own_status_and_a_cure" {
    run box run --name "$NAME" --network none --user 1234567:0 --read-only --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp holdfast-runtime:test run --model /models/nothing
    [ "$status" -ge 64 ] && [ "$status" -le 99 ]
    [[ "$output" == *model* ]]
}

@test "orphans_of_a_command_are_reaped_and_its_status_passes_through" {
    run box run --rm -v /bin/busybox:/busybox:ro holdfast:test --restart never -- /busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do /busybox sh -c "/busybox sleep 0.1 &" & done; wait; /busybox sleep 0.5; /busybox ps -o stat; exit 7'
    [ "$status" -eq 7 ]
    ! grep -q '^Z' <<< "$output"
}

@test "image_holds_what_the_list_allows_and_nothing_else" {
    local target
    for target in holdfast holdfast-runtime; do
        box create --name "$NAME" "$target:test" > /dev/null
        # What the container engine itself adds to every container is not ours.
        box export "$NAME" | tar -t | sed 's|^\./||; s|/$||' | grep -vxE '' | sort > "$BATS_TEST_TMPDIR/is"
        box rm -f "$NAME" > /dev/null
        sort "docker/contents.$target.txt" > "$BATS_TEST_TMPDIR/allowed"
        [ "$(uname -m)" = x86_64 ] || skip "the lists name the libraries of x86-64"
        diff "$BATS_TEST_TMPDIR/allowed" "$BATS_TEST_TMPDIR/is" || { echo "see docker/contents.$target.txt"; return 1; }
    done
}

@test "images_are_small" {
    local target limit bytes
    for target in holdfast:25000000 holdfast-runtime:30000000; do
        limit=${target#*:} target=${target%:*}
        bytes=$(box image inspect -f '{{.Size}}' "$target:test")
        echo "$target: $bytes bytes of at most $limit"
        [ "$bytes" -lt "$limit" ]
    done
}

@test "image_says_what_it_is_and_how_it_is_stopped_and_asked" {
    box image inspect holdfast-runtime:docker > "$BATS_TEST_TMPDIR/i.json"
    python3 - "$BATS_TEST_TMPDIR/i.json" "$(cat VERSION)" <<'PY'
import json, re, sys
image = json.load(open(sys.argv[1]))[0]
c = image['Config']
assert c['User'] == '10001:0' and c['StopSignal'] in ('SIGTERM', '15'), c
assert c['Entrypoint'] == ['/opt/holdfast/bin/holdfast'] and c['Cmd'] == ['run'], c
assert image['Healthcheck']['Test'] == ['CMD', '/opt/holdfast/bin/holdfast', 'probe', 'ready'], c
label = {k[len('org.opencontainers.image.'):]: v for k, v in c['Labels'].items() if k.startswith('org.opencontainers.image.')}
assert set(label) == {'title', 'description', 'version', 'revision', 'created', 'source', 'documentation', 'licenses', 'vendor', 'base.name', 'base.digest'}, label
assert all(label[k] for k in label if k != 'base.digest') and label['base.name'] == 'scratch', label # which has no digest
assert not [k for k in c['Labels'] if 'opencontainers' in k and not k.startswith('org.opencontainers.image.')], c['Labels']
assert label['version'] == sys.argv[2] and label['licenses'] == 'Apache-2.0'
assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', label['created']), label
assert not any('NVIDIA_VISIBLE' in e for e in c['Env']), c['Env']
PY
}

@test "context_is_what_a_build_reads_and_nothing_else_that_lies_there" {
    local ctx=$BATS_TEST_TMPDIR/tree
    mkdir -p "$ctx/base" "$ctx/tests/story" "$ctx/build/third" "$ctx/build/release" "$ctx/models" "$ctx/docs" "$ctx/.git"
    cp .dockerignore "$ctx/"
    touch "$ctx"/{Makefile,VERSION,LICENSE,.env,model.safetensors} "$ctx"/{base,tests/story,models,docs,.git,build/release,build/third}/file "$ctx/tests/rules.mk" "$ctx/docs/rules.mk"
    printf 'FROM scratch\nCOPY . /\n' > "$BATS_TEST_TMPDIR/Dockerfile"
    bash tests/container/in.sh buildah bud -q -f "$BATS_TEST_TMPDIR/Dockerfile" -t holdfast-context:test "$ctx"
    box create --name "$NAME" holdfast-context:test /none > /dev/null
    box export "$NAME" | tar -t | grep -E '(file|safetensors|env|Makefile|VERSION|LICENSE|rules.mk)$' | sort | paste -sd' ' > "$BATS_TEST_TMPDIR/is"
    cat "$BATS_TEST_TMPDIR/is"
    [ "$(< "$BATS_TEST_TMPDIR/is")" = 'LICENSE Makefile VERSION base/file build/third/file docs/rules.mk tests/rules.mk' ]
}

@test "two_builds_of_one_commit_have_one_digest" {
    # Layers that an earlier commit left in the cache carry that commit's time.
    local one=holdfast:test log=$BATS_TEST_TMPDIR/log
    if [ "$(box image inspect -f '{{range .History}}{{.Created.Unix}} {{end}}' $one | tr ' ' '\n' | sort -u | grep -c .)" -ne 1 ]; then
        one=holdfast:once
        image holdfast $one --no-cache > "$log" 2>&1 || { tail -5 "$log"; return 1; }
    fi
    image holdfast holdfast:again --no-cache > "$log" 2>&1 || { tail -5 "$log"; return 1; }
    one=$(box image inspect -f '{{.Digest}}' $one) two=$(box image inspect -f '{{.Digest}}' holdfast:again)
    echo "$one / $two"
    [ "$one" = "$two" ]
}

@test "healthcheck_is_red_until_ready_and_green_after" {
    box run -d --name "$NAME" --network none --user 1234567:0 --read-only --tmpfs /run/holdfast:rw,mode=1777 --tmpfs /tmp -v "$MODELS:/models:ro" holdfast-runtime:docker run --model /models/little
    ready "$NAME"
    run box healthcheck run "$NAME"
    [ "$status" -eq 0 ]
    box stop -t 20 "$NAME" > /dev/null
    box rm -f "$NAME" > /dev/null
    box run -d --name "$NAME" --network none -v /bin/busybox:/busybox:ro holdfast-runtime:docker --ready tcp://127.0.0.1:1 -- /busybox sleep 60
    for _ in $(seq 100); do box exec "$NAME" /opt/holdfast/bin/holdfast probe live > /dev/null 2>&1 && break; sleep 0.1; done
    run box healthcheck run "$NAME"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *unhealthy* ]]
}

@test "out_of_memory_in_the_container_is_named" {
    mkdir -m 777 "$BATS_TEST_TMPDIR/say"
    : > "$BATS_TEST_TMPDIR/say/message"
    chmod 666 "$BATS_TEST_TMPDIR/say/message"
    run box run --name "$NAME" --network none -m 64m --memory-swap 64m --user 1234567:0 --read-only --tmpfs /run/holdfast:rw,mode=1777 -v "$BATS_TEST_TMPDIR/say:/say" -v /bin/busybox:/busybox:ro \
        holdfast:test --termination-log /say/message -- /busybox tail /dev/zero
    echo "$output"
    cat "$BATS_TEST_TMPDIR/say/message"
    [ "$status" -eq 137 ]
    head -1 "$BATS_TEST_TMPDIR/say/message" | python3 -c 'import json, sys; m = json.loads(sys.stdin.readline()); assert "oom" in m["cause"] or "memory" in m["cause"], m'
}

@test "a_server_that_forks_into_the_pid_limit_does_not_take_holdfast_with_it" {
    run box run --rm --network none --pids-limit 40 -v /bin/busybox:/busybox:ro holdfast:test -- /busybox sh -c 'i=0; while [ $i -lt 200 ]; do /busybox sleep 5 & i=$((i + 1)); done 2> /dev/null; exit 9'
    echo "$output" | tail -3
    [ "$status" -ne 0 ] # what the shell makes of it
    [ "$status" -lt 64 ] || [ "$status" -gt 127 ]
}

@test "a_storm_of_TERMs_is_a_second_stop_and_ends_it_at_once" {
    box run -d --name "$NAME" --network none -v /bin/busybox:/busybox:ro --tmpfs /run/holdfast:rw,mode=1777 holdfast:test --grace 300s -- /busybox sh -c 'trap "" TERM; while :; do /busybox sleep 0.05; done'
    for _ in $(seq 100); do box exec "$NAME" /opt/holdfast/bin/holdfast probe live > /dev/null 2>&1 && break; sleep 0.1; done
    box exec "$NAME" /busybox sh -c 'while /busybox kill -TERM 1; do :; done' || true # until the container is gone, and this with it
    [ "$(box wait "$NAME")" = 137 ]
}

# The prefix beside another C library: a root with musl alone, and a server that is linked to it.
@test "prefix_copied_into_a_musl_image_runs_and_supervises_a_musl_program" {
    command -v musl-gcc > /dev/null || skip "needs musl-tools"
    local ctx=$BATS_TEST_TMPDIR/musl
    mkdir -p "$ctx/root/lib" "$ctx/root/bin" "$ctx/root/tmp" "$ctx/root/run"
    cp -L /lib/ld-musl-*.so.1 "$ctx/root/lib/"
    printf '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("musl, parent %%d\\n", (int) getppid()); return 33; }\n' > "$ctx/server.c"
    musl-gcc -O2 -o "$ctx/root/bin/server" "$ctx/server.c"
    readelf -l "$ctx/root/bin/server" | grep -q 'ld-musl'
    printf 'FROM localhost/holdfast:test AS h\nFROM scratch\nCOPY root/ /\nCOPY --from=h /opt/holdfast /opt/holdfast\nENTRYPOINT ["/opt/holdfast/bin/holdfast", "--"]\n' > "$ctx/Dockerfile"
    bash tests/container/in.sh buildah bud -q -t holdfast-musl:test "$ctx"
    run box run --rm --network none --user 1234567:0 --read-only holdfast-musl:test /bin/server
    echo "$output"
    [ "$status" -eq 33 ]
    [[ "$output" == *"musl, parent 1"* ]]
    run box run --rm --network none --entrypoint /opt/holdfast/bin/holdfast holdfast-musl:test doctor # through our own loader
    [[ "$output" == *kernel* ]]
}

@test "list_of_parts_is_sound_SPDX" {
    box create --name "$NAME" holdfast:test > /dev/null
    box export "$NAME" | tar -xO opt/holdfast/share/holdfast/sbom.spdx.json > "$BATS_TEST_TMPDIR/sbom.spdx.json"
    licences=$(box export "$NAME" | tar -t | sed -n 's|^opt/holdfast/share/holdfast/licences/\(..*\)|\1|p')
    python3 - "$BATS_TEST_TMPDIR/sbom.spdx.json" "$licences" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
ids = [p['SPDXID'] for p in d['packages']]
assert len(ids) == len(set(ids))
named = {p['name'] for p in d['packages']}
assert {'holdfast', 'cJSON', 'libc6', 'libssl3', 'libcurl4', 'libseccomp-dev', 'libcap-dev', 'ca-certificates'} <= named, named
assert all(p['versionInfo'] for p in d['packages'])
licences = set(sys.argv[2].split())
assert {n.removesuffix('-dev') for n in named} - {'ca-certificates', 'cJSON'} == licences - {'cjson'}, (named, licences)
for r in d['relationships']:
    assert r['spdxElementId'] in ids + ['SPDXRef-DOCUMENT'] and r['relatedSpdxElement'] in ids, r
PY
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/spdx
    if [ ! -x "$venv/bin/pyspdxtools" ]; then
        { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check spdx-tools; } > /dev/null 2>&1 || skip "the list holds together; spdx-tools could not be installed to judge it"
    fi
    "$venv/bin/pyspdxtools" -i "$BATS_TEST_TMPDIR/sbom.spdx.json"
}

@test "prefix_copied_into_an_empty_image_runs" {
    mkdir -p "$BATS_TEST_TMPDIR/ctx"
    printf 'FROM localhost/holdfast:test AS h\nFROM scratch\nCOPY --from=h /opt/holdfast /an/odd/place\nENTRYPOINT ["/an/odd/place/bin/holdfast"]\n' > "$BATS_TEST_TMPDIR/ctx/Dockerfile"
    bash tests/container/in.sh buildah bud -q -t holdfast-odd:test "$BATS_TEST_TMPDIR/ctx"
    run box run --rm --name "$NAME" holdfast-odd:test version
    [ "$status" -eq 0 ]
    run box run --rm --name "$NAME" holdfast-odd:test doctor
    [[ "$output" == *kernel* ]]
}
