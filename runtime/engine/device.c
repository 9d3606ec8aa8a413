/* device.c - which backend runs, opened. Floor: runtime/engine. */
#include "runtime/engine/device.h"

#include "base/buf.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN "lib/holdfast/libholdfast-cuda.so"

/* PREFIX is the parent of the folder of the running program. */
static int plugin_path(char *out, size_t out_bytes, struct hold_err *err) {
    char self[3072];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return hold_fail(err, HOLD_E_IO, 0, "cannot tell where this program lies, so not where %s is", PLUGIN);
    self[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = '\0';
    }
    if ((size_t) snprintf(out, out_bytes, "%s/%s", self, PLUGIN) >= out_bytes)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the path of %s is too long", PLUGIN);
    return 0;
}

/* The table of a plug-in. It stays loaded until the process ends: a backend may hold threads and driver state. */
static int open_plugin(const char *path, const struct hold_backend **ret, struct hold_err *err) {
    char own[4096];
    if (!path || !*path) {
        if (plugin_path(own, sizeof own, err) < 0)
            return -1;
        path = own;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return hold_fail(err, HOLD_E_DEVICE, 0, "open backend: %s", dlerror());
    const struct hold_backend *(*plugin)(void);
    void *symbol = dlsym(library, HOLD_BACKEND_PLUGIN);
    memcpy(&plugin, &symbol, sizeof plugin);
    const struct hold_backend *backend = plugin ? plugin() : NULL;
    if (!backend || backend->abi != HOLD_BACKEND_ABI) {
        int rc = hold_fail(err, HOLD_E_DEVICE, 0, "'%s' is no backend of this build (table %u, wanted %u)", path, backend ? backend->abi : 0,
                           HOLD_BACKEND_ABI);
        dlclose(library);
        return rc;
    }
    *ret = backend;
    return 0;
}

static int open_backend(const struct hold_backend *backend, const struct hold_device_wish *wish, struct hold_opened *ret, struct hold_err *err) {
    char error[HOLD_STREAM_ERROR_BYTES] = "";
    struct hold_device *device = NULL;
    if (backend->open(&wish->options, &device, error, sizeof error) < 0)
        return hold_fail(err, HOLD_E_DEVICE, 0, "%s: %s", backend->name, error);
    ret->backend = backend;
    ret->device = device;
    if (backend->stream_open(device, &ret->stream) < 0) {
        int rc = hold_fail(err, HOLD_E_DEVICE, 0, "%s: open a stream: %s", backend->name, ret->stream.error);
        backend->close(device);
        *ret = (struct hold_opened) { 0 };
        return rc;
    }
    backend->caps(device, &ret->caps);
    return 0;
}

int hold_device_open(const struct hold_device_wish *wish, struct hold_opened *ret, struct hold_err *err) {
    const char *name = wish->backend ? wish->backend : "auto";
    const struct hold_backend *backend;
    *ret = (struct hold_opened) { 0 };
    if (strcmp(name, "ref") == 0)
        return open_backend(&hold_backend_ref, wish, ret, err);
    if (strcmp(name, "cpu") == 0)
        return open_backend(&hold_backend_cpu, wish, ret, err);
    if (strcmp(name, "cuda") == 0)
        return open_plugin(wish->library, &backend, err) < 0 ? -1 : open_backend(backend, wish, ret, err);
    if (strcmp(name, "auto") != 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "there is no backend '%s'; auto, cuda, cpu and ref are known", name);
    struct hold_err why = { 0 };
    if (open_plugin(wish->library, &backend, &why) == 0 && open_backend(backend, wish, ret, &why) == 0)
        return 0;
    if (open_backend(&hold_backend_cpu, wish, ret, err) < 0)
        return -1;
    (void) snprintf(ret->why, sizeof ret->why, "%.*s", (int) sizeof ret->why - 1, why.text);
    return 0;
}

void hold_device_close(struct hold_opened *opened) {
    if (opened->backend) {
        opened->backend->stream_close(&opened->stream);
        opened->backend->close(opened->device);
    }
    *opened = (struct hold_opened) { 0 };
}
