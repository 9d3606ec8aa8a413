# kernels: contract headers, ref and cpu; kernels/cuda has rules of its own (make cuda).
KERNELS_OBJ := $(call objects,kernels) $(call objects,kernels/ref) $(call objects,kernels/cpu)

include kernels/cuda/rules.mk
