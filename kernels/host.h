/* host.h - memory calls of a backend whose device is the host. Floor: kernels. Work is done when the call returns. */
#ifndef HOLD_KERNELS_HOST_H
#define HOLD_KERNELS_HOST_H

#include "kernels/backend.h"

/* Entries of struct hold_backend as they stand there. */
int hold_host_sync(struct hold_stream *s);
enum hold_fault hold_host_last_error(struct hold_stream *s);
int hold_host_alloc(struct hold_stream *s, size_t bytes, void **ret_data);
void hold_host_free(struct hold_stream *s, void *data);
int hold_host_copy(struct hold_stream *s, void *to, const void *from, size_t bytes);
int hold_host_fill(struct hold_stream *s, void *data, uint8_t byte, size_t bytes);
int hold_host_checksum(struct hold_stream *s, const void *data, size_t bytes, uint64_t *ret_sum);

#endif
