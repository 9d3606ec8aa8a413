# image.bash - what the container tests share: the images under test and podman where it works. Sourced by bats files.
# shellcheck shell=bash

box() { bash tests/container/in.sh podman "$@"; }

# image TARGET NAME [FLAG...]: as `make image` builds it.
image() {
    local target=$1 name=$2
    shift 2
    bash tests/container/in.sh make -s image IMAGE_TOOL=buildah IMAGE_TARGET="$target" IMAGE="$name" IMAGE_FORMAT=oci BASE_IMAGE=localhost/holdfast-base:12 IMAGE_FLAGS="--network host -q $*"
}

# holdfast-runtime:docker: the same in the docker format, which alone has a place for the Dockerfile's HEALTHCHECK, without compiling again.
with_healthcheck() {
    mkdir -p "$BATS_FILE_TMPDIR/docker"
    { echo 'FROM localhost/holdfast-runtime:test'; grep '^HEALTHCHECK' docker/Dockerfile; } > "$BATS_FILE_TMPDIR/docker/Dockerfile"
    bash tests/container/in.sh buildah bud -q --format docker -t holdfast-runtime:docker "$BATS_FILE_TMPDIR/docker"
}
