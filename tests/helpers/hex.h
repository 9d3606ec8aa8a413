/* hex.h - bytes written as hexadecimal digits, for tests. */
#ifndef HOLD_TESTS_HELPERS_HEX_H
#define HOLD_TESTS_HELPERS_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t hex_digit(char c) {
    return (uint8_t) (c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Returns how many bytes text has; blanks are passed over. */
static inline size_t hex_read(const char *text, uint8_t *out, size_t max) {
    size_t n = 0;
    for (; text[0] && text[1] && n < max; text++)
        if (text[0] != ' ') {
            out[n++] = (uint8_t) (hex_digit(text[0]) << 4 | hex_digit(text[1]));
            text++;
        }
    return n;
}

#endif
