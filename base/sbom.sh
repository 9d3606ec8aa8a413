#!/bin/sh
# sbom.sh PARTS: what the installed prefix is made of, as SPDX 2.3 JSON on standard output. Input: lines "dynamic PACKAGE" and
# "static PACKAGE", Debian packages. The same input gives the same bytes; the time is SOURCE_DATE_EPOCH (seconds).
set -eu
parts=$1
version=$(cat VERSION)
created=$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%dT%H:%M:%SZ)
arch=$(dpkg --print-architecture)

# how, package, version, source package: one line each, in one order.
list=$(sort -u | while read -r how package; do
    dpkg-query -W -f "$how"'\t${Package}\t${Version}\t${source:Package}\n' "$package" | head -n 1
done)
id=$(printf '%s %s %s\n%s\n' "$version" "$parts" "$arch" "$list" | sha256sum | cut -c1-32)
bundle=$(dpkg-query -W -f '${Version}' ca-certificates 2> /dev/null || echo NOASSERTION)
cjson=$(sed -n 's/^#define CJSON_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\)$/\2/p' build/third/cjson/cJSON.h | paste -sd.)

# package ID NAME VERSION PURL LICENCE
package() {
    printf '    {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,\n' "$1" "$2" "$3"
    printf '     "licenseConcluded": "NOASSERTION", "licenseDeclared": "%s", "copyrightText": "NOASSERTION",\n' "$5"
    printf '     "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "%s"}]}' "$4"
}
relation() { printf ',\n    {"spdxElementId": "SPDXRef-holdfast", "relatedSpdxElement": "SPDXRef-%s", "relationshipType": "%s"}' "$2" "$1"; }

printf '{\n  "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "holdfast-%s",\n' "$version"
printf '  "documentNamespace": "https://spdx.org/spdxdocs/holdfast-%s-%s",\n' "$version" "$id"
printf '  "creationInfo": {"created": "%s", "creators": ["Tool: holdfast-install-%s"]},\n  "packages": [\n' "$created" "$version"
package holdfast holdfast "$version" "pkg:generic/holdfast@$version" Apache-2.0
printf ',\n'
package cjson cJSON "$cjson" "pkg:generic/cjson@$cjson" MIT
printf ',\n'
package ca-certificates ca-certificates "$bundle" "pkg:deb/debian/ca-certificates@$bundle?arch=all" NOASSERTION
printf '%s\n' "$list" | while read -r how name v source; do
    printf ',\n'
    package "$how-$name" "$name" "$v" "pkg:deb/debian/$name@$(printf %s "$v" | sed 's/+/%2B/g; s/:/%3A/g')?arch=$arch&upstream=$source" NOASSERTION
done
printf '\n  ],\n  "relationships": [\n    {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-holdfast", "relationshipType": "DESCRIBES"}'
relation STATIC_LINK cjson
relation CONTAINS ca-certificates
printf '%s\n' "$list" | while read -r how name v source; do
    case $how in static) relation STATIC_LINK "$how-$name" ;; *) relation DYNAMIC_LINK "$how-$name" ;; esac
done
printf '\n  ]\n}\n'
