#!/bin/sh
# install.sh BUILD DEST SYSCONF PARTS: puts one relocatable prefix at DEST: programs, their loader and exactly the libraries they
# need, a CA bundle, licences, a list of all that (SPDX). Nothing in it names this machine, so DEST may be copied anywhere
# afterwards. PARTS: "supervisor" (process 1 and its jobs), "supervisor runtime".
set -eu
build=$1 dest=$2 sysconf=$3 parts=$4
strip=${STRIP:-strip}

programs='bin/holdfast' dynamic=
for part in $parts; do
    case $part in
    supervisor) name=holdfast-job ;;
    runtime) name=holdfast-runtime ;;
    *) echo "install: PARTS names '$part'; there are supervisor and runtime" >&2; exit 64 ;;
    esac
    programs="$programs bin/$name libexec/$name" dynamic="$dynamic $build/libexec/$name"
done
inside=$(mktemp) # "how package" of everything that is shipped
trap 'rm -f "$inside"' EXIT

if ! install -d "$dest" "$sysconf/holdfast" 2> /dev/null; then
    echo "install: '$dest' or '$sysconf/holdfast' cannot be made: be root, or set PREFIX= and SYSCONFDIR=, or DESTDIR=" >&2
    exit 73
fi
install -d "$dest/bin" "$dest/libexec" "$dest/lib" "$dest/share/holdfast/licences" "$sysconf/holdfast"
# What an earlier version brought and this one does not need must not stay behind.
find "$dest/lib" -maxdepth 1 -name '*.so*' -delete

# put SOURCE TARGET MODE: through a new file and a rename, so that a program that runs right now is not disturbed.
put() {
    install -m "$3" "$1" "$2.new"
    mv -f "$2.new" "$2"
}

for p in $programs; do
    put "$build/$p" "$dest/$p" 755
    "$strip" --strip-all "$dest/$p"
done
case " $parts " in *" runtime "*)
    install -d "$dest/lib/holdfast"
    for plugin in "$build"/lib/holdfast/*.so; do
        [ -e "$plugin" ] || continue
        put "$plugin" "$dest/lib/holdfast/$(basename "$plugin")" 644
        "$strip" --strip-unneeded "$dest/lib/holdfast/$(basename "$plugin")"
    done
    ;;
esac

# needs FILE...: path of each shared library and of the loader, one a line.
needs() {
    for f in "$@"; do
        # "name => /path (0x..)" for a library, "/path (0x..)" for the loader; a missing one must stop the install.
        ldd "$f" | awk -v f="$f" '
            /not found/ { print f ": " $1 " is not found" > "/dev/stderr"; bad = 1 }
            $2 == "=>" && $3 ~ /^\// { print $3 }
            $1 ~ /^\// { print $1 }
            END { exit bad }'
    done
}
libraries=$(needs $dynamic) # words

# What the C library opens by name at run time: name service (a stub in newer versions), resolver, thread exit.
libc=$(printf '%s\n' "$libraries" | grep '/libc\.so\.6$' | head -n 1)
for name in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2 libgcc_s.so.1; do
    [ -e "$(dirname "$libc")/$name" ] && libraries="$libraries
$(dirname "$libc")/$name"
done

printf '%s\n' "$libraries" | sort -u | while read -r library; do
    real=$(readlink -f "$library")
    put "$real" "$dest/lib/$(basename "$library")" 644
    case $library in
    */ld-linux-*) chmod 755 "$dest/lib/$(basename "$library")" ;; # it is executed, and its symbols serve debuggers
    *) "$strip" --strip-unneeded "$dest/lib/$(basename "$library")" ;;
    esac
    # The licence of each library that is shipped.
    package=$(dpkg -S "$real" 2>/dev/null || dpkg -S "$library" 2>/dev/null || :)
    package=$(printf '%s\n' "$package" | head -n 1 | cut -d: -f1)
    if [ -n "$package" ] && [ -e "/usr/share/doc/$package/copyright" ]; then
        put "/usr/share/doc/$package/copyright" "$dest/share/holdfast/licences/$package" 644
        echo "dynamic $package" >> "$inside"
    fi
done

put LICENSE "$dest/share/holdfast/licences/holdfast" 644
for package in libseccomp-dev libcap-dev libc6-dev; do # linked statically into bin/
    [ -e "/usr/share/doc/$package/copyright" ] && put "/usr/share/doc/$package/copyright" "$dest/share/holdfast/licences/${package%-dev}" 644
    echo "static $package" >> "$inside"
done
[ -e build/third/cjson/LICENSE ] && put build/third/cjson/LICENSE "$dest/share/holdfast/licences/cjson" 644

# Used by the fetch job when the image has no bundle of its own.
for bundle in "${HOLD_CA_BUNDLE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -n "$bundle" ] && [ -e "$bundle" ]; then
        put "$bundle" "$dest/share/holdfast/ca-certificates.crt" 644
        break
    fi
done
[ -e "$dest/share/holdfast/ca-certificates.crt" ] || {
    echo "install: no CA bundle on this machine: install ca-certificates, or set HOLD_CA_BUNDLE" >&2
    exit 1
}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)} sh base/sbom.sh "$parts" < "$inside" > "$dest/share/holdfast/sbom.spdx.json.new"
mv -f "$dest/share/holdfast/sbom.spdx.json.new" "$dest/share/holdfast/sbom.spdx.json"
