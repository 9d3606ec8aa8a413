# supervisor: process 1 (static where possible) and its errands (holdfast-job, relocatable through its own loader).
POLICY_OBJ := $(call objects,supervisor/policy)
HOST_OBJ   := $(call objects,supervisor/host)
JOB_OBJ    := $(call objects,supervisor/job)
SUP_OBJ    := $(call objects,supervisor)

HOLDFAST   := $(BUILD)/bin/holdfast
JOB        := $(BUILD)/libexec/holdfast-job
LAUNCH     := $(BUILD)/bin/holdfast-job $(BUILD)/bin/holdfast-runtime
PROGRAMS   += $(HOLDFAST) $(JOB) $(LAUNCH)

$(HOLDFAST): $(SUP_OBJ) $(HOST_OBJ) $(POLICY_OBJ) $(BASE_OBJ) $(CJSON_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $(if $(STATIC),-static-pie,-pie) $^ -lseccomp -lcap -lm -o $@

$(JOB): $(JOB_OBJ) $(POLICY_OBJ) $(call objects,runtime/plan) $(call objects,runtime/weights) $(call objects,runtime/text) $(BASE_OBJ) $(CJSON_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -pie $^ -lcurl -lcrypto -lpthread -ldl -lm -o $@

# One small static program under two names: finds the prefix from its own place and goes through the prefix's loader.
$(LAUNCH): $(BUILD)/supervisor/launch/launch.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) $(if $(STATIC),-static-pie,-pie) $^ -o $@

# The status page as bytes: od and sed are everywhere, and so the build needs no other program for it.
$(BUILD)/gen/status_page.h: supervisor/host/page.html
	@mkdir -p $(@D)
	$(call say,GEN,$@){ echo 'static const unsigned char hold_status_page[] = {'; od -An -v -tu1 $< | sed 's/^ *//; s/  */,/g; s/$$/,/'; echo '};'; } > $@
$(BUILD)/supervisor/host/status.o: $(BUILD)/gen/status_page.h
