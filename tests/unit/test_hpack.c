/* test_hpack.c - header blocks: the RFC's own examples with an evicting table, every symbol of the code, and what breaks a rule. */
#include "tests/unit/test.h"

#include "supervisor/policy/hpack.h"
#include "tests/helpers/hex.h"

static struct hold_hpack table;
static struct hold_hpack_field field;

/* The fields of a block, one a line, into out; -1 when it is refused. */
static int decode(const char *hex, char *out, size_t max, struct hold_err *err) {
    uint8_t block[8192];
    const size_t n = hex_read(hex, block, sizeof block);
    size_t at = 0, used = 0;
    int got;
    out[0] = '\0';
    uint8_t *copy = malloc(n + 1); /* so that a read past the end is seen */
    assert_non_null(copy);
    memcpy(copy, block, n);
    while ((got = hold_hpack_next(&table, copy, n, &at, &field, err)) > 0)
        used += (size_t) snprintf(out + used, max - used, "%s: %s\n", field.name, field.value);
    free(copy);
    return got;
}

static void decodes_to(const char *hex, const char *fields, size_t table_bytes) {
    char text[2048];
    struct hold_err err = { 0 };
    if (decode(hex, text, sizeof text, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(text, fields);
    assert_int_equal(table.n_bytes, table_bytes);
}

#define FIRST "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n"
#define THIRD                                                                                                                              \
    ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\n" \
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n"

/* RFC 7541, C.5 and C.6: three answers on one connection with a table of 256 bytes, without and with Huffman. */
static void examples_of_the_rfc(void **unused) {
    (void) unused;
    table = (struct hold_hpack) { .max_bytes = 256 };
    decodes_to("4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c"
               "652e636f6d", ":status: 302\n" FIRST, 222);
    decodes_to("4803333037c1c0bf", ":status: 307\n" FIRST, 222);
    decodes_to("88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f504955"
               "41585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31", THIRD, 215);
    table = (struct hold_hpack) { .max_bytes = 256 };
    decodes_to("488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3", ":status: 302\n" FIRST,
               222);
    decodes_to("4883640effc1c0bf", ":status: 307\n" FIRST, 222);
    decodes_to("88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f95"
               "87316065c003ed4ee5b1063d5007", THIRD, 215);
}

static void every_byte_has_a_code(void **unused) {
    (void) unused;
    static const char coded[] =
        "ffc7fffd8fffffe2fffffe3fffffe4fffffe5fffffe6fffffe7fffffe8ffffeafffffff3fffffa7fffffabffffffdfffffebfffffecfff"
        "ffedfffffeefffffefffffff0ffffff1ffffff2fffffffbfffffcffffffd3fffffd7fffffdbfffffdffffffe3fffffe7fffffebfffffed"
        "4fe3f9ffaffcabf1febfafefe7fdfd2cbb00089969b71d79fb9f7fff20ffbff3ff50ddbd7f061c58f265cd9f469d5af66dddbf871e5f9c"
        "ff7ff7fffc3ff9ffe45fff4719242cb34e6e9d68a6a3d7dac426defe3cfaf7fffbfe7ffbffdffffffcfffe6ffff4bfff9ffffa3fffd3ff"
        "ff53fffd5ffffb3fffeb7fffdaffffb7ffff73fffeeffffdeffffebffffbfffffd9ffffdbfffebffffe0ffffeeffffc3ffff8bffff1fff"
        "fe4fffee7fffb1ffff97fffd9ffffcdffff9fffffbffffdafffeeffff4ffffb7fffee7fffe8ffffd3fffdeffffd5fffeeffffbdffffe1f"
        "ffdfffff7fffff5ffffecffff07fff87fffe0ffff17fffedffff87ffff77fffeffffeaffff8bfffe3ffff93ffff87fffcbffff37ffff1f"
        "ffff83ffffe1fffebfffe3ffff3fffff2ffffa3ffffd9fffff17ffffc7fffff27ffffdefffffbffffff2fffff8fffffb7fff97fff8ffff"
        "fe6fffffc1fffff87ffffe7fffffc5ffffe5fffe4ffff2fffffd1fffff4ffffffefffffe3fffffc9fffff97fffb3ffffcffffb7fffcdff"
        "ff4ffff9ffffd1ffffcffffeaffffafffffddffffeffffff4fffff5fffffabffffa7ffffd7fffff9bffffecfffffb7fffff3fffffe8fff"
        "ffd3fffffabfffff5fffffff7ffffecfffffdbfffffbbfffff7ffffff0fffffbbf";
    uint8_t bytes[700];
    char out[256];
    size_t n_out = 0;
    struct hold_err err = { 0 };
    const size_t n = hex_read(coded, bytes, sizeof bytes);
    assert_int_equal(hold_huffman_decode(bytes, n, out, sizeof out, &n_out, &err), 0);
    assert_int_equal(n_out, 256);
    for (int i = 0; i < 256; i++)
        assert_int_equal((uint8_t) out[i], i);
    n_out = 0;
    assert_int_equal(hold_huffman_decode(bytes, n, out, 10, &n_out, &err), 0); /* what does not fit is counted */
    assert_int_equal(n_out, 256);
}

static void padding_and_the_end_symbol_are_checked(void **unused) {
    (void) unused;
    static const struct { const char *hex; int rc; } rows[] = {
        { "", 0 }, { "1f", 0 } /* a, three ones */, { "18", -1 } /* a, zeros */, { "1fff", -1 } /* eight and more ones */, { "ffffffff", -1 }, { "fffffffc", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[8];
        char out[8];
        size_t n_out;
        struct hold_err err = { 0 };
        const size_t n = hex_read(rows[i].hex, bytes, sizeof bytes);
        if (hold_huffman_decode(bytes, n, out, sizeof out, &n_out, &err) != rows[i].rc)
            fail_msg("'%s': %s", rows[i].hex, err.text);
    }
}

static void what_breaks_a_rule_is_refused(void **unused) {
    (void) unused;
    static const char *const bad[] = {
        "80",                 /* index 0 */
        "be",                 /* an entry that is not there */
        "ff",                 /* an integer that is cut */
        "ffffffffffff7f",     /* one that is too large */
        "0003616263",         /* no value */
        "00036162",           /* a name that is cut */
        "4001610562",         /* a value that is cut */
        "3fe21f",             /* a table of 4,097 bytes */
        "0083ffffff0161",     /* a wrong code in a name */
        "007f8101",           /* a name of 256 bytes that are not there */
    };
    char text[1024];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hold_err err = { 0 };
        table = (struct hold_hpack) { .max_bytes = HOLD_HPACK_TABLE_BYTES };
        if (decode(bad[i], text, sizeof text, &err) >= 0 || err.text[0] == '\0')
            fail_msg("'%s' was taken as: %s", bad[i], text);
    }
}

static void the_table_stays_within_its_bound(void **unused) {
    (void) unused;
    uint8_t block[8192];
    struct hold_err err = { 0 };
    table = (struct hold_hpack) { .max_bytes = HOLD_HPACK_TABLE_BYTES };
    for (unsigned round = 0; round < 3000; round++) {
        const size_t n_value = round * 37 % 4200; /* some are larger than the table */
        size_t n = 0, at = 0;
        block[n++] = 0x40;
        block[n++] = 1;
        block[n++] = (uint8_t) ('a' + round % 26);
        if (n_value < 127) {
            block[n++] = (uint8_t) n_value;
        } else {
            block[n++] = 0x7f;
            block[n++] = (uint8_t) (0x80 | ((n_value - 127) & 0x7f));
            block[n++] = (uint8_t) ((n_value - 127) >> 7);
        }
        memset(block + n, (int) ('0' + round % 10), n_value);
        n += n_value;
        assert_int_equal(hold_hpack_next(&table, block, n, &at, &field, &err), 1);
        assert_true(table.n_bytes <= HOLD_HPACK_TABLE_BYTES && table.n_entries <= HOLD_HPACK_ENTRIES);
        if (n_value + 33 > HOLD_HPACK_TABLE_BYTES) {
            assert_int_equal(table.n_entries, 0);
            continue;
        }
        at = 0;
        const uint8_t newest = 0x80 | 62; /* it comes back as it was put in */
        assert_int_equal(hold_hpack_next(&table, &newest, 1, &at, &field, &err), 1);
        assert_int_equal(field.n_value, n_value);
        assert_true(field.name[0] == (char) ('a' + round % 26) && (n_value == 0 || field.value[n_value - 1] == (char) ('0' + round % 10)));
    }
}

#define T(name) cmocka_unit_test(name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(examples_of_the_rfc),
        T(every_byte_has_a_code),
        T(padding_and_the_end_symbol_are_checked),
        T(what_breaks_a_rule_is_refused),
        T(the_table_stays_within_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
