# tests: every tests/unit/test_*.c is one cmocka program, linked against every folder but the mains.
UNIT_LIB  := $(BUILD)/libhold-all.a
UNIT_TEST := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c)) \
             $(patsubst tests/property/%.c,$(BUILD)/tests/property/%,$(wildcard tests/property/prop_*.c)) \
             $(patsubst tests/kernels/%.c,$(BUILD)/tests/kernels/%,$(wildcard tests/kernels/test_*.c))

$(UNIT_LIB): $(BASE_OBJ) $(POLICY_OBJ) $(HOST_OBJ) $(filter-out %/main.o,$(JOB_OBJ)) $(RUNTIME_PARTS) $(KERNELS_OBJ) $(CJSON_OBJ)
	$(call say,AR,$@)rm -f $@; $(AR) rcs $@ $^

$(BUILD)/tests/%: tests/%.c $(UNIT_LIB) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -pie -MMD -MP -MF $@.d $< $(UNIT_LIB) $(UNIT_LIB) \
	    -lcmocka -lseccomp -lcap -lcurl -lcrypto -lmicrohttpd -ljpeg -lspng -lpthread -ldl -lm -o $@

# The tiny deterministic model of the golden tests, written by its own program: C library only.
$(BUILD)/tests/make-t: tests/helpers/make-t.c tests/helpers/t_model.h $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -pie $< -lm -o $@

units: $(UNIT_TEST) ## build and run the unit and property tests
	@sh tests/helpers/units.sh $(UNIT_TEST)
.PHONY: units
