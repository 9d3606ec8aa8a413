#!/bin/sh
# deps.sh build|run|check|test|cluster: installs the Debian packages that the level needs and this machine lacks. As root it installs;
# as another user it says what is missing and fails only then.
set -eu
build="gcc make pkg-config dpkg-dev ca-certificates libc6-dev libseccomp-dev libcap-dev libcurl4-openssl-dev libssl-dev libmicrohttpd-dev libjpeg62-turbo-dev libspng-dev"
run="$build nginx-light curl python3"
check="$run g++ libcmocka-dev cppcheck shellcheck codespell"
test="$check clang clang-tidy bats openssl strace jq util-linux procps iproute2 \
    python3-venv tini dumb-init catatonit qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross busybox-static \
    podman buildah crun podman-compose containernetworking-plugins iptables debootstrap prometheus man-db qemu-system-x86 cpio musl-tools chromium chromium-driver fonts-dejavu-core"
cluster="etcd-server containerd runc containernetworking-plugins iptables iproute2 openssl bats podman buildah debootstrap python3-venv util-linux"
case ${1:-run} in
build) want=$build ;;
run) want=$run ;;
check) want=$check ;;
test) want=$test ;;
cluster) want=$cluster ;;
*) echo "deps.sh: build, run, check, test or cluster" >&2; exit 64 ;;
esac
missing=
for p in $want; do
    dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "holdfast: these Debian packages are missing:$missing" >&2
    echo "holdfast: install them as root:  apt-get install -y --no-install-recommends$missing" >&2
    exit 69
fi
echo "holdfast: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get -q update && apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-confold $missing; } > "$log" 2>&1; then
    tail -15 "$log" >&2
    echo "holdfast: installing failed; it needs a reachable Debian mirror" >&2
    exit 69
fi
rm -f "$log"
