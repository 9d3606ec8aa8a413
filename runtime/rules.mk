# runtime: the model server. Roles front, engine and eval of one binary.
RUNTIME_PARTS := $(foreach d,wire plan weights text image serve model engine,$(call objects,runtime/$(d)))
RUNTIME_OBJ   := $(call objects,runtime)
RUNTIME       := $(BUILD)/libexec/holdfast-runtime
PROGRAMS      += $(RUNTIME)

$(RUNTIME): $(RUNTIME_OBJ) $(RUNTIME_PARTS) $(KERNELS_OBJ) $(BASE_OBJ) $(CJSON_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -pie $^ -lmicrohttpd -ljpeg -lspng -lpthread -ldl -lm -o $@

# The resize and the cut into patches are loops over rows of samples: worth vectorising.
CFLAGS_runtime_image_patch := -O3
