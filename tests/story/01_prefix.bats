#!/usr/bin/env bats
# The installed prefix is relocatable: copied to an odd path inside an empty root (no libraries, no shell, with and without
# /proc) its programs run, judge the machine and fetch over https with a private CA. Nothing in it names the build machine.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export TOP=$PWD
    export STAGE=$BATS_FILE_TMPDIR/stage
    make -s install DESTDIR="$STAGE" PREFIX=/opt/holdfast SYSCONFDIR=/etc
    export ROOT=$BATS_FILE_TMPDIR/root
    export ODD="/tmp/an odd path/x[1]*"
    mkdir -p "$ROOT/proc" "$ROOT/dev" "$ROOT/etc" "$ROOT/tmp/an odd path" "$ROOT/out"
    cp -a "$STAGE/opt/holdfast" "$ROOT$ODD"
}

# alone [--no-proc] PROGRAM ARG...: in the empty root, with its own mount namespace, so that nothing stays mounted.
alone() {
    local proc=y
    [ "$1" = --no-proc ] && { proc=; shift; }
    local as=()
    [ "$(id -u)" -eq 0 ] || as=(--map-root-user)
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare "${as[@]}" --mount --fork sh -euc '
        root=$1 proc=$2; shift 2
        for node in null zero urandom; do : > "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
        if [ -n "$proc" ]; then mount --rbind /proc "$root/proc"; fi
        exec env -i "$(command -v chroot)" "$root" "$@"' sh "$ROOT" "$proc" "$@"
}

@test "install puts programs, loader, libraries, CA bundle and licences, and nothing of the machine" {
    cd "$STAGE/opt/holdfast"
    for f in bin/holdfast bin/holdfast-job bin/holdfast-runtime libexec/holdfast-job libexec/holdfast-runtime \
        share/holdfast/ca-certificates.crt share/holdfast/licences/holdfast lib/libc.so.6; do
        [ -s "$f" ] || { echo "missing: $f"; return 1; }
    done
    [ -x "$(echo lib/ld-linux-*.so.*)" ]
    [ -z "$(find . -type l)" ]
    for f in bin/* libexec/*; do # stripped, and no path of the build tree inside
        ! grep -qF "$TOP" "$f" || { echo "$f names $TOP"; return 1; }
        ! readelf -S "$f" | grep -q '\.debug_info' || { echo "$f carries debug data"; return 1; }
    done
    for f in bin/*; do # needs no loader at all
        ! readelf -l "$f" | grep -q 'INTERP' || { echo "$f is not static"; return 1; }
    done
}

@test "every library that a program names lies under the prefix" {
    cd "$STAGE/opt/holdfast"
    for f in libexec/* lib/*.so*; do
        for needed in $(readelf -d "$f" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
            [ -e "lib/$needed" ] || { echo "$f needs $needed"; return 1; }
        done
    done
}

@test "the launcher finds its prefix at an odd path in an empty root" {
    run alone "$ODD/bin/holdfast-job" version
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == holdfast-job\ * ]]
}

@test "the launcher finds its prefix without /proc" {
    run alone --no-proc "$ODD/bin/holdfast-job" version
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == holdfast-job\ * ]]
}

@test "the launcher passes arguments, status and a missing program on truly" {
    run alone "$ODD/bin/holdfast-job" "no such role"
    echo "$output"
    [ "$status" -eq 64 ]
    [[ "$output" == *"'no such role'"* ]]
    mkdir -p "$ROOT/bare/bin"
    cp "$STAGE/opt/holdfast/bin/holdfast-job" "$ROOT/bare/bin/"
    run alone /bare/bin/holdfast-job version
    echo "$output"
    [ "$status" -eq 127 ]
    [[ "$output" == *"'/bare/libexec/holdfast-job'"* ]]
}

@test "installing over a running program does not disturb it" {
    cp "$STAGE/opt/holdfast/bin/holdfast-job" "$BATS_TEST_TMPDIR/before"
    make -s -C "$TOP" install DESTDIR="$STAGE" PREFIX=/opt/holdfast SYSCONFDIR=/etc
    cmp "$STAGE/opt/holdfast/bin/holdfast-job" "$BATS_TEST_TMPDIR/before"
}
