/* test_grpc.c - answers that real gRPC servers gave, cut anywhere, and a peer that does what HTTP/2 allows and what it forbids. */
#include "tests/unit/test.h"

#include "supervisor/policy/grpc.h"
#include "tests/helpers/hex.h"

/* As grpcio 1.85 (literals, PING, WINDOW_UPDATE) and grpclib with hpack (Huffman) answered. */
#define GRPCIO_SERVING                                                                                                     \
    "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f0001000000040100000000"   \
    "0000040800000000000000000500000806000000000021847539055f054100004e01040000000188400c636f6e74656e742d7479706510"   \
    "6170706c69636174696f6e2f677270634014677270632d6163636570742d656e636f64696e67176964656e746974792c206465666c6174"   \
    "652c20677a69700000070000000000010000000002080100001e010500000001400b677270632d7374617475730130000c677270632d6d"   \
    "65737361676500"
#define GRPCIO_NOT_SERVING                                                                                                 \
    "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f0001000000040100000000"   \
    "000004080000000000000000080000080600000000003494141ba1368a2200004e01040000000188400c636f6e74656e742d7479706510"   \
    "6170706c69636174696f6e2f677270634014677270632d6163636570742d656e636f64696e67176964656e746974792c206465666c6174"   \
    "652c20677a69700000070000000000010000000002080200001e010500000001400b677270632d7374617475730130000c677270632d6d"   \
    "65737361676500"
#define GRPCIO_NOT_FOUND                                                                                                   \
    "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f0001000000040100000000"   \
    "0000040800000000000000000b00000806000000000006849cdf541df19100004e01040000000188400c636f6e74656e742d7479706510"   \
    "6170706c69636174696f6e2f677270634014677270632d6163636570742d656e636f64696e67176964656e746974792c206465666c6174"   \
    "652c20677a6970000005000000000001000000000000001e010500000001400b677270632d7374617475730135000c677270632d6d6573"   \
    "7361676500"
#define GRPCLIB_NOT_SERVING                                                                                                \
    "00002a04000000000000010000100000020000000000040000ffff00050000400000080000000000030000006400060001000000000408"   \
    "0000000000003f0001000006040000000000000400400000000000040100000000000013010400000001885f901d75d0620d263d4c4d65"   \
    "64ff75d8749f0000070000000000010000000002080200000c01050000000140889acac8b21234da8f8107"
#define GRPCLIB_NOT_FOUND                                                                                                  \
    "00002a04000000000000010000100000020000000000040000ffff00050000400000080000000000030000006400060001000000000408"   \
    "0000000000003f000100000604000000000000040040000000000004010000000000001f010500000001885f901d75d0620d263d4c4d65"   \
    "64ff75d8749f40889acac8b21234da8f816f"

static struct hold_grpc g;
static uint8_t peer[200000];
static size_t n_peer;

/* The peer says what is in `peer`, in pieces; what we send meanwhile is taken at once, its bytes counted. */
static size_t talk(const char *service, size_t piece, bool closes) {
    size_t sent = 0;
    hold_grpc_begin(&g, "127.0.0.1:50051", service);
    g.n_out = 0;
    for (size_t at = 0; at < n_peer; at += piece) {
        hold_grpc_feed(&g, peer + at, n_peer - at < piece ? n_peer - at : piece);
        sent += g.n_out;
        g.n_out = 0;
    }
    if (closes)
        hold_grpc_end(&g);
    return sent;
}

static void says(const char *hex) {
    n_peer = hex_read(hex, peer, sizeof peer);
}

static void frame(uint8_t type, uint8_t flags, uint32_t stream, const char *hex) {
    uint8_t *head = peer + n_peer;
    const size_t n = hex_read(hex, head + 9, sizeof peer - n_peer - 9);
    const uint8_t bytes[9] = { (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n, type, flags, (uint8_t) (stream >> 24), (uint8_t) (stream >> 16),
                               (uint8_t) (stream >> 8), (uint8_t) stream };
    memcpy(head, bytes, sizeof bytes);
    n_peer += sizeof bytes + n;
}

static void begins(void) { /* SETTINGS, as every server must */
    n_peer = 0;
    frame(4, 0, 0, "");
}

#define STATUS_200 "88"
#define GRPC_STATUS_0 "400b677270632d7374617475730130"
#define SERVING "00000000020801"

static void ends_as(enum hold_grpc_word word, const char *why) {
    for (size_t piece = 1; piece <= n_peer + 1; piece += piece < 16 ? 1 : 1 + n_peer / 3) {
        talk("m", piece, true);
        if (g.word != word || strcmp(g.why, why) != 0)
            fail_msg("in pieces of %zu: %d '%s', wanted %d '%s'", piece, g.word, g.why, word, why);
    }
}

static void real_servers_are_understood(void **unused) {
    (void) unused;
    says(GRPCIO_SERVING);
    ends_as(HOLD_GRPC_SERVING, "serving");
    says(GRPCIO_NOT_SERVING);
    ends_as(HOLD_GRPC_REFUSED, "the server says NOT_SERVING");
    says(GRPCIO_NOT_FOUND);
    ends_as(HOLD_GRPC_REFUSED, "the server knows no service 'm' (NOT_FOUND)");
    says(GRPCLIB_NOT_SERVING);
    ends_as(HOLD_GRPC_REFUSED, "the server says NOT_SERVING");
    says(GRPCLIB_NOT_FOUND);
    ends_as(HOLD_GRPC_REFUSED, "the server knows no service 'm' (NOT_FOUND)");
}

static void settings_and_ping_are_acknowledged(void **unused) {
    (void) unused;
    says(GRPCIO_SERVING);
    assert_int_equal(talk("", 10000, false), 9 + 17);
    begins();
    frame(6, 0, 0, "0102030405060708");
    hold_grpc_begin(&g, "h:1", "");
    g.n_out = 0;
    hold_grpc_feed(&g, peer, n_peer);
    uint8_t wanted[26];
    hex_read("000000040100000000" "000008060100000000" "0102030405060708", wanted, sizeof wanted);
    assert_int_equal(g.n_out, sizeof wanted);
    assert_memory_equal(g.out, wanted, sizeof wanted);
}

static void the_request_is_one_that_a_server_reads(void **unused) {
    (void) unused;
    char longest[HOLD_GRPC_SERVICE_BYTES];
    memset(longest, 's', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const services[] = { "", "zai.Model", longest };
    for (size_t i = 0; i < 3; i++) {
        static struct hold_hpack table;
        static struct hold_hpack_field f;
        struct hold_err err = { 0 };
        char seen[1024] = "";
        table = (struct hold_hpack) { .max_bytes = HOLD_HPACK_TABLE_BYTES };
        hold_grpc_begin(&g, "[2001:db8:1111:2222:3333:4444:5555:6666]:50051", services[i]);
        assert_true(g.n_out <= sizeof g.out);
        assert_memory_equal(g.out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        const uint8_t *headers = g.out + 24 + 9 + 6;
        const size_t n = (size_t) headers[1] << 8 | headers[2];
        assert_true(headers[3] == 1 && headers[4] == 4 && headers[8] == 1);
        size_t at = 0;
        while (hold_hpack_next(&table, headers + 9, n, &at, &f, &err) > 0)
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.64s: %.200s\n", f.name, f.value);
        assert_string_equal(seen, ":method: POST\n:scheme: http\n:path: /grpc.health.v1.Health/Check\n"
                                  ":authority: [2001:db8:1111:2222:3333:4444:5555:6666]:50051\ncontent-type: application/grpc\nte: trailers\n"
                                  "user-agent: holdfast-probe\n");
        const uint8_t *data = headers + 9 + n;
        const size_t n_service = strlen(services[i]), n_message = n_service ? n_service + 2 : 0;
        assert_true(data[2] == 5 + n_message && data[3] == 0 && data[4] == 1 && data[8] == 1 && data[9 + 4] == n_message);
        assert_int_equal((size_t) (data + 9 + 5 + n_message - g.out), g.n_out);
        if (n_service)
            assert_memory_equal(data + 9 + 5 + 2, services[i], n_service);
    }
}

static void padding_priority_continuation_and_unknown_frames(void **unused) {
    (void) unused;
    begins();
    frame(0xfa, 0xff, 7, "0011223344");            /* a kind that nobody knows */
    frame(2, 0, 3, "0000000000");                  /* PRIORITY */
    frame(8, 0, 0, "00000001");                    /* WINDOW_UPDATE */
    frame(1, 0x28, 1, "02 0000000a10 88 0000");    /* HEADERS, padded, with a priority, not yet whole */
    frame(9, 0, 1, "400c636f6e74656e742d74797065");
    frame(9, 4, 1, "106170706c69636174696f6e2f67727063");
    frame(0, 8, 1, "03 000000 000000");            /* DATA, padded, in two */
    frame(0, 0, 1, "00020801");
    frame(4, 1, 0, "");
    frame(3, 0, 5, "00000008");                    /* some other stream's end */
    frame(7, 0, 0, "7fffffff 00000000 6279653a");  /* it will go, later */
    frame(1, 5, 1, GRPC_STATUS_0);
    ends_as(HOLD_GRPC_SERVING, "serving");
}

static void each_word_of_the_server_has_a_sentence(void **unused) {
    (void) unused;
    static const struct { const char *message, *why; enum hold_grpc_word word; } rows[] = {
        { "0000000000", "the server says UNKNOWN: its service has no status yet", HOLD_GRPC_REFUSED },
        { "00000000020800", "the server says UNKNOWN: its service has no status yet", HOLD_GRPC_REFUSED },
        { "00000000020802", "the server says NOT_SERVING", HOLD_GRPC_REFUSED },
        { "00000000020803", "the server says SERVICE_UNKNOWN: no service 'm'", HOLD_GRPC_REFUSED },
        { "00000000061202616208 01", "serving", HOLD_GRPC_SERVING }, /* behind a field of later versions */
        { "00000000020809", "gRPC: the answer is not a health status", HOLD_GRPC_BROKEN },
        { "000000000108", "gRPC: the answer is not a health status", HOLD_GRPC_BROKEN },
        { "01000000020801", "gRPC: the answer is compressed, which was not asked for", HOLD_GRPC_BROKEN },
        { "00000000090801", "gRPC: the answer is not one whole message", HOLD_GRPC_BROKEN },
        { "", "gRPC: the answer is not one whole message", HOLD_GRPC_BROKEN },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begins();
        frame(1, 4, 1, STATUS_200);
        frame(0, 0, 1, rows[i].message);
        frame(1, 5, 1, GRPC_STATUS_0);
        ends_as(rows[i].word, rows[i].why);
    }
    begins();
    frame(1, 5, 1, "88 400b677270632d737461747573023132");
    ends_as(HOLD_GRPC_REFUSED, "the server has no health service (UNIMPLEMENTED)");
    begins();
    frame(1, 5, 1, "88 400b677270632d737461747573023134 400c677270632d6d65737361676504620d0a78");
    ends_as(HOLD_GRPC_REFUSED, "grpc status 14 (UNAVAILABLE): b??x");
    begins();
    frame(1, 5, 1, "8d");
    ends_as(HOLD_GRPC_BROKEN, "http 404 instead of a gRPC answer");
    begins();
    frame(1, 5, 1, "88");
    ends_as(HOLD_GRPC_BROKEN, "gRPC: the answer ended without a grpc-status");
}

static void a_hostile_peer_is_cut_off_with_a_reason(void **unused) {
    (void) unused;
    static const struct { uint8_t type, flags; uint32_t stream; const char *hex, *why; } rows[] = {
        { 3, 0, 1, "00000007", "HTTP/2: the server reset the stream (error 7)" },
        { 3, 0, 1, "0007", "HTTP/2: a RST_STREAM of 2 bytes" },
        { 7, 0, 0, "0000000000000002", "HTTP/2: the server goes away (error 2)" },
        { 7, 0, 0, "00", "HTTP/2: a GOAWAY that breaks the rules" },
        { 5, 4, 1, "0000000288", "HTTP/2: the server pushes, which was forbidden to it" },
        { 6, 0, 0, "00", "HTTP/2: a PING that breaks the rules" },
        { 4, 0, 0, "00", "HTTP/2: a SETTINGS frame that breaks the rules" },
        { 1, 12, 1, "0588", "HTTP/2: padding is longer than its frame" },
        { 1, 0x24, 1, "88", "HTTP/2: padding is longer than its frame" },
        { 1, 4, 3, "88", "HTTP/2: frames of stream 3, which nobody asked for" },
        { 0, 0, 1, "00", "HTTP/2: data before the headers" },
        { 9, 4, 1, "88", "HTTP/2: a header block that is torn apart" },
        { 1, 4, 1, "80", "HPACK: index 0 is in no table" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begins();
        frame(rows[i].type, rows[i].flags, rows[i].stream, rows[i].hex);
        ends_as(HOLD_GRPC_BROKEN, rows[i].why);
    }
    begins();
    frame(1, 0, 1, "88");
    frame(6, 0, 0, "0000000000000000");
    ends_as(HOLD_GRPC_BROKEN, "HTTP/2: a header block that is torn apart");
    memcpy(peer, "HTTP/1.1 400 Bad Request\r\n\r\n", n_peer = 28);
    ends_as(HOLD_GRPC_BROKEN, "the answer is not HTTP/2");
    n_peer = 0;
    ends_as(HOLD_GRPC_BROKEN, "closed before it spoke HTTP/2");
    begins();
    ends_as(HOLD_GRPC_BROKEN, "closed without an answer");
}

static void what_has_no_end_is_bounded(void **unused) {
    (void) unused;
    begins(); /* header blocks that never end */
    frame(1, 0, 1, "88");
    for (int i = 0; i < 3000; i++)
        frame(9, 0, 1, "00016100");
    talk("", 5000, false);
    assert_int_equal(g.word, HOLD_GRPC_BROKEN);
    assert_string_equal(g.why, "HTTP/2: a header block of more than 8192 bytes");
    begins(); /* a message that never ends */
    frame(1, 4, 1, STATUS_200);
    for (int i = 0; i < 100; i++)
        frame(0, 0, 1, "000000ffff");
    talk("", 5000, false);
    assert_string_equal(g.why, "gRPC: the answer has more than 256 bytes");
    begins(); /* pings whose answers are never read */
    for (int i = 0; i < 1000; i++)
        frame(6, 0, 0, "0000000000000000");
    hold_grpc_begin(&g, "h:1", "");
    hold_grpc_feed(&g, peer, n_peer);
    assert_int_equal(g.word, HOLD_GRPC_BROKEN);
    assert_true(g.n_out <= sizeof g.out);
    begins(); /* a frame that is too large, before one byte of it has come */
    memcpy(peer + n_peer, "\xff\xff\xff\x00\x00\x00\x00\x00\x01", 9);
    n_peer += 9;
    talk("", 5000, false);
    assert_string_equal(g.why, "HTTP/2: a frame of 16777215 bytes");
}

#define T(name) cmocka_unit_test(name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(real_servers_are_understood),
        T(settings_and_ping_are_acknowledged),
        T(the_request_is_one_that_a_server_reads),
        T(padding_priority_continuation_and_unknown_frames),
        T(each_word_of_the_server_has_a_sentence),
        T(a_hostile_peer_is_cut_off_with_a_reason),
        T(what_has_no_end_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
