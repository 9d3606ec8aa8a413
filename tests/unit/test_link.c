/* test_link.c - the ring and one pairing's two ends: order, room, generations, both orders of a death. */
#include "base/auto.h"
#include "runtime/wire/link.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#define RING_BYTES 65536

static int ring_memory(size_t bytes, int seals) {
    int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_return_code(ftruncate(fd, (off_t) bytes), 0);
    assert_return_code(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void pair(struct hold_link *front, struct hold_link *engine, uint64_t generation) {
    int fds[2];
    struct hold_err err = { 0 };
    int ring = ring_memory(RING_BYTES, F_SEAL_SHRINK | F_SEAL_GROW);
    assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    if (front)
        assert_return_code(hold_link_take(front, generation, fds[0], dup(ring), &err), 0);
    else
        close(fds[0]);
    if (engine)
        assert_return_code(hold_link_take(engine, generation, fds[1], dup(ring), &err), 0);
    else
        close(fds[1]);
    close(ring);
}

static void ring_carries_blocks_in_order_around_its_end(void **unused) {
    (void) unused;
    hold_autofd fd = ring_memory(RING_BYTES, F_SEAL_SHRINK | F_SEAL_GROW);
    struct hold_ring w, r;
    struct hold_err err = { 0 };
    assert_return_code(hold_ring_open(fd, true, &w, &err), 0);
    assert_return_code(hold_ring_open(fd, false, &r, &err), 0);
    uint64_t seed = 1;
    for (int i = 0; i < 1000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        size_t n = 1 + (size_t) (seed >> 33) % (RING_BYTES / 2);
        uint64_t at;
        void *to;
        const void *from;
        if (hold_ring_claim(&w, n, &at, &to, &err) < 0) {
            assert_int_equal(err.code, HOLD_E_BUSY);
            assert_return_code(hold_ring_gave(&w, hold_ring_give(&r), &err), 0);
            assert_return_code(hold_ring_claim(&w, n, &at, &to, &err), 0);
        }
        memset(to, i & 255, n);
        assert_return_code(hold_ring_view(&r, at, n, &from, &err), 0);
        assert_int_equal(((const unsigned char *) from)[0], i & 255);
        assert_int_equal(((const unsigned char *) from)[n - 1], i & 255);
    }
    hold_ring_close(&w);
    hold_ring_close(&r);
}

static void ring_end_believes_no_number_of_the_other(void **unused) {
    (void) unused;
    hold_autofd fd = ring_memory(RING_BYTES, F_SEAL_SHRINK | F_SEAL_GROW);
    struct hold_ring w, r;
    struct hold_err err = { 0 };
    uint64_t at;
    void *to;
    const void *from;
    assert_return_code(hold_ring_open(fd, true, &w, &err), 0);
    assert_return_code(hold_ring_open(fd, false, &r, &err), 0);
    assert_int_equal(hold_ring_claim(&w, RING_BYTES / 2 + 1, &at, &to, &err), -1);
    assert_int_equal(hold_ring_claim(&w, 0, &at, &to, &err), -1);
    assert_return_code(hold_ring_claim(&w, 100, &at, &to, &err), 0);
    assert_int_equal(hold_ring_gave(&w, 101, &err), -1);
    assert_int_equal(err.code, HOLD_E_FORMAT);
    assert_int_equal(hold_ring_view(&r, 64, 100, &from, &err), -1);
    assert_int_equal(hold_ring_view(&r, UINT64_MAX - 3, 100, &from, &err), -1);
    assert_int_equal(hold_ring_view(&r, 0, RING_BYTES, &from, &err), -1);
    assert_int_equal(hold_ring_claim(&r, 100, &at, &to, &err), -1);
    assert_return_code(hold_ring_view(&r, 0, 100, &from, &err), 0);
    assert_int_equal(hold_ring_view(&r, 0, 100, &from, &err), -1);
    hold_ring_close(&w);
    hold_ring_close(&r);
}

static void ring_memory_that_could_shrink_is_refused(void **unused) {
    (void) unused;
    struct hold_ring r;
    struct hold_err err = { 0 };
    hold_autofd unsealed = ring_memory(RING_BYTES, 0), half = ring_memory(RING_BYTES, F_SEAL_GROW);
    hold_autofd small = ring_memory(4096, F_SEAL_SHRINK | F_SEAL_GROW), odd = ring_memory(RING_BYTES + 1, F_SEAL_SHRINK | F_SEAL_GROW);
    hold_autofd file = open("/dev/zero", O_RDWR | O_CLOEXEC);
    assert_int_equal(hold_ring_open(unsealed, true, &r, &err), -1);
    assert_int_equal(hold_ring_open(half, true, &r, &err), -1);
    assert_int_equal(hold_ring_open(small, true, &r, &err), -1);
    assert_int_equal(hold_ring_open(odd, true, &r, &err), -1);
    assert_int_equal(hold_ring_open(file, true, &r, &err), -1);
}

static void link_carries_more_than_the_socket_holds(void **unused) {
    (void) unused;
    struct hold_link front, engine;
    struct hold_err err = { 0 };
    hold_link_init(&front, true);
    hold_link_init(&engine, false);
    pair(&front, &engine, 1);
    struct hold_frame f = { .kind = HOLD_FRAME_IDS, .session = 3 }, got;
    f.ids.n = HOLD_FRAME_MAX_IDS;
    for (uint32_t i = 0; i < 200; i++) {
        f.ids.offset = i;
        assert_return_code(hold_link_send(&front, &f, &err), 0);
    }
    assert_true(hold_link_wants_write(&front));
    for (uint32_t i = 0; i < 200; i++) {
        int n = hold_link_recv(&engine, &got, &err);
        if (n == 0) {
            assert_return_code(hold_link_flush(&front, &err), 0);
            n = hold_link_recv(&engine, &got, &err);
        }
        assert_int_equal(n, 1);
        assert_int_equal(got.ids.offset, i);
    }
    assert_false(hold_link_wants_write(&front));
    hold_link_drop(&front);
    hold_link_drop(&engine);
}

static void link_queue_has_an_end(void **unused) {
    (void) unused;
    struct hold_link front, engine;
    struct hold_err err = { 0 };
    int sent = 0;
    hold_link_init(&front, true);
    hold_link_init(&engine, false);
    pair(&front, &engine, 1);
    struct hold_frame f = { .kind = HOLD_FRAME_IDS, .session = 3 };
    f.ids.n = HOLD_FRAME_MAX_IDS;
    while (sent < 100000 && hold_link_send(&front, &f, &err) == 0)
        sent++;
    assert_int_equal(err.code, HOLD_E_LIMIT);
    assert_true(sent < 1000);
    hold_link_drop(&front);
    hold_link_drop(&engine);
}

static void link_end_of_file_then_new_end(void **unused) {
    (void) unused;
    struct hold_link front, engine;
    struct hold_err err = { 0 };
    struct hold_frame f = { .kind = HOLD_FRAME_CANCEL, .session = 1 }, got;
    hold_link_init(&front, true);
    hold_link_init(&engine, false);
    pair(&front, &engine, 1);
    hold_link_drop(&engine);
    assert_int_equal(hold_link_recv(&front, &got, &err), -1);
    assert_int_equal(err.code, HOLD_E_MISSING);
    hold_link_drop(&front);
    assert_false(hold_link_is_up(&front));
    assert_int_equal(hold_link_send(&front, &f, &err), -1);
    assert_int_equal(err.code, HOLD_E_MISSING);
    pair(&front, &engine, 2);
    assert_return_code(hold_link_send(&front, &f, &err), 0);
    assert_int_equal(hold_link_recv(&engine, &got, &err), 1);
    assert_int_equal(got.generation, 2);
    hold_link_drop(&front);
    hold_link_drop(&engine);
}

static void link_new_end_before_end_of_file(void **unused) {
    (void) unused;
    struct hold_link front, engine;
    struct hold_err err = { 0 };
    struct hold_frame f = { .kind = HOLD_FRAME_CANCEL, .session = 1 }, got;
    hold_link_init(&front, true);
    hold_link_init(&engine, false);
    pair(&front, NULL, 1);
    pair(&front, &engine, 2); /* the end of generation 1 was never looked at */
    assert_return_code(hold_link_send(&front, &f, &err), 0);
    assert_int_equal(hold_link_recv(&engine, &got, &err), 1);
    hold_link_drop(&front);
    hold_link_drop(&engine);
}

static void link_refuses_an_old_generation(void **unused) {
    (void) unused;
    struct hold_link front, engine;
    struct hold_err err = { 0 };
    int fds[2];
    unsigned char bytes[HOLD_FRAME_MAX_BYTES];
    size_t n;
    struct hold_frame f = { .kind = HOLD_FRAME_CANCEL, .session = 1, .generation = 4 }, got;
    hold_link_init(&front, true);
    hold_link_init(&engine, false);
    pair(NULL, &engine, 5);
    assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(hold_link_take(&engine, 5, fds[0], ring_memory(RING_BYTES, F_SEAL_SHRINK | F_SEAL_GROW), &err), -1);
    close(fds[1]);
    assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    assert_return_code(hold_link_take(&engine, 6, fds[0], ring_memory(RING_BYTES, F_SEAL_SHRINK | F_SEAL_GROW), &err), 0);
    assert_return_code(hold_frame_put(&f, bytes, &n, &err), 0);
    assert_int_equal(send(fds[1], bytes, n, 0), (ssize_t) n);
    assert_int_equal(hold_link_recv(&engine, &got, &err), -1);
    assert_int_equal(err.code, HOLD_E_FORMAT);
    close(fds[1]);
    hold_link_drop(&engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_carries_blocks_in_order_around_its_end),
        cmocka_unit_test(ring_end_believes_no_number_of_the_other),
        cmocka_unit_test(ring_memory_that_could_shrink_is_refused),
        cmocka_unit_test(link_carries_more_than_the_socket_holds),
        cmocka_unit_test(link_queue_has_an_end),
        cmocka_unit_test(link_end_of_file_then_new_end),
        cmocka_unit_test(link_new_end_before_end_of_file),
        cmocka_unit_test(link_refuses_an_old_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
