# examples: make run is the whole product on the little model, in one command.
run: ## from a cold container to an answered request on this machine (ONCE=1: then end)
	@sh base/deps.sh run
	@$(MAKE) --no-print-directory -s -j$(CORES) all
	@BUILD='$(BUILD)' ONCE='$(ONCE)' bash examples/run.sh

# The server of examples/vllm-shaped, built with the product so that the example needs no compiler; the cluster's foreign image holds it too.
$(BUILD)/tests/fake-vllm: examples/vllm-shaped/fake-vllm.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(HELPER_LDFLAGS) $< -o $@
PROGRAMS += $(BUILD)/tests/fake-vllm
