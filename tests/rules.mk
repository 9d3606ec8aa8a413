# tests: every tests/{unit,property,kernels}/*.c is one cmocka program, every tests/fuzz/fuzz_*.c one fuzz target; all are
# linked against every folder but the mains.
CORES := $(shell nproc 2>/dev/null || echo 2)
UNIT_LIB  := $(BUILD)/libhold-all.a
UNIT_LIBS := -lcmocka -lseccomp -lcap -lcurl -lcrypto -lmicrohttpd -ljpeg -lspng -lpthread -ldl -lm
UNIT_TEST := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c tests/property/prop_*.c tests/kernels/test_*.c))
FUZZ_TEST := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
# Programs that stand in a story beside the product (fake server and the like); each has its own rule or this one.
HELPERS   := $(patsubst tests/helpers/%.c,$(BUILD)/tests/%,$(wildcard tests/helpers/*.c))

$(UNIT_LIB): $(BASE_OBJ) $(POLICY_OBJ) $(HOST_OBJ) $(filter-out %/main.o,$(JOB_OBJ)) $(RUNTIME_PARTS) $(KERNELS_OBJ) $(CJSON_OBJ)
	$(call say,AR,$@)rm -f $@; $(AR) rcs $@ $^

$(UNIT_TEST): $(BUILD)/%: %.c $(UNIT_LIB) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -pie -MMD -MP -MF $@.d $< $(UNIT_LIB) $(UNIT_LIBS) -o $@

# Measurements; `make bench` runs them.
BENCH_TEST := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
$(BENCH_TEST): $(BUILD)/%: %.c $(UNIT_LIB) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -pie -MMD -MP -MF $@.d $< $(UNIT_LIB) $(UNIT_LIBS) -o $@

# Without a fuzzer a target reads its corpus through replay.c; VARIANT=fuzz builds it under libFuzzer.
FUZZ_MAIN = $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer,tests/fuzz/replay.c)
$(FUZZ_TEST): $(BUILD)/%: %.c tests/fuzz/replay.c $(UNIT_LIB) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes $(LDFLAGS) -pie -MMD -MP -MF $@.d $< $(FUZZ_MAIN) $(UNIT_LIB) $(UNIT_LIBS) -o $@

# A helper is built from the C library alone unless its own rule says otherwise.
$(HELPERS): $(BUILD)/tests/%: tests/helpers/%.c $(wildcard tests/helpers/*.h) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(HELPER_LDFLAGS) $< $(HELPER_LIBS) -lm -o $@
$(BUILD)/tests/make-t: HELPER_LDFLAGS := -pie
# inbox is the sandbox itself around any program.
INBOX_OBJ := $(addprefix $(BUILD)/supervisor/,host/sandbox.o host/sandbox_seen.o host/seccomp.o host/caps.o policy/sandbox_plan.o policy/sandbox_grants.o \
             policy/sandbox_env.o) $(addprefix $(BUILD)/base/,err.o buf.o num.o)
$(BUILD)/tests/inbox: $(INBOX_OBJ)
$(BUILD)/tests/inbox: HELPER_LIBS := $(INBOX_OBJ) -lseccomp -lcap
$(BUILD)/tests/escape: HELPER_LIBS := -lpthread
# make-plan stands in for the verify job where front and engine are started by hand.
$(BUILD)/tests/make-plan: $(UNIT_LIB)
$(BUILD)/tests/make-plan: HELPER_LIBS := $(UNIT_LIB)
# driven-clock is holdfast with a clock that a test sets: all of it but base/clock.o.
CLOCKED_OBJ := $(SUP_OBJ) $(HOST_OBJ) $(POLICY_OBJ) $(filter-out %/base/clock.o,$(BASE_OBJ)) $(CJSON_OBJ)
$(BUILD)/tests/driven-clock: $(CLOCKED_OBJ)
$(BUILD)/tests/driven-clock: HELPER_LIBS := $(CLOCKED_OBJ) -lseccomp -lcap
# tok-encode stands beside another tokenizer.
$(BUILD)/tests/tok-encode: $(UNIT_LIB)
$(BUILD)/tests/tok-encode: HELPER_LIBS := $(UNIT_LIB)
HELPER_LDFLAGS ?= $(if $(STATIC),-static-pie,-pie)

units: $(UNIT_TEST) emu ## build and run the unit, property and kernel tests
	@sh tests/helpers/units.sh $(UNIT_TEST)

fuzz-programs: $(FUZZ_TEST)
unit-programs: $(UNIT_TEST) $(FUZZ_TEST)
test-programs: unit-programs $(BENCH_TEST) $(HELPERS) emu

check-programs: all test-programs
	@$(MAKE) -s -j$(CORES) VARIANT=asan unit-programs

check: ## units, lint, fuzz corpora: no network, no root, no GPU (but for packages that are missing)
	@sh base/deps.sh check
	@$(MAKE) --no-print-directory -j$(CORES) all test-programs
	@bash tests/run.sh check

test: ## everything that needs no GPU: check, sanitizers, stories, containers (installs what it needs)
	@sh base/deps.sh test
	@$(MAKE) --no-print-directory -j$(CORES) check-programs
	@bash tests/run.sh test

test-cluster: all $(addprefix $(BUILD)/tests/,pause sidecar fake-server fake-vllm) ## the chart on a real Kubernetes of one node (root; installs and builds what it needs)
	@bash tests/run.sh cluster

soak: ## the long runs: thousands of seeds, fuzzing
	@sh base/deps.sh test
	@$(MAKE) --no-print-directory -j$(CORES) check-programs
	@bash tests/run.sh soak

fuzz: ## every parser under libFuzzer for FUZZ_SECONDS (60) each
	@sh tests/fuzz/fuzz.sh

sabotage: all test-programs ## planted faults in process 1: each must turn the test that it names red
	@bash tests/sabotage/run.sh

lint: ## the house rules, shellcheck, codespell, cppcheck
	@bash tests/run.sh lint

check-gpu: all cuda $(BUILD)/tests/kernels/test_cuda ## the kernel table and golden numbers on a real GPU
	@sh tests/kernels/gpu.sh '$(BUILD)'

layers: ## includes go down only, as ARCHITECTURE.md says
	@python3 tests/lint/lint.py layers

bench: all test-programs ## paired measurements with the peers a user would pick
	@sh base/deps.sh test
	@bash tests/bench/run.sh

# arm64: what needs no library of that architecture: base, policy and kernels with their tests (a main of our own, no cmocka).
ARM64_OBJ  := $(BASE_OBJ) $(POLICY_OBJ) $(KERNELS_OBJ) $(call objects,runtime/plan) $(call objects,runtime/model) \
              $(BUILD)/runtime/engine/load.o $(BUILD)/runtime/engine/fit.o $(BUILD)/runtime/engine/slots.o $(CJSON_OBJ)
ARM64_TEST := $(patsubst %.c,$(BUILD)/tests/arm64/%,$(notdir $(wildcard tests/unit/test_base.c tests/unit/test_json.c tests/unit/test_forward.c tests/kernels/test_cpu.c)))
$(BUILD)/libhold-arm64.a: $(ARM64_OBJ)
	$(call say,AR,$@)rm -f $@; $(AR) rcs $@ $^
$(BUILD)/tests/arm64/%: $(BUILD)/libhold-arm64.a $(wildcard tests/unit/*.[ch] tests/kernels/*.[ch] tests/helpers/*.h)
	@mkdir -p $(@D)
	$(call say,CC,$*)$(CC) $(CPPFLAGS) $(CFLAGS) -DHOLD_SMALL_CMOCKA $(wildcard tests/unit/$*.c tests/kernels/$*.c) $(BUILD)/libhold-arm64.a -static -lpthread -lm -o $@
arm64-programs: $(ARM64_TEST)

.PHONY: units test-cluster fuzz-programs unit-programs test-programs check-programs arm64-programs
