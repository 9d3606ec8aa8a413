/* host.c - memory calls of a backend whose device is the host. Floor: kernels. */
#include "kernels/host.h"

#include <stdlib.h>
#include <string.h>

int hold_host_sync(struct hold_stream *s) {
    (void) s;
    return 0;
}

enum hold_fault hold_host_last_error(struct hold_stream *s) {
    return s->error[0] ? HOLD_FAULT_CALL : HOLD_FAULT_NONE;
}

int hold_host_alloc(struct hold_stream *s, size_t bytes, void **ret_data) {
    size_t whole = (bytes + 255u) & ~(size_t) 255u;
    void *data = bytes > 0 && whole >= bytes ? aligned_alloc(256, whole) : NULL;
    if (!data)
        return hold_stream_fail(s, "alloc: %zu bytes of host memory cannot be had", bytes);
    *ret_data = data;
    return 0;
}

void hold_host_free(struct hold_stream *s, void *data) {
    (void) s;
    free(data);
}

int hold_host_copy(struct hold_stream *s, void *to, const void *from, size_t bytes) {
    (void) s;
    if (bytes > 0)
        memcpy(to, from, bytes);
    return 0;
}

int hold_host_fill(struct hold_stream *s, void *data, uint8_t byte, size_t bytes) {
    (void) s;
    memset(data, byte, bytes);
    return 0;
}

int hold_host_checksum(struct hold_stream *s, const void *data, size_t bytes, uint64_t *ret_sum) {
    (void) s;
    const unsigned char *at = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < (bytes + 7) / 8; i++) {
        uint64_t word = 0;
        size_t left = bytes - 8 * i;
        memcpy(&word, at + 8 * i, left < 8 ? left : 8);
        sum += hold_checksum_mix(word, i);
    }
    *ret_sum = sum;
    return 0;
}
