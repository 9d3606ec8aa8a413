/* utf8.h - one UTF-8 sequence at a time. Floor: base, pure. */
#ifndef HOLD_BASE_UTF8_H
#define HOLD_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes (1 to 4) of the well-formed sequence at p with n bytes left; 0 when it is malformed (overlong, surrogate, above
 * U+10FFFF, stray continuation) or cut. Source: Unicode 15, table 3-7. */
static inline size_t hold_utf8_length(const unsigned char *p, size_t n) {
    if (n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* The code point of a well-formed sequence of the given length. */
static inline uint32_t hold_utf8_decode(const unsigned char *p, size_t length) {
    if (length == 1)
        return p[0];
    uint32_t code = p[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (p[i] & 0x3f);
    return code;
}

#endif
