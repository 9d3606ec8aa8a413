#!/usr/bin/env bats
# Process 1 as a plain init: exit codes, signals, orphans, leftovers. On the real binary, where it matters as process 1 of a
# fresh PID namespace.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() {
    story_setup
    BENCH=$TOP/build/${VARIANT:-release}/tests/init-bench
}
teardown() { story_teardown; }

# as_one ARG...: holdfast as process 1 of a new PID namespace, in the background; HOLD_PID is its number outside.
as_one() {
    if ! unshare --pid --fork --mount-proc true 2> /dev/null; then skip "no PID namespace can be made here"; fi
    unshare --pid --fork --mount-proc "$HOLD" "$@" > "$D/out" 2> "$LOG" 3>&- 9<&- &
    UNSHARE_PID=$!
    wait_for '[ -n "$(child_of $UNSHARE_PID)" ]'
    HOLD_PID=$(child_of "$UNSHARE_PID")
}
finish_one() {
    CODE=0
    wait "$UNSHARE_PID" || CODE=$?
    HOLD_PID=
}

@test "the child's exit code is ours: 0, 1, 37, 255" {
    for code in 0 1 37 255; do
        run -"$code" "$HOLD" -- sh -c "exit $code"
    done
}

@test "a child that dies of a signal: 128 + number" {
    for pair in TERM:143 KILL:137 SEGV:139 ABRT:134; do
        run -"${pair#*:}" "$HOLD" -- sh -c "ulimit -c 0; kill -${pair%:*} \$\$"
    done
}

@test "not found is 127, not executable and a folder are 126, and standard error names it" {
    run -127 "$HOLD" -- no-such-command
    [[ "$output" == *no-such-command* ]]
    run -127 "$HOLD" -- /no/such/file
    [[ "$output" == */no/such/file* ]]
    echo text > plain
    run -126 "$HOLD" -- ./plain
    [[ "$output" == *./plain* ]]
    run -126 "$HOLD" -- "$D"
    [[ "$output" == *"$D"* ]]
}

@test "a script whose interpreter is missing is 127; one without a first line runs as shells run it" {
    printf '#!/no/such/interpreter\n' > script
    chmod +x script
    run -127 "$HOLD" -- ./script
    [[ "$output" == *"'./script'"* ]]
    printf 'exit 21\n' > bare
    chmod +x bare
    run -21 "$HOLD" -- ./bare
}

@test "no command, an unknown option and a wrong value are told apart from a child's end, all mistakes at once" {
    run -64 "$HOLD"
    run -65 "$HOLD" --grace 5 --restrat never -- true
    [[ "$output" == *grace* ]]
    [[ "$output" == *"restart"* ]]
    run -65 "$HOLD" --grace 5s
    [[ "$output" == *"no command"* ]]
}

@test "a command of 5000 words and an environment of 5000 variables go through, and one that the kernel refuses is told as 126" {
    many() { for ((i = 0; i < 5000; i++)); do export "V$i=x"; done; exec "$@"; }
    run -0 --separate-stderr bash -c "$(declare -f many); many \"\$@\"" _ "$HOLD" -- sh -c 'echo $#; env | grep -c "^V[0-9]*=x"' sh $(seq 5000)
    [ "$output" = $'5000\n5000' ]
    run -126 bash -c 'long=$(head -c 131000 /dev/zero | tr "\0" a); ulimit -s 256; "$0" -- true "$long" "$long" 2>&1 || exit $?' "$HOLD"
}

@test "TERM is heard within a storm of queued real-time signals, and what else there is to do is done" {
    start --status-listen "" --grace 20s -- python3 -uc 'import os, signal, time
signal.signal(34, lambda *_: None); signal.signal(40, lambda *_: None)
signal.signal(15, lambda *_: os._exit(7))
print("up")
while True: time.sleep(0.01)'
    wait_for 'grep -q up out'
    python3 -c 'import os, sys
try:
    for i in range(1 << 16): os.kill(int(sys.argv[1]), (34, 40)[i & 1])
except OSError: pass # the queue is full, or process 1 has ended' "$HOLD_PID"
    kill "$HOLD_PID"
    wait_for '! kill -0 "$HOLD_PID" 2> /dev/null' # with all of the queue before it this takes minutes
    finish
    [ "$CODE" -eq 7 ]
}

@test "a word that is no sub-command leads on: the one that was meant, or how a server is started; --help after one helps" {
    run -64 "$HOLD" statu
    [[ "$output" == *'did you mean `holdfast status`'* ]]
    run -64 "$HOLD" vllm serve model
    [[ "$output" == *'`holdfast -- vllm ...`'* ]]
    for word in run status probe config install; do
        run -0 "$HOLD" "$word" --help
        [[ "$output" == *'usage: holdfast [options] -- COMMAND'* ]]
    done
    run -64 "$HOLD" fetch
    [[ "$output" == *'a SOURCE or --url is missing'* ]]
    run -69 "$HOLD" status --state-dir "$D/nowhere"
    [[ "$output" == *'--state-dir names the folder of another'* ]]
}

@test "signals reach the child; a rewritten one arrives as the other, a dropped one not at all" {
    start --signal-map HUP=USR2 --signal-map USR1=none -- "$FAKE" --print-signals --ignore-term
    wait_for '[ -n "$(servers)" ]'
    wait_for '[ "$(blocked "$(servers)")" != 0000000000000000 ]' # it waits for them in a signal descriptor
    for sig in USR1 HUP WINCH 40 64 CONT; do kill -"$sig" "$HOLD_PID"; done
    wait_for 'grep -q "signal 64" out && grep -q "signal 18" out'
    grep -q "signal 12" out
    grep -q "signal 28" out
    grep -q "signal 40" out
    run ! grep -qE 'signal (1|10)$' out
    kill -KILL "$(servers)"
    finish
    [ "$CODE" -eq 137 ]
}

@test "TERM 5 ms after exec, 200 times under full load: at most one is lost" {
    local busy=() lost=0
    for _ in $(seq $(($(nproc) * 2))); do
        (exec 3>&- 9<&-; while :; do :; done) &
        busy+=($!)
    done
    local status=0
    # Each of 200: fork, exec of holdfast with a server that lives for half a minute, TERM 5 ms after exec was seen to succeed.
    python3 - "$HOLD" > lost << 'X' || status=$?
import os, signal, subprocess, sys, time
lost = 0
for _ in range(200):
    p = subprocess.Popen([sys.argv[1], '--', 'sleep', '30'], stderr=subprocess.DEVNULL)  # returns when exec succeeded
    time.sleep(0.005)
    p.send_signal(signal.SIGTERM)
    try:
        code = p.wait(20)
        # -15: it died of TERM before its first statement, which is an end as well; what is lost is a TERM that changes nothing
        if code not in (143, -signal.SIGTERM):
            print('code', code)
            lost += 1
    except subprocess.TimeoutExpired:
        lost += 1
        p.kill()
print(lost)
X
    kill "${busy[@]}"
    cat lost
    [ "$status" -eq 0 ] && [ "$(tail -n 1 lost)" -le 1 ]
}

@test "the same as process 1 of a namespace, where the kernel drops what comes before the first statement" {
    if ! unshare --pid --fork --mount-proc true 2> /dev/null; then skip "no PID namespace can be made here"; fi
    python3 - "$HOLD" > lost << 'X'
import os, signal, subprocess, sys, time
lost = 0
for _ in range(60):
    p = subprocess.Popen(['unshare', '--pid', '--fork', sys.argv[1], '--', 'sleep', '30'], stderr=subprocess.DEVNULL)
    one = 0
    while True:  # until unshare's child is holdfast: from its exec on the clock runs
        try:
            kids = open(f'/proc/{p.pid}/task/{p.pid}/children').read().split()
            one = int(kids[0])
            if open(f'/proc/{one}/comm').read() == 'holdfast\n':
                break
        except (OSError, IndexError):
            pass
    time.sleep(0.005)
    os.kill(one, signal.SIGTERM)
    try:
        lost += p.wait(20) != 143
    except subprocess.TimeoutExpired:
        lost += 1
        os.kill(one, signal.SIGKILL)
print(lost)
X
    cat lost
    [ "$(cat lost)" -le 1 ]
}

@test "an ignored and a blocked signal stay so for the child" {
    run -0 env HOLD="$HOLD" python3 -c '
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.execv(os.environ["HOLD"], ["holdfast", "--", "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])'
    echo "$output"
    [[ "$output" == *"SigBlk:"*"0000000000000200"* ]]
    ign=$(echo "$output" | sed -n 's/^SigIgn:[[:space:]]*//p')
    [ $((0x$ign & 2)) -eq 2 ]
}

@test "the child keeps its folder, process 1 leaves it, and the child gets no descriptor that we opened" {
    run -0 "$HOLD" -- sh -c 'readlink /proc/$PPID/cwd; readlink /proc/$$/cwd'
    [ "$output" = "/
$D" ]
    "$HOLD" -- sh -c 'pwd; ls /proc/self/fd' > ours 2> "$LOG"
    sh -c 'pwd; ls /proc/self/fd' > plain 2> /dev/null
    diff plain ours
}

# Machines are shared: of up to six interleaved rounds one must show it.
@test "as process 1: 20,000 orphans that die at once are all reaped, within 5 s and 1.5 times what tini takes" {
    if ! unshare --pid --fork --mount-proc true 2> /dev/null; then skip "no PID namespace can be made here"; fi
    local ours theirs
    for _ in 1 2 3 4 5 6; do
        ours=$(unshare --pid --fork --mount-proc "$HOLD" -- "$BENCH" at-once 20000 2> "$LOG")
        theirs=5000
        ! command -v tini-static > /dev/null || theirs=$(unshare --pid --fork --mount-proc tini-static -- "$BENCH" at-once 20000)
        echo "holdfast $ours ms, tini $theirs ms"
        [ "${ours%.*}" -le 5000 ] || return 1
        [ "${ours%.*}" -gt $((${theirs%.*} * 3 / 2)) ] || return 0
    done
    return 1
}

@test "as process 1: of 20,000 orphans made one by one never more than 100 are zombies (median of three)" {
    if ! unshare --pid --fork --mount-proc true 2> /dev/null; then skip "no PID namespace can be made here"; fi
    local seen=()
    for _ in 1 2 3; do seen+=("$(unshare --pid --fork --mount-proc "$HOLD" -- "$BENCH" one-by-one 20000 2> "$LOG")"); done
    echo "most zombies: ${seen[*]}"
    [ "$(printf '%s\n' "${seen[@]}" | sort -n | sed -n 2p)" -le 100 ]
}

@test "300 TERMs 3 ms apart all arrive, and the median takes at most 50 us more than with tini" {
    command -v tini-static > /dev/null || skip "tini-static is not installed (apt package tini)"
    local ours theirs
    for _ in 1 2 3 4 5 6; do
        "$BENCH" terms 300 tini=tini-static -s -- : "holdfast=$HOLD" --on-stop forward -- > out
        cat out
        grep -q '^holdfast.* of 300$' out || return 1
        theirs=$(sed -nE 's/^tini +median ([0-9]+).*/\1/p' out)
        ours=$(sed -nE 's/^holdfast +median ([0-9]+).*/\1/p' out)
        [ "$ours" -gt $((theirs + 50)) ] || return 0
    done
    return 1
}

@test "not process 1: orphans come to us all the same" {
    start --log-level info -- sh -c "$FAKE --orphans 100 --exit-after 0; exit 4"
    finish
    [ "$CODE" -eq 4 ]
    [ "$(ev end | field orphans_reaped)" -ge 100 ]
}

@test "not process 1: whoever else is in our group and session gets no signal of ours, however our own tree is ended" {
    "$FAKE" --print-signals --ignore-term > sibling 2> /dev/null 3>&- 9<&- & # same session and group as holdfast
    local sibling=$!
    wait_for "[ \"\$(blocked $sibling)\" != 0000000000000000 ]"
    start --log-level info --grace 300ms --sweep-wait 100ms --signal-to group --restart on-failure --restart-delay 1ms --restart-budget 2 -- \
        "$FAKE" --spawn-helpers 2 --helper-ignore-term --exit-after 100 --code 3
    finish
    [ "$CODE" -eq 3 ]
    start --log-level info --grace 200ms --signal-to group -- "$FAKE" --ignore-term --spawn-helpers 2 --helper-ignore-term
    wait_for '[ "$(servers | wc -l)" -ge 4 ]'
    for sig in WINCH CONT URG TERM; do kill -"$sig" "$HOLD_PID"; done
    finish
    [ "$CODE" -eq 137 ]
    kill -KILL "$sibling"
    wait "$sibling" || true
    [ ! -s sibling ] || { cat sibling; return 1; }
}

@test "when the child ends, helpers in its group and in sessions of their own get TERM and may finish" {
    as_one -- sh -c "$FAKE --spawn-helpers 3 --helper-ms 300 --counter $D/counter --exit-after 50 --code 5"
    finish_one
    [ "$CODE" -eq 5 ]
    [ "$(grep -c helper-done counter)" -eq 3 ]
}

@test "a helper that ignores TERM is killed at the bound, and the code is still the child's" {
    start --sweep-wait 100ms --log-level info -- "$FAKE" --spawn-helpers 2 --helper-ignore-term --exit-after 30 --code 5
    finish
    [ "$CODE" -eq 5 ]
    nothing_left
}

@test "a process that came into the namespace by exec is not touched" {
    [ "$(id -u)" -eq 0 ] || skip "entering a namespace needs root"
    as_one --sweep-wait 200ms -- "$FAKE" --spawn-helpers 1 --helper-ms 100 --exit-after 800 --code 6
    wait_for '[ -n "$(servers)" ]'
    (trap 'echo termed > '"$D"'/termed' TERM; exec nsenter --target "$HOLD_PID" --pid --mount sh -c 'trap "echo termed > '"$D"'/termed; exit" TERM; while :; do sleep 0.05; done') 3>&- 9<&- &
    visitor=$!
    finish_one
    [ "$CODE" -eq 6 ]
    wait "$visitor" || true # the kernel ends it with the namespace
    [ ! -e termed ]
}

@test "an idle child and no checks: not one wake-up in ten seconds, at most 256 KiB of its own" {
    start -- sleep 30
    wait_for 'grep -q sleep /proc/$(child_of $HOLD_PID)/comm'
    wait_for '"$HOLD" probe live > /dev/null 2>&1' # what was put off for the start is done
    read -r -t 0.3 -u 9 || true
    before=$(awk '/voluntary_ctxt/ { n += $2 } END { print n }' "/proc/$HOLD_PID/status")
    read -r -t 10 -u 9 || true
    after=$(awk '/voluntary_ctxt/ { n += $2 } END { print n }' "/proc/$HOLD_PID/status")
    echo "before $before after $after; $(grep -E 'Private_Dirty' "/proc/$HOLD_PID/smaps_rollup")"
    [ "$before" -eq "$after" ]
    # Pages of a binary that was just written count as dirty too, so what is asked is memory without a file behind it.
    anonymous=$(awk '/^Anonymous/ { print $2 }' "/proc/$HOLD_PID/smaps_rollup")
    echo "anonymous $anonymous KiB"
    [ "${VARIANT:-release}" != release ] || [ "$anonymous" -le 256 ]
    kill "$HOLD_PID"
    finish
}

@test "on a terminal the child has it: it reads, writes and gets the interrupt" {
    command -v script > /dev/null || skip "no script(1)"
    run -0 script -qec "$HOLD -- sh -c 'test -t 0 && test -t 1 && ps -o stat= -p \$\$ | grep -q + && echo mine'" /dev/null
    echo "$output"
    [[ "$output" == *mine* ]]
}

@test "closed standard descriptors stay closed for the child, and nothing of ours takes their numbers" {
    local began=$SECONDS
    status=0; "$HOLD" --state-dir "$D" -- sh -c 'exit 3' <&- >&- 2>&- || status=$?
    [ "$status" -eq 3 ]
    status=0; "$HOLD" --state-dir "$D" -- sh -c 'echo lost; exit 4' >&- || status=$?
    [ "$status" -eq 4 ]
    "$HOLD" --state-dir "$D" -- sh -c 'test ! -e /proc/$$/fd/0' <&-
    "$HOLD" --state-dir "$D" --log-level info -- sleep 0.3 2>&- >&- &
    local pid=$!
    sleep 0.1
    [ "$(readlink "/proc/$pid/fd/2")" = /dev/null ]
    wait "$pid"
    [ $((SECONDS - began)) -lt 3 ]
}

@test "a low limit of open files is enough, restarts included" {
    run bash -c "ulimit -n 40; exec '$HOLD' --state-dir '$D' --restart on-failure --restart-delay 1ms --restart-budget 3 -- sh -c 'exit 5'"
    [ "$status" -eq 5 ]
}

@test "a second holdfast in the same state folder leaves the first one's record alone, and says so" {
    "$HOLD" --state-dir "$D" -- sleep 0.6 3>&- &
    local pid=$!
    until "$HOLD" probe live --state-dir "$D" > /dev/null 2>&1; do sleep 0.02; done
    run --separate-stderr "$HOLD" --state-dir "$D" -- true
    [ "$status" -eq 0 ]
    [[ $stderr == *"belongs to a running holdfast"* ]]
    [[ $stderr != *"was killed while this ran"* ]]
    "$HOLD" probe live --state-dir "$D"
    wait "$pid"
}

@test "a configuration file of the wrong shape is refused, never skipped, and a near name is told" {
    local wrong
    for wrong in null '[]' 5 '{"restart":[]}' '{"model":"x"}' '{"servers":[]}' '{"servers":null}'; do
        printf '%s' "$wrong" > c.json
        run -65 "$HOLD" config --config "$D/c.json" --model /m
        [[ "$output" == *"an object"*"is wanted"* ]]
    done
    echo '{"restat":{}}' > c.json
    run -65 "$HOLD" config --config "$D/c.json" --model /m
    [[ "$output" == *"did you mean 'restart'"* ]]
}

@test "TERM that comes while the child is held back before it made its group is not lost" {
    strace -f -qq -o /dev/null true 2> /dev/null || skip "no strace may trace here"
    # The child's first call is chdir, its second setpgid: it is held in the first for a second.
    strace -f -qq -o "$D/trace" -e trace=chdir -e inject=chdir:delay_enter=1s:when=1+ "$HOLD" --signal-to group -- sleep 20 > out 2> "$LOG" 3>&- 9<&- &
    tracer=$!
    wait_for '[ -n "$(child_of $tracer)" ]'
    holdfast=$(child_of $tracer)
    wait_for '[ -n "$(child_of $holdfast)" ]'
    begun=${EPOCHREALTIME/./}
    kill -TERM "$holdfast"
    CODE=0
    wait "$tracer" || CODE=$?
    [ "$CODE" -eq 143 ]
    [ $((${EPOCHREALTIME/./} - begun)) -lt 10000000 ]
}
