#!/usr/bin/env bats
# What is told: by whom a message may come, the descriptor store, the socket that outlives the server, and whoever is above us.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() {
    story_setup
    TOOL="python3 $TOP/tests/helpers/notify_tool.py"
    python3 -c pass # pyenv and the like: the first start is slow
}
teardown() { story_teardown; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

state_of() { cut -d' ' -f3 "/proc/$1/stat" 2> /dev/null; }
# while_stopped PID COMMAND...: runs it while process 1 cannot look, so that what COMMAND leaves behind is all that there is to see.
while_stopped() {
    local pid=$1
    shift
    kill -STOP "$pid"
    wait_for "[ \"\$(state_of $pid)\" = T ]"
    "$@"
    kill -CONT "$pid"
}
speak() { touch go; wait_for '[ -e spoken ]'; }

@test "who speaks and ends at once, before process 1 looked, is believed: an orphan anywhere" {
    start --log-level info --ready notify --status-listen "" -- sh -c "until [ -e go ]; do sleep 0.05; done; ($FAKE --notify-once READY=1 &); sleep 0.3; touch spoken; exec sleep 60"
    wait_for '[ "$(n_ev spawn)" -eq 1 ]'
    while_stopped "$HOLD_PID" speak
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(n_ev warn believed)" -eq 0 ]
    kill "$HOLD_PID"
    finish
}

@test "and so is a shell's child that left no trace, in a namespace of our own, where nobody else is" {
    unshare --pid --fork --mount-proc true 2> /dev/null || skip "no PID namespace can be made here"
    unshare --pid --fork --mount-proc "$HOLD" --log-level info --ready notify --status-listen "" -- \
        sh -c "until [ -e go ]; do sleep 0.05; done; $FAKE --notify-once READY=1; touch spoken; exec sleep 60" > out 2> "$LOG" 3>&- 9<&- &
    local outer=$! one
    wait_for '[ "$(n_ev spawn)" -eq 1 ]'
    one=$(child_of "$outer")
    while_stopped "$one" speak
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(n_ev warn believed)" -eq 0 ]
    kill "$one"
    wait "$outer" || true
}

@test "who does not belong to the server is not believed, though it is gone without a trace, and the log says so" {
    start --log-level info --ready notify --status-listen "" --no-progress 30s -- sleep 60
    wait_for '[ -S state/notify ] && [ "$(n_ev spawn)" -eq 1 ]'
    for n in 1 2; do # at first one that is there to be looked at, then one that is not
        if [ "$n" -eq 1 ]; then NOTIFY_SOCKET=$D/state/notify python3 "$TOP/tests/helpers/notify_tool.py" say READY=1; else
            read -r -t 1.1 -u 9 || true # a warning a second
            while_stopped "$HOLD_PID" env "NOTIFY_SOCKET=$D/state/notify" "$FAKE" --notify-once READY=1
        fi
        wait_for "[ \"\$(n_ev warn 'is not believed')\" -ge $n ]"
        run -0 "$HOLD" status --json
        [[ "$output" == *'"phase":"loading"'* ]]
    done
    [ "$(n_ev ready)" -eq 0 ]
    kill "$HOLD_PID"
    finish
}

@test "systemd-notify itself is understood: readiness, status, and its barrier" {
    command -v systemd-notify > /dev/null || skip "systemd-notify is not installed (apt package systemd)"
    start --log-level info --ready notify --status-listen "" -- sh -c 'systemd-notify --ready --status="from systemd-notify" && echo "let go" && exec sleep 60'
    wait_for '[ "$(n_ev ready)" -eq 1 ] && grep -q "let go" out'
    run -0 "$HOLD" status --json
    [[ "$output" == *"from systemd-notify"* ]]
    kill "$HOLD_PID"
    finish
}

@test "a server that says a thousand things at once: the one that counts is not lost among them" {
    cat > server << 'X'
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
for i in range(500):
    s.send(b"WATCHDOG=1\nSTATUS=%d\nX_HOLDFAST_PROGRESS=%d/500" % (i, i + 1))
s.send(b"READY=1")
for i in range(500):
    s.send(b"WATCHDOG=1\nSTATUS=%d" % i)
time.sleep(600)
X
    start --log-level info --ready notify --status-listen "" --watchdog 1h -- python3 server
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(n_ev error)" -eq 0 ]
    kill "$HOLD_PID"
    finish
}

@test "sockets that whoever started us opened for the server (LISTEN_PID is ours) are the server's, in each life, before our own" {
    cat > above << 'X'
import os, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(5)
os.dup2(s.fileno(), 3)
s.close()
os.environ.update(LISTEN_PID=sys.argv[1] if sys.argv[1] != "us" else str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.argv[2], sys.argv[2:])
X
    cat > server << 'X'
import os, socket
print(os.environ.get("LISTEN_FDS"), os.environ.get("LISTEN_FDNAMES"), os.environ.get("LISTEN_PID") == str(os.getpid()),
      socket.socket(fileno=3).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), flush=True)
os._exit(3)
X
    run -3 --separate-stderr python3 above us "$HOLD" --listen 127.0.0.1:0 --restart on-failure --restart-budget 1 --restart-delay 1ms -- python3 server
    [ "$output" = $'2 web:api True 1\n2 web:api True 1' ]
    run -3 --separate-stderr python3 above 1 "$HOLD" -- python3 server # meant for somebody else
    [ "$output" = "None None False 1" ]
}

@test "the store: several under one name, the same one once, REMOVE, and each life gets them back in order" {
    cat > server << 'X'
$TOOL fds
if [ -e again ]; then exec sleep 60; fi
touch again
$TOOL say 'FDSTORE=1\nFDNAME=first' 2 memfd
$TOOL say 'FDSTORE=1\nFDNAME=gone' 1 memfd
$TOOL say 'FDSTORE=1\nFDNAME=twice' 2 same 1 &
$TOOL say 'FDSTORE=1\nFDNAME=bad:name' 1 memfd
$TOOL say 'FDSTOREREMOVE=1\nFDNAME=:'
$TOOL say 'FDSTOREREMOVE=1\nFDNAME=gone'
$TOOL say 'FDSTORE=1\nFDNAME=plan' 1 memfd
sleep 1
exit 3
X
    export TOOL
    start --log-level info --ready notify --status-listen "" --restart on-failure --restart-delay 5ms -- sh server
    wait_for '[ "$(grep -c names out)" -eq 2 ]' 30
    cat out
    grep -q "^names  n 0" out
    # the pipe's writer ended with the life, so only what has no other end is left
    grep -q "^names first:first:stored n 3" out
    kill "$HOLD_PID"
    finish
    [ "$(n_ev store '"what":"dropped')" -eq 1 ]
    [ "$(n_ev store 'is not a name')" -eq 2 ] # stored without it, and nothing removed
}

@test "the store is bounded, a dead descriptor leaves it, and FDPOLL=0 keeps even that" {
    cat > server << 'X'
$TOOL fds
[ ! -e again ] || exec sleep 60
touch again
$TOOL say 'FDSTORE=1\nFDNAME=dead' 1 pipe-dead
$TOOL say 'FDSTORE=1\nFDNAME=kept\nFDPOLL=0' 1 pipe-dead
for i in 1 2 3 4 5 6 7; do $TOOL say "FDSTORE=1\nFDNAME=n$i" 1 memfd; done
exit 3
X
    export TOOL
    start --log-level info --ready notify --status-listen "" --restart on-failure --restart-delay 200ms -- sh server
    wait_for '[ "$(grep -c names out)" -eq 2 ]' 30
    cat out
    grep -q "^names kept:n1:n2:n3:n4:n5 n 6" out
    ev store;     [ "$(n_ev store 'that is the limit')" -eq 2 ]
    local before
    before=$(find "/proc/$HOLD_PID/fd" | wc -l)
    [ "$before" -lt 40 ]
    kill "$HOLD_PID"
    finish
}

@test "the listening socket through ten crashes: a client that asks all the time is never refused" {
    port=$(free_port)
    start --log-level info --restart on-failure --restart-delay 20ms --restart-cap 200ms --restart-budget 50 --listen "127.0.0.1:$port" -- "$FAKE" --fd --crash-on /crash --code 1
    wait_for "curl -sf -m 10 -o /dev/null http://127.0.0.1:$port/health"
    python3 - "$port" > asked << 'X' &
import socket, sys, time
refused = asked = 0
until = time.monotonic() + 60
while asked < 400 and time.monotonic() < until:
    try:
        s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)
        s.sendall(b'GET /other HTTP/1.1\r\nHost: x\r\n\r\n')
        s.settimeout(20)
        try:
            s.recv(100)
        except OSError:
            pass  # taken by the life that crashed
        s.close()
    except ConnectionRefusedError:
        refused += 1
    asked += 1
    time.sleep(0.01)
print(refused, asked)
X
    local client=$!
    for n in $(seq 10); do
        curl -s -m 10 -o /dev/null "http://127.0.0.1:$port/crash" || true
        wait_for "[ \"\$(n_ev spawn)\" -ge $((n + 1)) ]"
    done
    wait "$client"
    cat asked
    [ "$(cut -d' ' -f1 asked)" -eq 0 ]
    [ "$(cut -d' ' -f2 asked)" -ge 100 ]
    kill "$HOLD_PID"
    finish
}

@test "EXTEND_TIMEOUT_USEC puts the no-progress time off, and no further" {
    cat > server << 'X'
$TOOL say 'EXTEND_TIMEOUT_USEC=1500000'
echo extended
exec sleep 60
X
    export TOOL
    start --log-level info --ready notify --status-listen "" --no-progress 1s --restart never -- sh server
    wait_for 'grep -q extended out'
    extended=$((${EPOCHREALTIME/./} / 1000))
    finish
    took=$((${EPOCHREALTIME/./} / 1000 - extended))
    echo "$took ms"
    [ "$CODE" -eq 111 ]
    [ "$took" -ge 1300 ]
}

@test "whoever is above us is told: READY=1 once, WATCHDOG=1 at half the interval while the loop turns, STOPPING=1 before the child's TERM" {
    $TOOL listen @above-$$ 60 > told 3>&- 9<&- &
    local listener=$!
    wait_for 'grep -q bound told'
    NOTIFY_SOCKET=@above-$$ WATCHDOG_USEC=400000 start --log-level info --ready "exec:test -e ready" --status-listen "" --health-backoff 20ms --health-period 20ms -- "$FAKE" --drain-ms 300
    wait_for '[ "$(grep -c WATCHDOG=1 told)" -ge 3 ]'
    [ "$(grep -c READY=1 told)" -eq 0 ]
    touch ready
    wait_for 'grep -q READY=1 told'
    # between two pings lies no more than the interval, and about half of it (median)
    wait_for '[ "$(grep -c WATCHDOG=1 told)" -ge 14 ]'
    gap=$(awk '/WATCHDOG=1/ { if (last) print $1 - last; last = $1 }' told | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
    echo "median gap $gap ms"
    [ "$gap" -ge 150 ] && [ "$gap" -le 300 ]
    # a loop that stands says nothing: that is what it is for
    kill -STOP "$HOLD_PID"
    wait_for "[ \"\$(cut -d' ' -f3 /proc/$HOLD_PID/stat)\" = T ]"
    n=$(grep -c WATCHDOG=1 told)
    read -r -t 1 -u 9 || true
    [ "$(grep -c WATCHDOG=1 told)" -le $((n + 1)) ]
    kill -CONT "$HOLD_PID"
    wait_for "[ \"\$(grep -c WATCHDOG=1 told)\" -ge $((n + 2)) ]"
    kill "$HOLD_PID"
    wait_for 'grep -q STOPPING=1 told'
    finish
    kill "$listener"
    [ "$(grep -c READY=1 told)" -eq 1 ]
    [ "$(grep -c STOPPING=1 told)" -eq 1 ]
}

@test "a WATCHDOG_USEC that is for another process is not ours to answer, and an idle holdfast with one still sleeps" {
    $TOOL listen @above-$$ 20 > told 3>&- 9<&- &
    local listener=$!
    wait_for 'grep -q bound told'
    NOTIFY_SOCKET=@above-$$ WATCHDOG_USEC=100000 WATCHDOG_PID=1 start -- sleep 30
    wait_for 'grep -q READY=1 told'
    read -r -t 0.5 -u 9 || true
    [ "$(grep -c WATCHDOG=1 told)" -eq 0 ]
    kill "$HOLD_PID" "$listener"
    finish
}
