# kernels: contract headers, ref and cpu; kernels/cuda has rules of its own (make cuda).
KERNELS_OBJ := $(call objects,kernels) $(call objects,kernels/ref) $(call objects,kernels/cpu)

# The inner loops: each file for its own instruction set, entered only where the CPU has it; -O3 unrolls the tiles.
CFLAGS_kernels_cpu_plain := -O3
CFLAGS_kernels_cpu_neon := -O3
ifeq ($(ARCH),x86_64)
CFLAGS_kernels_cpu_avx2 := -O3 -mavx2 -mfma
CFLAGS_kernels_cpu_avx512 := -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
endif

include kernels/cuda/rules.mk
