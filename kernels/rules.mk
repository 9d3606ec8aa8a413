# kernels: contract headers, ref and cpu. kernels/cuda has its own rules when it comes (make cuda).
KERNELS_OBJ := $(call objects,kernels) $(call objects,kernels/ref) $(call objects,kernels/cpu)
