#!/bin/bash
# run.sh [FILE.bats...] | run.sh -- COMMAND...: the stories of tests/cluster on a real Kubernetes of one node, TAP on standard
# output; or COMMAND there (`-- bash` to look around). Each test is skipped with the reason where the cluster cannot be had.
# Everything runs in namespaces of its own and ends with them; HOLD_KEEP=DIR keeps the logs of the node there.
set -u
cd "$(dirname "$0")/../.." || exit 1
files=(tests/cluster/*.bats)
[ $# -eq 0 ] || [ "$1" = -- ] || files=("$@")

# cannot REASON: every test counts as skipped.
cannot() {
    echo "cluster: $1" >&2
    sed -nE 's/^@test "([^"]*)".*/\1/p' "${files[@]}" | while IFS= read -r name; do echo "ok $name # skip $1"; done
    exit 0
}

[ "$(id -u)" -eq 0 ] || cannot 'needs root'
unshare -nmpf --mount-proc true 2> /dev/null || cannot 'needs network, mount and process namespaces'
D=$(mktemp -d /tmp/hold-node.XXXX)
cgroup=${D##*/}
log=$D/tools.log
# shellcheck disable=SC2329 # called by the trap
finish() {
    local _
    [ -z "${HOLD_KEEP:-}" ] || { mkdir -p "$HOLD_KEEP" && cp "$D"/*.log "$HOLD_KEEP"; }
    for _ in 1 2 3 4 5; do
        find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2> /dev/null
        [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$cgroup")" ] || break
        sleep 1
    done
    rm -rf --one-file-system "$D"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
sh base/deps.sh cluster 2> "$log" >&2 || cannot "$(tail -1 "$log")"
bin=$(bash tests/cluster/tools.sh 2> "$log") || cannot "$(tail -1 "$log")"
bash tests/cluster/images.sh "$D/images" 2> "$log" || cannot "$(tail -1 "$log")"

# The pods' cgroups have a parent of this run's own.
for controller in /sys/fs/cgroup/*/; do
    { [ -e "$controller/cgroup.procs" ] && [ "${controller%/}" != /sys/fs/cgroup/unified ]; } || continue
    mkdir -p "$controller$cgroup"
    for f in cpuset.cpus cpuset.mems; do [ ! -e "$controller$f" ] || cat "$controller$f" > "$controller$cgroup/$f"; done
done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mkdir -p "/sys/fs/cgroup/$cgroup"; fi

if [ "${1:-}" = -- ]; then
    shift
else
    set -- bats --formatter tap "${files[@]}"
fi
timeout --foreground "${HOLD_CLUSTER_SECONDS:-1500}" \
    unshare --net --mount --propagation private --pid --fork --kill-child=KILL --mount-proc bash tests/cluster/node.sh "$D" "$bin" "$cgroup" "$@"
