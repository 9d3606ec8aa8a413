/* driver.c - opens the CUDA driver. Floor: kernels/cuda, C. */
#include "kernels/cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int hold_driver_open(const char *library, struct hold_driver *ret_driver, char *error, size_t error_bytes) {
    const char *name = library && *library ? library : "libcuda.so.1";
    struct hold_driver driver = { .library = dlopen(name, RTLD_NOW | RTLD_LOCAL) };
    if (!driver.library) {
        snprintf(error, error_bytes, "no CUDA driver: %s", dlerror());
        return -1;
    }
    void *call;
#define X(field, symbol, parameters)                                                         \
    call = dlsym(driver.library, symbol);                                                    \
    if (!call) {                                                                             \
        snprintf(error, error_bytes, "the CUDA driver '%s' has no call %s: too old", name, symbol); \
        return -1;                                                                           \
    }                                                                                        \
    memcpy(&driver.field, &call, sizeof call);
    HOLD_DRIVER_CALLS(X)
#undef X
    *ret_driver = driver;
    return 0;
}

const char *hold_driver_error(const struct hold_driver *driver, CUresult error) {
    const char *text = NULL;
    if (driver->error_string(error, &text) != CUDA_SUCCESS || !text)
        return "an unknown error";
    return text;
}
