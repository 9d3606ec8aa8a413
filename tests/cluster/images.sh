#!/bin/bash
# images.sh DIR: the images of the cluster as archives in DIR: the CPU runtime as docker/Dockerfile makes it (the layers of the
# container tests are used again), the same with a server that misbehaves, a server without anything of ours, a mesh's proxy
# and the pause process. Needs root; ends with a reason on standard error.
set -eu
out=$1 base=localhost/holdfast-base:12
mkdir -p "$out/fake" "$out/foreign" "$out/pause" "$out/sidecar"
cp tests/cluster/fake/* build/release/tests/fake-server "$out/fake"
cp tests/cluster/foreign/* build/release/tests/fake-vllm "$out/foreign"
tar -C build/release/tests -cf "$out/pause/root.tar" pause
tar -C build/release/tests -cf "$out/sidecar/root.tar" sidecar

inside() { bash tests/container/in.sh "$@"; }
save() { inside podman save -q --format oci-archive -o "$out/$1.tar" "localhost/$2"; }
bud() { inside buildah bud --layers -q "$@"; }
all() {
    inside bash tests/container/base.sh $base &&
        inside make -s image IMAGE_TOOL=buildah IMAGE_TARGET=runtime-cpu IMAGE=holdfast-runtime:test IMAGE_FORMAT=oci BASE_IMAGE=$base IMAGE_FLAGS='--network host -q' &&
        bud --build-arg BASE=localhost/holdfast-runtime:test -t holdfast-fake:test "$out/fake" &&
        bud -t holdfast-foreign:test "$out/foreign" &&
        inside podman import -q -c 'ENTRYPOINT ["/pause"]' "$out/pause/root.tar" localhost/pause:1 &&
        inside podman import -q -c 'ENTRYPOINT ["/sidecar"]' "$out/sidecar/root.tar" localhost/sidecar:1 &&
        save runtime holdfast-runtime:test && save fake holdfast-fake:test && save foreign holdfast-foreign:test && save pause pause:1 && save sidecar sidecar:1
}
all > "$out/build.log" 2>&1 || { echo "building the images failed: $(tail -1 "$out/build.log")" >&2; exit 1; }
