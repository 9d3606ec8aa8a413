#!/bin/bash
# base.sh IMAGE: a Debian 12 image with the build packages, made by debootstrap from the mirror that this machine uses (images
# can be pulled nowhere in a test), kept as a tar file in the cache folder. Run inside in.sh.
set -eu
image=$1
if podman image exists "$image"; then exit 0; fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
tar=$cache/base-bookworm.tar
mkdir -p "$cache"
if [ ! -s "$tar" ]; then
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null | grep -vi -e security -e nodesource -e docker -e sdk |
        sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm .*/\2/p' | head -1)
    packages=$(sed -n 's/^build="\(.*\)"$/\1/p' base/deps.sh | tr ' ' ,)
    root=$(mktemp -d)
    debootstrap --variant=minbase --include="$packages" bookworm "$root" "$mirror" > "$cache/debootstrap.log" 2>&1 || { tail -5 "$cache/debootstrap.log" >&2; exit 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    tar -C "$root" -c . -f "$tar.new"
    mv "$tar.new" "$tar"
    rm -rf "$root"
fi
podman import -q "$tar" "$image" > /dev/null
