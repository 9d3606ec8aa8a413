/* golden.h - reading the golden files of tests/golden from the root of the tree. */
#ifndef HOLD_TESTS_HELPERS_GOLDEN_H
#define HOLD_TESTS_HELPERS_GOLDEN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A malloc'ed copy with a zero behind; ends the test program when the file is not there. */
__attribute__((unused)) static unsigned char *golden_read(const char *name, size_t *ret_n) {
    char path[512];
    snprintf(path, sizeof path, "tests/golden/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "golden file %s is not there; run from the root of the tree\n", path);
        exit(1);
    }
    fseek(f, 0, SEEK_END);
    *ret_n = (size_t) ftell(f);
    rewind(f);
    unsigned char *data = malloc(*ret_n + 1);
    if (fread(data, 1, *ret_n, f) != *ret_n)
        exit(1);
    fclose(f);
    data[*ret_n] = 0;
    return data;
}

__attribute__((unused)) static uint64_t golden_fnv(const void *data, size_t n) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *) data)[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* The same noise as make.py's. */
__attribute__((unused)) static unsigned char *golden_noise(size_t n, uint32_t seed) {
    unsigned char *data = malloc(n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (unsigned char) (seed >> 24);
    }
    return data;
}

/* Two hexadecimal digits a byte, up to the first character that is none; returns what follows. */
__attribute__((unused)) static const char *golden_hex(const char *text, char *out, size_t *ret_n) {
    size_t n = 0;
    unsigned value;
    while (sscanf(text, "%2x", &value) == 1 && text[0] != ' ' && text[1] != ' ') {
        out[n++] = (char) value;
        text += 2;
    }
    *ret_n = n;
    return text;
}

#endif
