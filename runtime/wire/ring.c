/* ring.c - the memory between front and engine. Floor: runtime/wire. */
#include "runtime/wire/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int hold_ring_open(int fd, bool is_writer, struct hold_ring *ret_ring, struct hold_err *err) {
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "ring: the descriptor is not a memfd");
    if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
        return hold_fail(err, HOLD_E_FORMAT, 0, "ring: the memfd is not sealed against shrinking and growing");

    struct stat st;
    if (fstat(fd, &st) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "ring: stat");
    if (st.st_size < (off_t) HOLD_RING_MIN_BYTES || st.st_size > (off_t) HOLD_RING_MAX_BYTES || st.st_size % 4096)
        return hold_fail(err, HOLD_E_LIMIT, 0, "ring: %jd bytes, wanted a multiple of 4096 from %u to %u", (intmax_t) st.st_size,
                         HOLD_RING_MIN_BYTES, HOLD_RING_MAX_BYTES);

    void *p = mmap(NULL, (size_t) st.st_size, is_writer ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return hold_fail(err, HOLD_E_IO, errno, "ring: map %jd bytes", (intmax_t) st.st_size);
    *ret_ring = (struct hold_ring) { .data = p, .bytes = (size_t) st.st_size, .is_writer = is_writer };
    return 0;
}

void hold_ring_close(struct hold_ring *ring) {
    if (ring->data)
        munmap(ring->data, ring->bytes);
    *ring = (struct hold_ring) { 0 };
}

/* Where a block of n bytes goes that is the next after head. The one rule, used by both ends. */
static uint64_t block_start(const struct hold_ring *ring, size_t n) {
    uint64_t start = (ring->head + HOLD_RING_ALIGN - 1) / HOLD_RING_ALIGN * HOLD_RING_ALIGN;
    size_t place = (size_t) (start % ring->bytes);
    if (n > ring->bytes - place)
        start += ring->bytes - place;
    return start;
}

int hold_ring_claim(struct hold_ring *ring, size_t n, uint64_t *ret_position, void **ret_data, struct hold_err *err) {
    if (!ring->data || !ring->is_writer)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "ring: claim on an end that cannot write");
    if (n == 0 || n > ring->bytes / 2)
        return hold_fail(err, HOLD_E_LIMIT, 0, "ring: a block of %zu bytes, the limit is %zu", n, ring->bytes / 2);
    uint64_t start = block_start(ring, n);
    if (start + n - ring->tail > ring->bytes)
        return hold_fail(err, HOLD_E_BUSY, 0, "ring: no room for %zu bytes", n);
    ring->head = start + n;
    *ret_position = start;
    *ret_data = ring->data + start % ring->bytes;
    return 0;
}

int hold_ring_gave(struct hold_ring *ring, uint64_t position, struct hold_err *err) {
    if (position < ring->tail || position > ring->head)
        return hold_fail(err, HOLD_E_FORMAT, 0, "ring: given back up to %ju, which is not between %ju and %ju",
                         (uintmax_t) position, (uintmax_t) ring->tail, (uintmax_t) ring->head);
    ring->tail = position;
    return 0;
}

int hold_ring_view(struct hold_ring *ring, uint64_t position, size_t n, const void **ret_data, struct hold_err *err) {
    if (!ring->data)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "ring: view on a closed end");
    if (n == 0 || n > ring->bytes / 2)
        return hold_fail(err, HOLD_E_FORMAT, 0, "ring: a block of %zu bytes, the limit is %zu", n, ring->bytes / 2);
    uint64_t start = block_start(ring, n);
    if (position != start)
        return hold_fail(err, HOLD_E_FORMAT, 0, "ring: a block at %ju, the next one is at %ju", (uintmax_t) position, (uintmax_t) start);
    ring->head = start + n;
    *ret_data = ring->data + start % ring->bytes;
    return 0;
}

uint64_t hold_ring_give(struct hold_ring *ring) {
    ring->tail = ring->head;
    return ring->tail;
}
