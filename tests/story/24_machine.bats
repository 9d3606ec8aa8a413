#!/usr/bin/env bats
# holdfast as process 1 of a whole small machine (qemu, Debian's kernel): a real cgroup v2 whose memory.oom.group kills all at
# once, the same without it, an older Landlock. The machine is started once; each story reads its part of the console.

# shellcheck disable=SC2030,SC2031,SC2154 # variables are read by the stories
bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export CONSOLE=$BATS_FILE_TMPDIR/console WHY=$BATS_FILE_TMPDIR/why
    for p in qemu-system-x86_64 cpio busybox; do
        command -v $p > /dev/null || { echo "$p is not installed" > "$WHY"; return 0; }
    done
    if [ "$(uname -m)" != x86_64 ]; then echo "the machine is an x86-64" > "$WHY"; return 0; fi
    if ! reason=$(sh tests/vm/kernel.sh 2>&1); then echo "${reason:-no kernel}" > "$WHY"; return 0; fi
    local root=$BATS_FILE_TMPDIR/root build=build/release
    mkdir -p "$root/bin"
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp $build/bin/holdfast $build/tests/fake-server $build/tests/inbox $build/tests/escape "$root/bin/"
    cp tests/vm/guest.sh "$root/"
    cp tests/vm/init.sh "$root/init"
    chmod 755 "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet) > "$BATS_FILE_TMPDIR/initrd"
    timeout 180 qemu-system-x86_64 -accel tcg -m 512 -smp 2 -nographic -no-reboot -net none -kernel build/third/vm/vmlinuz \
        -initrd "$BATS_FILE_TMPDIR/initrd" -append 'console=ttyS0 quiet panic=-1' < /dev/null 2>&1 | tr -d '\r' > "$CONSOLE" || true
    [ -z "${HOLD_KEEP:-}" ] || cp "$CONSOLE" "$HOLD_KEEP"
}

setup() { [ ! -s "$WHY" ] || skip "$(cat "$WHY")"; }
# part NAME: what stands between its marks.
part() { sed -n "/^== $1\$/,/^== end\$/p" "$CONSOLE"; }

@test "everything is killed at once: the next process 1 starts one rung lower and says so" {
    part all-first
    grep -qx "all: first ended with 137" "$CONSOLE" # process 1 itself went with the rest
    part all-events | grep -qx 'oom_group_kill 1'
    part all-second
    part all-second | grep '"ev":"rung"' | grep '"rung":1' | grep -q 'the last holdfast here was killed while this ran'
    part all-second | grep -q '^on a lower rung'
    [ "$(part all-second | grep -c '"ev":"spawn"')" -eq 1 ]
    part all-status | grep -q small-batch
}

@test "only the child is killed: process 1 lives, names memory, and the next start in place is a rung lower" {
    part one
    part one | grep '"ev":"diagnosis"' | grep -q '"cause":"host_oom"'
    part one | grep '"ev":"rung"' | grep -q '"rung":1'
    part one | grep -q '^on a lower rung'
    [ "$(part one | grep -c '"ev":"spawn"')" -eq 2 ]
    part one-events | grep -qx 'oom_group_kill 0'
    ! part one-events | grep -qx 'oom_kill 0'
    grep -qx 'one: ended with 0' "$CONSOLE"
}

@test "an older kernel: nothing gets out of the sandbox, and what the kernel lacks is said" {
    for profile in engine-cpu front; do
        part "escape-$profile" | grep -E '^(not ok|layer)' || true
        [ "$(part "escape-$profile" | grep -c '^ok')" -ge 110 ]
        ! part "escape-$profile" | grep -q '^not ok'
    done
    part escape-foreign | grep -E '^layer landlock-scope +missing'
}

@test "process 1 of a whole machine: orphans are reaped, the kernel sees the child's code" {
    part cmdline | grep -q '/bin/holdfast'
    grep -qx 'zombies: 0' "$CONSOLE"
    grep -q 'Attempted to kill init! exitcode=0x00002a00' "$CONSOLE"
}
