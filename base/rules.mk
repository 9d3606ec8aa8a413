# base: neutral ground. cJSON is built from its Debian source package, since the package itself has no static library.
BASE_OBJ := $(call objects,base)
CJSON_C  := $(THIRD)/cjson/cJSON.c
CJSON_OBJ := $(BUILD)/third/cJSON.o

$(CJSON_C):
	$(call say,FETCH,cjson source package)sh base/cjson.sh $(THIRD)

$(CJSON_OBJ): $(CJSON_C) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) -DCJSON_NESTING_LIMIT=64 $(filter-out -W%,$(CFLAGS)) -w -c $< -o $@

$(BUILD)/base/json.o $(BUILD)/base/json_scan.o: CPPFLAGS += -I$(THIRD)/cjson
$(BUILD)/base/json.o: | $(CJSON_C)
