/* replay.c - gives each file named on the command line, and a few hundred seeded mutations of it, to a fuzz target. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_BYTES = 1 << 20, MUTATIONS = 200 };

static uint64_t state;

static uint64_t next(void) {
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Exactly n bytes on the heap, so that a sanitizer sees one byte too many. */
static void give(const uint8_t *bytes, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void mutate(uint8_t *bytes, size_t *n) {
    for (uint64_t changes = next() % 4 + 1; changes && *n; changes--) {
        size_t at = next() % *n;
        switch (next() % 5) {
        case 0: bytes[at] ^= (uint8_t) (1 << next() % 8); break;
        case 1: bytes[at] = (uint8_t) next(); break;
        case 2: *n = at; break;
        case 3: memmove(bytes + at, bytes + at + 1, *n - at - 1); (*n)--; break;
        case 4: bytes[at] = (uint8_t) "\0\xff{}[]\",:0"[next() % 10]; break;
        }
    }
}

int main(int argc, char **argv) {
    static uint8_t bytes[MAX_BYTES], changed[MAX_BYTES];
    int n_files = 0;
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f)
            continue;
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        give(bytes, n);
        state = n * 1000003 + (uint64_t) i;
        for (int k = 0; k < (n > 65536 ? 5 : MUTATIONS); k++) {
            size_t m = n;
            memcpy(changed, bytes, n);
            mutate(changed, &m);
            give(changed, m);
        }
        n_files++;
    }
    printf("%d inputs\n", n_files);
    return n_files ? 0 : 1;
}
