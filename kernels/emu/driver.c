/* driver.c - an emulated device behind the CUDA driver's own calls. Floor: kernels/emu. Test part: a library that the
 * backend opens when a test names it; never installed, never chosen by itself.
 *
 * Launches run the host-built device functions by name. Device memory is one memfd, mapped once at a fixed range and
 * accessible only inside a call: a host that follows a device pointer gets SIGSEGV, as it would learn from a real GPU.
 * HOLDFAST_EMU_MEMORY (bytes, default 1 GiB) is the size of the device. */
#include "kernels/cuda/args.h"
#include "kernels/cuda/driver.h"
#include "kernels/emu/fibre.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { MOST_PIECES = 65536, PAGE = 4096 };

static char *device;           /* the range; NULL before init */
static size_t device_bytes;
static struct piece {
    size_t at, bytes; /* ascending, not overlapping, page multiples */
} pieces[MOST_PIECES];
static size_t n_pieces;

#define X(name, type) void hold_emu_##name(const void *argument);
HOLD_CU_KERNELS(X)
#undef X

static const struct {
    const char *name;
    void (*entry)(const void *);
} functions[] = {
#define X(name, type) { "hold_cu_" #name "_kernel", hold_emu_##name },
    HOLD_CU_KERNELS(X)
#undef X
};

static size_t used_end(void) {
    return n_pieces ? pieces[n_pieces - 1].at + pieces[n_pieces - 1].bytes : 0;
}

static void let(int protection) {
    if (used_end())
        mprotect(device, used_end(), protection);
}

static bool inside(CUdeviceptr data, size_t bytes) {
    size_t at = (size_t) data - (size_t) (uintptr_t) device;
    for (size_t i = 0; i < n_pieces; i++)
        if (at >= pieces[i].at && at + bytes <= pieces[i].at + pieces[i].bytes)
            return true;
    return false;
}

#define CALL(name, ...) \
    EXPORT CUresult name(__VA_ARGS__); \
    CUresult name(__VA_ARGS__)

CALL(cuInit, unsigned flags) {
    (void) flags;
    if (device)
        return CUDA_SUCCESS;
    const char *text = getenv("HOLDFAST_EMU_MEMORY");
    device_bytes = (text ? strtoull(text, NULL, 10) : (size_t) 1 << 30) / PAGE * PAGE;
    int fd = memfd_create("emulated-device", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t) device_bytes) < 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    void *range = mmap(NULL, device_bytes, PROT_NONE, MAP_SHARED, fd, 0);
    close(fd);
    if (range == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    device = range;
    return CUDA_SUCCESS;
}

CALL(cuDriverGetVersion, int *version) {
    *version = 13000;
    return CUDA_SUCCESS;
}

CALL(cuGetErrorString, CUresult error, const char **text) {
    *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : error == CUDA_ERROR_ILLEGAL_ADDRESS ? "an illegal memory access"
            : error == CUDA_SUCCESS           ? "no error"
                                              : "invalid argument";
    return CUDA_SUCCESS;
}

CALL(cuDeviceGetCount, int *count) {
    *count = 1;
    return CUDA_SUCCESS;
}

CALL(cuDeviceGet, CUdevice *ret_device, int ordinal) {
    *ret_device = ordinal;
    return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CALL(cuDeviceGetName, char *name, int bytes, CUdevice which) {
    (void) which;
    snprintf(name, (size_t) bytes, "emulated device");
    return CUDA_SUCCESS;
}

CALL(cuDeviceGetAttribute, int *value, int attribute, CUdevice which) {
    (void) which;
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 8 : 0;
    return CUDA_SUCCESS;
}

CALL(cuDevicePrimaryCtxRetain, CUcontext *context, CUdevice which) {
    (void) which;
    *context = (CUcontext) (void *) device;
    return CUDA_SUCCESS;
}

CALL(cuDevicePrimaryCtxRelease_v2, CUdevice which) {
    (void) which;
    return CUDA_SUCCESS;
}

CALL(cuCtxSetCurrent, CUcontext context) {
    return context == (CUcontext) (void *) device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CALL(cuModuleLoadData, CUmodule *module, const void *image) {
    (void) image;
    *module = (CUmodule) (uintptr_t) functions;
    return CUDA_SUCCESS;
}

CALL(cuModuleUnload, CUmodule module) {
    (void) module;
    return CUDA_SUCCESS;
}

CALL(cuModuleGetFunction, CUfunction *function, CUmodule module, const char *name) {
    (void) module;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strcmp(functions[i].name, name) == 0) {
            *function = (CUfunction) (uintptr_t) &functions[i];
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

CALL(cuLaunchKernel, CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
     unsigned block_z, unsigned shared_bytes, CUstream stream, void **arguments, void **extra) {
    (void) shared_bytes, (void) stream, (void) extra;
    if (grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_y > 65535 || grid_z > 65535 || block_x * block_y * block_z > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    void (*entry)(const void *);
    memcpy(&entry, (const char *) function + sizeof(char *), sizeof entry);
    let(PROT_READ | PROT_WRITE);
    hold_emu_run(entry, arguments[0], (struct hold_emu_point) { grid_x, grid_y, grid_z }, (struct hold_emu_point) { block_x, block_y, block_z });
    let(PROT_NONE);
    return CUDA_SUCCESS;
}

CALL(cuStreamCreate, CUstream *stream, unsigned flags) {
    (void) flags;
    *stream = (CUstream) (void *) device;
    return CUDA_SUCCESS;
}

CALL(cuStreamDestroy_v2, CUstream stream) {
    (void) stream;
    return CUDA_SUCCESS;
}

CALL(cuStreamSynchronize, CUstream stream) {
    (void) stream;
    return CUDA_SUCCESS;
}

CALL(cuMemGetInfo_v2, size_t *free_bytes, size_t *total_bytes) {
    size_t used = 0;
    for (size_t i = 0; i < n_pieces; i++)
        used += pieces[i].bytes;
    *free_bytes = device_bytes - used;
    *total_bytes = device_bytes;
    return CUDA_SUCCESS;
}

/* First fit, with one page between pieces so that an overrun by a little meets nothing of another's. */
CALL(cuMemAlloc_v2, CUdeviceptr *data, size_t bytes) {
    size_t want = (bytes + PAGE - 1) / PAGE * PAGE, at = 0, place = 0;
    if (bytes == 0 || want < bytes)
        return CUDA_ERROR_INVALID_VALUE;
    while (place < n_pieces && at + want + PAGE > pieces[place].at) {
        at = pieces[place].at + pieces[place].bytes + PAGE;
        place++;
    }
    if (at + want > device_bytes || n_pieces == MOST_PIECES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memmove(pieces + place + 1, pieces + place, (n_pieces - place) * sizeof pieces[0]);
    pieces[place] = (struct piece) { at, want };
    n_pieces++;
    *data = (CUdeviceptr) (uintptr_t) (device + at);
    return CUDA_SUCCESS;
}

CALL(cuMemFree_v2, CUdeviceptr data) {
    size_t at = (size_t) data - (size_t) (uintptr_t) device;
    for (size_t i = 0; i < n_pieces; i++)
        if (pieces[i].at == at) {
            mprotect(device + at, pieces[i].bytes, PROT_NONE);
            memmove(pieces + i, pieces + i + 1, (n_pieces - i - 1) * sizeof pieces[0]);
            n_pieces--;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

CALL(cuMemcpyHtoDAsync_v2, CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    (void) stream;
    if (!inside(to, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    let(PROT_READ | PROT_WRITE);
    memcpy((void *) (uintptr_t) to, from, bytes);
    let(PROT_NONE);
    return CUDA_SUCCESS;
}

CALL(cuMemcpyDtoHAsync_v2, void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    (void) stream;
    if (!inside(from, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    let(PROT_READ | PROT_WRITE);
    memcpy(to, (const void *) (uintptr_t) from, bytes);
    let(PROT_NONE);
    return CUDA_SUCCESS;
}

CALL(cuMemcpyDtoDAsync_v2, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    (void) stream;
    if (!inside(to, bytes) || !inside(from, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    let(PROT_READ | PROT_WRITE);
    memcpy((void *) (uintptr_t) to, (const void *) (uintptr_t) from, bytes);
    let(PROT_NONE);
    return CUDA_SUCCESS;
}

CALL(cuMemsetD8Async, CUdeviceptr data, unsigned char byte, size_t bytes, CUstream stream) {
    (void) stream;
    if (!inside(data, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    let(PROT_READ | PROT_WRITE);
    memset((void *) (uintptr_t) data, byte, bytes);
    let(PROT_NONE);
    return CUDA_SUCCESS;
}
