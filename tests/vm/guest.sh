# shellcheck shell=sh
# guest.sh: runs under holdfast as process 1 of a whole machine and prints its findings between marks, for 24_machine.bats.
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
echo 0 > /proc/sys/vm/panic_on_oom

# group NAME OOM_GROUP: a cgroup as a kubelet makes it.
group() {
    mkdir -p "/sys/fs/cgroup/$1"
    echo 64M > "/sys/fs/cgroup/$1/memory.max"
    echo "$2" > "/sys/fs/cgroup/$1/memory.oom.group"
}

# A server that needs more than there is, unless it was started on the lower rung.
cat > /tmp/big.json << EOF
{"servers": {"engine": {"command": ["/bin/fake-server", "--eat-memory", "200000000"],
  "ladder": [{"name": "small-batch", "env": ["BATCH=1"], "args": ["--eat-memory", "1000000", "--say", "on a lower rung"]}]}}}
EOF

# inside NAME STATE: process 1 of a container whose cgroup is NAME.
inside() {
    sh -c "echo \$\$ > /sys/fs/cgroup/$1/cgroup.procs; exec /bin/holdfast run --config /tmp/big.json --preflight=false --sandbox off \
        --listen '' --status-listen '' --restart-delay 5ms --state-dir /run/$2 --termination-log /run/$2.message \
        --log-level info --log-format json" > "/run/$2.out" 2>&1
}
until_has() { # FILE TEXT: for ten seconds
    n=0
    until grep -q "$2" "$1" 2> /dev/null || [ $n -ge 500 ]; do n=$((n + 1)); usleep 20000; done
}
show() {
    echo "== $1"
    cat "$2" 2> /dev/null
    echo "== end"
}

group all 1
inside all a
echo "all: first ended with $?"
show all-first /run/a.out
show all-events /sys/fs/cgroup/all/memory.events
: > /run/a.out
inside all a &
second=$!
until_has /run/a.out 'on a lower rung'
until_has /run/a.out '"ev":"ready"'
show all-second /run/a.out
HOLDFAST_STATE_DIR=/run/a /bin/holdfast status --json > /tmp/status
show all-status /tmp/status
kill -TERM "$(pidof holdfast | tr ' ' '\n' | grep -vx 1 | head -1)"
wait $second
echo "all: second ended with $?"

group one 0
inside one b &
third=$!
until_has /run/b.out 'on a lower rung'
show one /run/b.out
show one-events /sys/fs/cgroup/one/memory.events
kill -TERM "$(pidof holdfast | tr ' ' '\n' | grep -vx 1 | head -1)"
wait $third
echo "one: ended with $?"

mkdir -p /arena
chmod 777 /arena
for profile in engine-cpu front foreign; do
    /bin/inbox --grant R:/bin --report --uid 65532 $profile /arena -- /bin/escape > /tmp/escape 2>&1
    echo "escape $profile: status $?"
    show "escape-$profile" /tmp/escape
done

# Orphans of a whole machine, then the end: the kernel says with which code its process 1 went.
( (sh -c 'sleep 0.3 &') ; (sh -c 'sleep 0.1 &') )
usleep 600000
echo "zombies: $(ps -o stat | grep -c '^Z')"
show cmdline /proc/1/cmdline
sync
exit 42
