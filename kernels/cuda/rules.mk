# kernels/cuda: the GPU plug-in (make cuda) and, for tests, the same host code over the emulated device.
CUDA_SM      := 80 86 89 90 100 120
CUDA_KIT     := build/cuda-toolkit
CUDA_WHEELS  := nvidia-cuda-nvcc nvidia-cuda-crt nvidia-cuda-runtime nvidia-cuda-cccl nvidia-nvvm
CUDA_PLUGIN  := $(BUILD)/lib/holdfast/libholdfast-cuda.so
CUDA_C       := $(wildcard kernels/cuda/*.c)
CUDA_CU      := $(wildcard kernels/cuda/*.cu)
CUDA_HEADERS := $(wildcard kernels/*.h kernels/cuda/*.h kernels/cuda/*.cuh kernels/emu/*.h)
CUDA_CFLAGS   = $(filter-out -fPIE,$(CFLAGS)) -fPIC -fvisibility=hidden

# nvcc from PATH, else from the toolkit's wheels, which make cuda installs into build/ (0.4 GB, no root).
NVCC = $(or $(shell command -v nvcc),$(wildcard $(CUDA_KIT)/nvidia/cu13/bin/nvcc))
NVCC_INCLUDE = $(if $(findstring $(CUDA_KIT),$(NVCC)),-I $(CUDA_KIT)/nvidia/cu13/include -I $(CUDA_KIT)/nvidia/cu13/include/cccl)

cuda: ## build the GPU plug-in (nvcc from PATH or from the toolkit's wheels)
	@sh kernels/cuda/toolkit.sh '$(CUDA_KIT)' $(CUDA_WHEELS)
	@$(MAKE) --no-print-directory $(CUDA_PLUGIN)

# All device functions in one module, for every architecture, and PTX of the newest for those to come.
$(BUILD)/gen/holdfast.fatbin: $(CUDA_CU) $(CUDA_HEADERS)
	@mkdir -p $(@D)
	@[ -n '$(NVCC)' ] || { echo 'holdfast: no nvcc on PATH nor in $(CUDA_KIT): run make cuda' >&2; exit 1; }
	@printf '#include "%s"\n' $(CUDA_CU) > $(@D)/holdfast.cu
	$(call say,NVCC,$@)$(NVCC) -std=c++20 -O3 -I. $(NVCC_INCLUDE) --threads 2 -fatbin \
	    $(foreach sm,$(CUDA_SM),-gencode arch=compute_$(sm),code=sm_$(sm)) \
	    -gencode arch=compute_$(lastword $(CUDA_SM)),code=compute_$(lastword $(CUDA_SM)) $(@D)/holdfast.cu -o $@

$(CUDA_PLUGIN): $(CUDA_C) kernels/cuda/fatbin.S $(BUILD)/gen/holdfast.fatbin $(CUDA_HEADERS) $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CPPFLAGS) $(CUDA_CFLAGS) $(LDFLAGS) -shared -DHOLD_FATBIN='"$(BUILD)/gen/holdfast.fatbin"' \
	    $(CUDA_C) kernels/cuda/fatbin.S -ldl -o $@

# ---- test part: the emulated device ----
EMU_PLUGIN := $(BUILD)/tests/libholdfast-cuda.so
EMU_DRIVER := $(BUILD)/tests/libholdfast-emu-driver.so
CXX_HOST   ?= $(CROSS)g++
EMU_OBJ     = $(patsubst kernels/cuda/%.cu,$(BUILD)/emu/%.o,$(CUDA_CU)) $(patsubst kernels/emu/%.c,$(BUILD)/emu/%.o,$(wildcard kernels/emu/*.c))

# The plug-in without device code.
$(EMU_PLUGIN): $(CUDA_C) kernels/cuda/fatbin.S $(CUDA_HEADERS) $(BUILD)/.flags
	@mkdir -p $(@D) $(BUILD)/gen
	@printf '\0' > $(BUILD)/gen/none.fatbin
	$(call say,LINK,$@)$(CC) $(CPPFLAGS) $(CUDA_CFLAGS) $(LDFLAGS) -shared -DHOLD_FATBIN='"$(BUILD)/gen/none.fatbin"' \
	    $(CUDA_C) kernels/cuda/fatbin.S -ldl -o $@

# Fibres switch by longjmp between stacks, which fortify and sanitizers take for a fault.
EMU_FLAGS := -O2 -g -fPIC -fvisibility=hidden -U_FORTIFY_SOURCE -ffp-contract=off -I.
$(BUILD)/emu/%.o: kernels/cuda/%.cu $(CUDA_HEADERS)
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX_HOST) -x c++ -std=gnu++20 -Wall -Wextra $(EMU_FLAGS) -include kernels/emu/emu.h -c $< -o $@
$(BUILD)/emu/%.o: kernels/emu/%.c $(CUDA_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CROSS)gcc $(CSTD) -Wall -Wextra -D_GNU_SOURCE $(EMU_FLAGS) -c $< -o $@
$(EMU_DRIVER): $(EMU_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CXX_HOST) -shared $^ -lm -o $@

emu: $(EMU_PLUGIN) $(EMU_DRIVER)
.PHONY: cuda emu
