/* types.h - what every operation speaks of: element types, views with their shape, the stream. Floor: kernels; includes
 * the C library only. Knows no model, file or socket. */
#ifndef HOLD_KERNELS_TYPES_H
#define HOLD_KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_KERNEL_MUST __attribute__((warn_unused_result))

/* Element types. Zero is none of them, so that a forgotten view is refused. X(ID, "name", bytes). */
#define HOLD_DTYPE_LIST(X) \
    X(F32, "f32", 4)       \
    X(BF16, "bf16", 2)     \
    X(F16, "f16", 2)       \
    X(I32, "i32", 4)       \
    X(I8, "i8", 1) /* named so that it can be refused by name: no operation takes it yet */

enum hold_dtype {
    HOLD_DTYPE_NONE,
#define X(id, name, bytes) HOLD_##id,
    HOLD_DTYPE_LIST(X)
#undef X
    HOLD_DTYPE_COUNT
};

static inline size_t hold_dtype_bytes(enum hold_dtype dtype) {
    static const uint8_t bytes[HOLD_DTYPE_COUNT] = { 0,
#define X(id, name, n) n,
                                                     HOLD_DTYPE_LIST(X)
#undef X
    };
    return (unsigned) dtype < HOLD_DTYPE_COUNT ? bytes[dtype] : 0;
}

static inline const char *hold_dtype_name(enum hold_dtype dtype) {
    static const char *const names[HOLD_DTYPE_COUNT] = { "none",
#define X(id, name, n) name,
                                                         HOLD_DTYPE_LIST(X)
#undef X
    };
    return (unsigned) dtype < HOLD_DTYPE_COUNT ? names[dtype] : "?";
}

/* A matrix in the memory of a device: element (r, c) lies stride * r + c elements after data. data is an address of
 * the device: only where hold_caps.is_host is true may the host follow it. stride >= cols. data == NULL: absent (only
 * where a contract says "may be absent"). Aligned to its element at least; a kernel that wants more tests for it. */
struct hold_t2 {
    void *data;
    uint32_t rows, cols, stride;
    enum hold_dtype dtype;
};

static inline struct hold_t2 hold_t2_of(void *data, uint32_t rows, uint32_t cols, enum hold_dtype dtype) {
    return (struct hold_t2) { .data = data, .rows = rows, .cols = cols, .stride = cols, .dtype = dtype };
}

/* Rows first .. first + n - 1 of a view; the caller keeps first + n <= rows. */
static inline struct hold_t2 hold_t2_rows(struct hold_t2 t, uint32_t first, uint32_t n) {
    t.data = (char *) t.data + (size_t) first * t.stride * hold_dtype_bytes(t.dtype);
    t.rows = n;
    return t;
}

/* Columns first .. first + n - 1 of a view; the caller keeps first + n <= cols. */
static inline struct hold_t2 hold_t2_cols(struct hold_t2 t, uint32_t first, uint32_t n) {
    t.data = (char *) t.data + (size_t) first * hold_dtype_bytes(t.dtype);
    t.cols = n;
    return t;
}

struct hold_backend;
struct hold_device; /* each backend's own */

#define HOLD_STREAM_ERROR_BYTES 240

/* An ordered queue of work on one device. Operations on one stream happen one after the other; what one wrote, the next
 * reads. For one host thread. Made by hold_backend.stream_open. */
struct hold_stream {
    const struct hold_backend *ops;
    struct hold_device *device;
    void *queue; /* the backend's own */
    char error[HOLD_STREAM_ERROR_BYTES]; /* why the last call that returned -1 failed; "" before any did */
};

/* Writes the reason into s->error (cut to fit) and returns -1. */
__attribute__((format(printf, 2, 3))) int hold_stream_fail(struct hold_stream *s, const char *format, ...);

/* bf16 is the upper half of an f32; rounding to it is to nearest, ties to even; a NaN stays a NaN. */
static inline float hold_bf16_to_f32(uint16_t v) {
    union {
        uint32_t u;
        float f;
    } x = { .u = (uint32_t) v << 16 };
    return x.f;
}

static inline uint16_t hold_f32_to_bf16(float v) {
    union {
        float f;
        uint32_t u;
    } x = { .f = v };
    if ((x.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t) (x.u >> 16 | 0x40u);
    return (uint16_t) ((x.u + 0x7fffu + (x.u >> 16 & 1u)) >> 16);
}

/* IEEE half to f32, exact. */
static inline float hold_f16_to_f32(uint16_t v) {
    uint32_t sign = (uint32_t) (v & 0x8000u) << 16, exponent = v >> 10 & 31u, fraction = v & 0x3ffu;
    union {
        uint32_t u;
        float f;
    } x;
    if (exponent == 0) {
        x.f = (float) fraction * 0x1p-24f;
        x.u |= sign;
    } else if (exponent == 31) {
        x.u = sign | 0x7f800000u | fraction << 13;
    } else {
        x.u = sign | (exponent + 112u) << 23 | fraction << 13;
    }
    return x.f;
}

#endif
