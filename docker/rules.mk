# docker: the images, built by buildah or docker on the base named by BASE.
BASE_IMAGE ?= debian:12-slim
IMAGE_TOOL ?= $(shell command -v buildah || command -v docker)

image: $(CJSON_C) ## build the runtime-cpu image (BASE_IMAGE=..., buildah or docker)
	$(IMAGE_TOOL) $(if $(findstring buildah,$(IMAGE_TOOL)),bud,build) -f docker/Dockerfile --build-arg BASE=$(BASE_IMAGE) --target runtime-cpu -t holdfast-runtime:$(VERSION) .
.PHONY: image
