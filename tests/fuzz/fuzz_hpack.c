/* fuzz_hpack.c - header blocks, several on one connection: decoding ends, fields are terminated and within their room, and the
 * table counts what it holds. Input: blocks, each behind two bytes of its length. */
#include "supervisor/policy/hpack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_table(const struct hold_hpack *h) {
    size_t bytes = 0;
    for (size_t i = 0; i < h->n_entries; i++)
        bytes += (size_t) h->entries[i].n_name + h->entries[i].n_value + 32;
    if (bytes != h->n_bytes || bytes > h->max_bytes || h->max_bytes > HOLD_HPACK_TABLE_BYTES || h->n_entries > HOLD_HPACK_ENTRIES)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_hpack table;
    static struct hold_hpack_field field;
    table = (struct hold_hpack) { .max_bytes = HOLD_HPACK_TABLE_BYTES };
    while (n >= 2) {
        size_t length = (size_t) data[0] << 8 | data[1], at = 0;
        data += 2;
        n -= 2;
        length = length < n ? length : n;
        uint8_t *block = malloc(length + 1);
        struct hold_err err = { 0 };
        int got;
        if (!block)
            return 0;
        memcpy(block, data, length);
        while ((got = hold_hpack_next(&table, block, length, &at, &field, &err)) > 0) {
            check_table(&table);
            if (at > length || field.n_name >= sizeof field.name || field.n_value >= sizeof field.value || field.name[field.n_name] || field.value[field.n_value])
                abort();
        }
        free(block);
        check_table(&table);
        if (got < 0 && err.text[0] == '\0')
            abort();
        if (got < 0)
            return 0; /* the connection is over */
        data += length;
        n -= length;
    }
    return 0;
}
