# examples: make run is the whole product on the little model, in one command.
run: ## from a cold container to an answered request on this machine (ONCE=1: then end)
	@sh base/deps.sh run
	@$(MAKE) --no-print-directory -s -j$(CORES) all
	@BUILD='$(BUILD)' ONCE='$(ONCE)' bash examples/run.sh
