#!/bin/busybox sh
# shellcheck shell=sh disable=SC1008
# The first program of the small machine: file systems, then holdfast takes its place as process 1 and runs guest.sh.
/bin/busybox --install -s /bin
mkdir -p /proc /sys /tmp /run /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
echo 1 > /proc/sys/kernel/print-fatal-signals
exec /bin/holdfast --state-dir /run/one --grace 5s -- sh /guest.sh
