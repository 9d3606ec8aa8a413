/* driver.h - the CUDA driver's calls, declared here and opened by dlopen: no toolkit is needed to build this, and a machine
 * without a driver loads nothing. Floor: kernels/cuda, C.
 *
 * Names, numbers and signatures are the driver API's own (CUDA Toolkit documentation, "CUDA Driver API", 13.0); the
 * versioned symbols (_v2) are those that its header maps the plain names to. */
#ifndef HOLD_KERNELS_CUDA_DRIVER_H
#define HOLD_KERNELS_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef unsigned long long CUdeviceptr;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_ECC_UNCORRECTABLE = 214,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700, /* from here to 719: the context is lost */
    CUDA_ERROR_LAUNCH_FAILED = 719,
    CUDA_ERROR_UNKNOWN = 999,
    CU_STREAM_NON_BLOCKING = 1,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
};

/* X(field, symbol, parameters) */
#define HOLD_DRIVER_CALLS(X)                                                                                            \
    X(init, "cuInit", (unsigned flags))                                                                                 \
    X(driver_version, "cuDriverGetVersion", (int *version))                                                             \
    X(error_string, "cuGetErrorString", (CUresult error, const char **text))                                            \
    X(device_count, "cuDeviceGetCount", (int *count))                                                                   \
    X(device_get, "cuDeviceGet", (CUdevice *device, int ordinal))                                                       \
    X(device_name, "cuDeviceGetName", (char *name, int bytes, CUdevice device))                                         \
    X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, CUdevice device))                           \
    X(context_retain, "cuDevicePrimaryCtxRetain", (CUcontext *context, CUdevice device))                                \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                                               \
    X(context_set, "cuCtxSetCurrent", (CUcontext context))                                                              \
    X(module_load, "cuModuleLoadData", (CUmodule * module, const void *image))                                          \
    X(module_unload, "cuModuleUnload", (CUmodule module))                                                               \
    X(module_function, "cuModuleGetFunction", (CUfunction * function, CUmodule module, const char *name))               \
    X(launch, "cuLaunchKernel", (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
                                 unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void **arguments, \
                                 void **extra))                                                                         \
    X(stream_create, "cuStreamCreate", (CUstream * stream, unsigned flags))                                             \
    X(stream_destroy, "cuStreamDestroy_v2", (CUstream stream))                                                          \
    X(stream_sync, "cuStreamSynchronize", (CUstream stream))                                                            \
    X(memory_info, "cuMemGetInfo_v2", (size_t *free_bytes, size_t *total_bytes))                                        \
    X(memory_alloc, "cuMemAlloc_v2", (CUdeviceptr *data, size_t bytes))                                                 \
    X(memory_free, "cuMemFree_v2", (CUdeviceptr data))                                                                  \
    X(copy_in, "cuMemcpyHtoDAsync_v2", (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))               \
    X(copy_out, "cuMemcpyDtoHAsync_v2", (void *to, CUdeviceptr from, size_t bytes, CUstream stream))                    \
    X(copy, "cuMemcpyDtoDAsync_v2", (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))                  \
    X(fill, "cuMemsetD8Async", (CUdeviceptr data, unsigned char byte, size_t bytes, CUstream stream))

struct hold_driver {
    void *library;
#define X(field, symbol, parameters) CUresult(*field) parameters;
    HOLD_DRIVER_CALLS(X)
#undef X
};

/* Opens the library (NULL: libcuda.so.1) and finds every call. -1 with a sentence in error when it is not there or lacks
 * one. The library stays open for the life of the process: drivers do not survive being closed. */
int hold_driver_open(const char *library, struct hold_driver *ret_driver, char *error, size_t error_bytes);
/* The driver's own words for an error; never NULL. */
const char *hold_driver_error(const struct hold_driver *driver, CUresult error);

#endif
