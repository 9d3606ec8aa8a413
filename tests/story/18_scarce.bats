#!/usr/bin/env bats
# When the machine has nothing to give: few descriptors, no processes, no memory, full disks, no /proc, no /dev, a read-only root.
# The server still runs where that can be, and what is missing is named with its cure.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() { story_setup; }
teardown() { story_teardown; }

may_mount() { [ "$(id -u)" -eq 0 ] && unshare --mount true 2> /dev/null || skip "mounts of our own need root"; }

@test "few descriptors: from 12 on the server runs, is swept and started again; below it is said what to raise, with 79" {
    for n in 4 8 11; do
        CODE=0
        bash -c "ulimit -n $n; exec '$HOLD' -- true" 2> "$LOG" || CODE=$?
        [ "$CODE" -eq 79 ]
        grep -q "process 1 needs 12: raise ulimit -n" "$LOG"
    done
    for n in 12 16 31; do
        CODE=0
        bash -c "ulimit -n $n; exec '$HOLD' --restart on-failure --restart-delay 1ms --restart-budget 2 -- sh -c 'sleep 0.1 & sleep 0.1 & echo said; exit 7'" > out 2> "$LOG" || CODE=$?
        [ "$CODE" -eq 7 ]
        [ "$(grep -c said out)" -eq 3 ]
        [ "$(n_ev restart)" -eq 2 ]
        grep -q "few descriptors are allowed: raise ulimit -n" "$LOG"
    done
}

@test "only the soft limit is low: process 1 lifts its own, and the child has what it was started with" {
    run --separate-stderr -0 bash -c "ulimit -Sn 9; exec '$HOLD' -- sh -c 'ulimit -n'"
    [ "$output" = 9 ]
    [ -z "$stderr" ]
}

# starve ARG...: a server that ends all the time, started with ARGs; once it runs, process 1 may hold no further descriptor.
starve() {
    [ "$(id -u)" -eq 0 ] || skip "needs root to raise a limit again"
    prlimit --nofile=100:4096 true || skip "limits cannot be set here"
    bash -c "ulimit -Hn 4096; exec '$HOLD' --log-level info --restart on-failure --restart-delay 50ms --restart-cap 100ms --restart-budget 50 $* -- sh -c 'sleep 0.2; exit 5'" > out 2> "$LOG" 3>&- 9<&- &
    HOLD_PID=$!
    wait_for '[ "$(n_ev spawn)" -ge 1 ]'
    prlimit --nofile=6:4096 --pid "$HOLD_PID"
}

fed_again() { # its starts go on, and nothing leaked
    n=$(n_ev spawn)
    prlimit --nofile=4096:4096 --pid "$HOLD_PID"
    wait_for "[ \"\$(n_ev spawn)\" -ge $((n + 3)) ]"
    [ "$(find "/proc/$HOLD_PID/fd" | wc -l)" -lt 30 ]
    kill "$HOLD_PID"
    finish
}

@test "descriptors run out in mid-life: the server starts all the same, with our own output, and that is told" {
    starve
    wait_for '[ "$(n_ev warn "no lines are kept of this life")" -ge 3 ]'
    [ "$(n_ev diagnosis resources)" -eq 0 ]
    fed_again
}

@test "descriptors run out in mid-life of a sandboxed server: the next starts are tried again until there are some, and nothing leaks" {
    starve --sandbox best-effort
    wait_for '[ "$(n_ev diagnosis resources)" -ge 3 ]'
    fed_again
}

@test "no process may be made, no memory is left: 79, retried, and the message names it" {
    command -v strace > /dev/null && strace -f -qq -o /dev/null true 2> /dev/null || skip "no strace may trace here"
    for sys in EAGAIN ENOMEM; do # what pids.max and RLIMIT_NPROC, and an exhausted machine, make of a spawn
        CODE=0
        strace -qq -o /dev/null -e trace=clone,clone3,fork,vfork -e "inject=clone,clone3,fork,vfork:error=$sys" \
            "$HOLD" --restart on-failure --restart-delay 1ms --restart-budget 2 -- true 2> "$LOG" || CODE=$?
        [ "$CODE" -eq 79 ] || { cat "$LOG"; return 1; }
        [ "$(n_ev restart resources)" -eq 2 ]
        [ "$(n_ev diagnosis 'ulimit -n or -u')" -eq 3 ]
    done
    # every allocation of a running process 1 fails for a while: it goes on
    start --log-level info --restart on-failure --restart-delay 20ms --restart-cap 50ms -- "$FAKE" --exit-after 100 --code 3
    wait_for '[ "$(n_ev spawn)" -ge 2 ]'
    prlimit --as=1000000 --pid "$HOLD_PID"
    n=$(n_ev exit)
    wait_for "[ \"\$(n_ev exit)\" -ge $((n + 3)) ]"
    kill -0 "$HOLD_PID"
    kill "$HOLD_PID"
    finish
    [ "$CODE" -lt 128 ] || [ "$CODE" -eq 143 ]
}

@test "full disks: state folder, termination log and our own output; the server's code is still ours" {
    may_mount
    CODE=0
    unshare --mount sh -c "mkdir full && mount -t tmpfs -o size=64k none full && cp /dev/zero full/x 2> /dev/null
        exec '$HOLD' --state-dir '$D/full/state' --termination-log '$D/full/message' --log-level info -- '$FAKE' --flood 300000 --exit-after 100 --code 6 >> full/x" 2> "$LOG" || CODE=$?
    [ "$CODE" -eq 6 ]
    grep -q "full/state.*No space left on device" "$LOG"
    grep -q "full/message.*No space left on device" "$LOG"
    CODE=0
    "$HOLD" --log-level debug -- sh -c 'echo out; exit 6' > /dev/full 2> /dev/full || CODE=$?
    [ "$CODE" -eq 6 ]
}

@test "a read-only root, and a /dev without anything in it" {
    may_mount
    CODE=0
    unshare --mount sh -c "mount --bind '$D' '$D' && mount -o remount,bind,ro '$D' && exec '$HOLD' --log-level info -- sh -c 'exit 5'" 2> "$LOG" || CODE=$?
    [ "$CODE" -eq 5 ]
    grep -q "Read-only file system" "$LOG"
    for closed in '' '0<&- 1>&-'; do
        CODE=0
        unshare --mount sh -c "mount -t tmpfs none /dev && exec '$HOLD' -- sh -c 'exit 5' $closed" 2> "$LOG" || CODE=$?
        [ "$CODE" -eq 5 ]
    done
}

@test "no /proc: as process 1 leftovers still get TERM and their time, then KILL, and the next start follows" {
    may_mount
    begun=$SECONDS
    CODE=0
    unshare --pid --fork --mount sh -c "umount -l /proc; exec '$HOLD' --log-level info --sweep-wait 5s -- '$FAKE' --counter '$D/counter' --spawn-helpers 2 --helper-ms 100 --exit-after 50 --code 5" \
        > out 2> "$LOG" 3>&- 9<&- || CODE=$?
    [ "$CODE" -eq 5 ]
    [ "$(grep -c helper-done counter)" -eq 2 ]
    grep -q "/proc cannot be read" "$LOG"
    CODE=0
    unshare --pid --fork --mount sh -c "umount -l /proc; exec '$HOLD' --log-level info --sweep-wait 100ms --restart on-failure --restart-delay 1ms --restart-budget 2 -- \
        '$FAKE' --spawn-helpers 1 --helper-ignore-term --exit-after 20 --code 5" > out 2> "$LOG" 3>&- 9<&- || CODE=$?
    [ "$CODE" -eq 5 ]
    [ "$(n_ev spawn)" -eq 3 ]
    [ "$(n_ev unkillable)" -eq 0 ]
    [ $((SECONDS - begun)) -lt 25 ]
}

@test "a start folder that the user may not enter is kept, as it would be without an init" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to become somebody else"
    mkdir closed
    chmod 700 closed
    cd closed
    run -0 setpriv --reuid 65534 --regid 65534 --clear-groups "$HOLD" --state-dir "$D/none" --termination-log "" --log-level error -- readlink /proc/self/cwd
    [ "$output" = "$D/closed" ] || { echo "$output"; return 1; }
}

@test "a /proc that hides other users (hidepid=2): a server of another user is swept and started again" {
    may_mount
    CODE=0
    unshare --pid --fork --mount sh -c "mount -t proc -o hidepid=2 proc /proc; exec setpriv --reuid 65534 --regid 65534 --clear-groups '$HOLD' --state-dir /tmp/hidepid-$$ --termination-log '' --log-level info \
        --restart on-failure --restart-delay 1ms --restart-budget 1 --sweep-wait 3s -- sh -c 'sleep 60 & exit 5'" > out 2> "$LOG" 3>&- 9<&- || CODE=$?
    rm -rf "/tmp/hidepid-$$"
    [ "$CODE" -eq 5 ]
    [ "$(n_ev spawn)" -eq 2 ]
    [ "$(n_ev unkillable)" -eq 0 ]
}
