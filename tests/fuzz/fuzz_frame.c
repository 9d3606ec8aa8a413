/* fuzz_frame.c - frames from both sides, and the ring positions that they carry. What parses must be writable again, to the same bytes. */
#include "runtime/wire/frame.h"
#include "runtime/wire/ring.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned char memory[HOLD_RING_MIN_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_frame f;
    static unsigned char again[HOLD_FRAME_MAX_BYTES];
    size_t m;

    for (int from_front = 0; from_front < 2; from_front++) {
        if (hold_frame_parse(data, n, from_front, &f, NULL) < 0)
            continue;
        if (hold_frame_put(&f, again, &m, NULL) < 0 || m != n || memcmp(again, data, n) != 0)
            abort();
        struct hold_ring reader = { .data = memory, .bytes = sizeof memory }, writer = { .data = memory, .bytes = sizeof memory, .is_writer = true };
        const void *view;
        if (f.kind == HOLD_FRAME_PATCHES && hold_ring_view(&reader, f.patches.position, f.patches.bytes, &view, NULL) == 0 &&
            ((const unsigned char *) view < memory || (const unsigned char *) view + f.patches.bytes > memory + sizeof memory))
            abort();
        if (f.kind == HOLD_FRAME_GAVE && hold_ring_gave(&writer, f.gave.position, NULL) == 0 && f.gave.position != 0)
            abort();
    }
    return 0;
}
