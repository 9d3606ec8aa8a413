#!/bin/bash
# in.sh COMMAND...: runs a command where podman and buildah work also on hosts that mix cgroup v1 and v2 and lack
# CAP_SYS_RESOURCE: a mount namespace of its own without the bare v2 mount, limits no higher than the host's, cgroupfs,
# storage in HOLD_CONTAINERS (default build/containers). Needs root.
set -eu
if [ -z "${HOLD_IN_NAMESPACE:-}" ]; then
    HOLD_IN_NAMESPACE=1 exec unshare -m --propagation private bash "$0" "$@"
fi
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
store=${HOLD_CONTAINERS:-$PWD/build/containers}
mkdir -p "$store"
files=$(ulimit -Hn)
[ "$files" = unlimited ] || [ "$files" -gt 20000 ] && files=20000
cat > "$store/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "$store/networks"
CONF
cat > "$store/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$store/root"
runroot = "$store/run"
CONF
[ -e /etc/containers/policy.json ] || { mkdir -p /etc/containers; echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json; }
export CONTAINERS_CONF=$store/containers.conf CONTAINERS_STORAGE_CONF=$store/storage.conf
exec "$@"
