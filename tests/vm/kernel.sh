#!/bin/sh
# kernel.sh: makes build/third/vm/vmlinuz, the kernel of Debian's cloud image, without installing it: the package is fetched,
# its signature is apt's business, and only the kernel is kept. A kernel of one's own: HOLD_VM_KERNEL. Says why when it cannot.
set -eu
cd "$(dirname "$0")/../.."
to=build/third/vm/vmlinuz
[ ! -s "$to" ] || exit 0
mkdir -p build/third/vm
if [ -n "${HOLD_VM_KERNEL:-}" ]; then cp "$HOLD_VM_KERNEL" "$to"; exit 0; fi
package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/^ *Depends: *//p' | head -1)
[ -n "$package" ] || { echo "no package linux-image-cloud-amd64 is known here"; exit 69; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -qq download "$package") > "$work/log" 2>&1 || { echo "$package cannot be fetched: $(tail -1 "$work/log")"; exit 69; }
dpkg -x "$work"/*.deb "$work/root"
cp "$work"/root/boot/vmlinuz-* "$to"
