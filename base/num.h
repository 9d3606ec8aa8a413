/* num.h - strict numbers, sizes and durations; sums and products that cannot wrap. Floor: base, pure. */
#ifndef HOLD_BASE_NUM_H
#define HOLD_BASE_NUM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each parser takes the whole terminated string or fails with code CONFIG and a sentence that quotes it: no leading
 * blank, no sign where none is meant, no trailing byte, no wrap. */

/* Decimal digits only. */
HOLD_MUST int hold_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, struct hold_err *err);
/* Decimal digits with an optional leading '-'. */
HOLD_MUST int hold_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value, struct hold_err *err);
/* Digits, one optional point, an optional exponent; finite. Independent of the locale. */
HOLD_MUST int hold_parse_f64(const char *text, double min, double max, double *ret_value, struct hold_err *err);
/* "4096", "64KiB", "1.5GiB", "20GB": K M G T are powers of 1000, Ki Mi Gi Ti of 1024, with or without B. */
HOLD_MUST int hold_parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes, struct hold_err *err);
/* "250ms", "1.5s", "10m", "2h"; a bare number is refused unless it is "0": the unit is part of the value. */
HOLD_MUST int hold_parse_ms(const char *text, uint64_t min, uint64_t max, uint64_t *ret_ms, struct hold_err *err);
/* "true" "false" "1" "0" "yes" "no" "on" "off", lower case. */
HOLD_MUST int hold_parse_bool(const char *text, bool *ret_value, struct hold_err *err);

/* Printing back in the form that the parser takes: "1.5s", "64KiB". out always terminated. */
void hold_format_ms(uint64_t ms, char *out, size_t out_bytes);
void hold_format_bytes(uint64_t bytes, char *out, size_t out_bytes);

/* False, with *ret untouched, when the result does not fit. */
HOLD_MUST static inline bool hold_mul_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
HOLD_MUST static inline bool hold_add_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
HOLD_MUST static inline bool hold_mul_size(size_t a, size_t b, size_t *ret) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
HOLD_MUST static inline bool hold_add_size(size_t a, size_t b, size_t *ret) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

#endif
