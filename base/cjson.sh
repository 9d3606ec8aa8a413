#!/bin/sh
# cjson.sh DIR: cJSON's source in DIR/cjson, from the Debian source package with Debian's security patches applied.
# Works without root: apt is given folders of its own. Needs apt-get, dpkg-source (dpkg-dev) and a package mirror.
set -eu
third=$1
work=$third/cjson.work
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/state" "$work/parts"
: > "$work/src.list"
: > "$work/status"
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$f" ] && sed -n 's/^deb \(.*bookworm.*main.*\)/deb-src \1/p' "$f" | grep -vi -e node -e docker -e sdk >> "$work/src.list" || :
done
for f in /etc/apt/sources.list.d/*.sources; do
    [ -f "$f" ] && grep -qi debian "$f" && sed 's/^Types:.*/Types: deb-src/' "$f" > "$work/parts/$(basename "$f")" || :
done
here=$(cd "$work" && pwd)
apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$here/src.list" -o Dir::Etc::sourceparts="$here/parts" -o Dir::State="$here/state" \
        -o Dir::State::lists="$here/lists" -o Dir::State::status="$here/status" -o Dir::Cache="$here/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" "$@"
}
if ! { apt update && (cd "$work" && apt source --download-only cjson) && (cd "$work" && dpkg-source --no-check -x cjson_*.dsc src > /dev/null); } > "$work/log" 2>&1; then
    sed 's/^/    /' "$work/log" | tail -5 >&2
    echo "cjson: its Debian source package could not be fetched; needs apt-get, dpkg-dev and a reachable package mirror" >&2
    exit 1
fi
mkdir -p "$third/cjson"
cp "$work/src/cJSON.h" "$third/cjson/"
cp "$work/src/cJSON.c" "$work/src/LICENSE" "$third/cjson/"
rm -rf "$work"
