# docker: the images, built by buildah or docker on the base named by BASE_IMAGE.
#   make image                                   holdfast-runtime:VERSION, on the CPU
#   make image IMAGE_TARGET=holdfast             /opt/holdfast alone; IMAGE_TARGET=runtime-cuda with the GPU plug-in
# One time stamp, that of the commit, on every file. In the oci format and without old layers (IMAGE_FORMAT=oci
# IMAGE_FLAGS=--no-cache) the same commit on the same base has the same digest; the docker format notes the build container's name
# beside it, and is the only one that has a place for HEALTHCHECK.
IMAGE_FORMAT ?= docker
BASE_IMAGE   ?= debian:12-slim
IMAGE_TARGET ?= runtime-cpu
IMAGE        ?= $(subst holdfast-holdfast,holdfast,holdfast-$(subst -cpu,,$(IMAGE_TARGET))):$(VERSION)
IMAGE_SOURCE ?= unknown# where the sources are to be had, for the label
IMAGE_TOOL   ?= $(shell command -v buildah || command -v docker)
IMAGE_TIME    = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2> /dev/null),0)
IMAGE_ARGS    = --build-arg BASE=$(BASE_IMAGE) --build-arg SOURCE='$(strip $(IMAGE_SOURCE))' --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=$(IMAGE_TIME) \
    --build-arg REVISION=$(or $(shell git rev-parse HEAD 2> /dev/null),unknown) --build-arg CREATED=$(shell date -u -d @$(IMAGE_TIME) +%Y-%m-%dT%H:%M:%SZ)

image: $(CJSON_C) ## build an image (IMAGE_TARGET=holdfast|runtime-cpu|runtime-cuda, BASE_IMAGE=..., buildah or docker)
	@[ -n '$(IMAGE_TOOL)' ] || { echo 'holdfast: neither buildah nor docker is on PATH (as root: apt-get install buildah)' >&2; exit 69; }
	$(IMAGE_TOOL) $(if $(findstring buildah,$(IMAGE_TOOL)),bud --layers --format $(IMAGE_FORMAT) --timestamp $(IMAGE_TIME),build) -f docker/Dockerfile $(IMAGE_ARGS) $(IMAGE_FLAGS) --target $(IMAGE_TARGET) -t $(IMAGE) .
.PHONY: image
