/* pieces.c - the map of a partial's pieces and the thread that hashes behind them. Floor: supervisor/job. */
#include "supervisor/job/pieces.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"
#include "supervisor/job/behind.h"
#include "supervisor/job/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_PIECE ((size_t) 64 << 10)

static const char magic[8] = { 'H', 'O', 'L', 'D', 'P', 'C', 'S', '1' };

static uint64_t length_of(uint64_t size, uint64_t piece_bytes, size_t piece) {
    return HOLD_MIN(piece_bytes, size - piece * piece_bytes);
}

static size_t count_of(uint64_t size, uint64_t piece_bytes) {
    return (size_t) (size / piece_bytes + (size % piece_bytes != 0));
}

static void write_head(uint64_t size, uint64_t piece_bytes, uint8_t out[HOLD_PIECES_HEAD]) {
    memcpy(out, magic, sizeof magic);
    memcpy(out + 8, &size, 8);
    memcpy(out + 16, &piece_bytes, 8);
}

bool hold_pieces_read(const uint8_t *map, size_t n, uint64_t size, uint64_t piece_bytes, uint64_t file_bytes, struct hold_piece *at) {
    uint8_t head[HOLD_PIECES_HEAD];
    size_t count = count_of(size, piece_bytes);
    write_head(size, piece_bytes, head);
    if (n != sizeof head + 8 * count || memcmp(map, head, sizeof head) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t have, first = i * piece_bytes;
        memcpy(&have, map + sizeof head + 8 * i, 8);
        bool can_be = have <= length_of(size, piece_bytes, i) && first <= file_bytes && have <= file_bytes - first;
        at[i] = (struct hold_piece) { .have = can_be ? have : 0 };
    }
    return true;
}

uint64_t hold_pieces_prefix(int map_fd, uint64_t file_bytes) {
    uint8_t head[HOLD_PIECES_HEAD];
    uint64_t size, piece_bytes, prefix = 0, have;
    if (pread(map_fd, head, sizeof head, 0) != (ssize_t) sizeof head || memcmp(head, magic, sizeof magic) != 0)
        return 0;
    memcpy(&size, head + 8, 8);
    memcpy(&piece_bytes, head + 16, 8);
    if (piece_bytes == 0 || size == 0 || size > HOLD_MANIFEST_MAX_FILE_BYTES || size / piece_bytes >= HOLD_PIECES_MAX)
        return 0;
    for (size_t i = 0; prefix < size && prefix == i * piece_bytes; i++) {
        if (pread(map_fd, &have, 8, (off_t) (sizeof head + 8 * i)) != 8 || have > length_of(size, piece_bytes, i))
            break;
        prefix += have;
    }
    return HOLD_MIN(prefix, file_bytes);
}

/* 0, -1 with errno, or 1 at an early end. */
static int read_all(int fd, uint8_t *into, size_t n, uint64_t at) {
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, into + done, n - done, (off_t) (at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : 1;
        done += (size_t) got;
    }
    return 0;
}

/* ---- the digest's thread ---- */

/* Bytes behind queued that are in the file; under lock. */
static uint64_t ready_of(const struct hold_pieces *p) {
    if (p->queued == p->size)
        return 0;
    size_t piece = (size_t) (p->queued / p->piece_bytes);
    return piece * p->piece_bytes + p->at[piece].have - p->queued;
}

/* The oldest block of the ring into the digest; under lock, which it leaves meanwhile. */
static void hash_block(struct hold_pieces *p) {
    uint64_t at = p->hashed;
    struct hold_block block = p->ring[p->ring_first];
    p->ring_first = (p->ring_first + 1) % HOLD_PIECES_RING;
    p->ring_n--;
    p->is_reading = true;
    bool drops = p->drops_cache;
    pthread_mutex_unlock(&p->lock);
    hold_digest_feed(&p->digest, block.bytes, block.n);
    if (drops)
        hold_behind_drop(p->fd, at, block.n);
    pthread_mutex_lock(&p->lock);
    p->is_reading = false;
    p->hashed += block.n;
    p->spare[p->n_spare++] = block.bytes;
}

/* The next ready bytes from the file, through memory. */
static void hash_file(struct hold_pieces *p, uint8_t *memory, uint64_t ready) {
    uint64_t at = p->queued;
    size_t wanted = (size_t) HOLD_MIN((uint64_t) HOLD_PIECES_BLOCK, ready);
    p->queued += wanted;
    p->is_reading = true;
    bool drops = p->drops_cache;
    pthread_mutex_unlock(&p->lock);
    int rc = read_all(p->fd, memory, wanted, at);
    int sys = errno;
    if (rc == 0)
        hold_digest_feed(&p->digest, memory, wanted);
    if (rc == 0 && drops)
        hold_behind_drop(p->fd, at, wanted);
    pthread_mutex_lock(&p->lock);
    p->is_reading = false;
    if (rc == 0)
        p->hashed += wanted;
    else
        p->has_trouble = true, (void) hold_fail(&p->trouble, HOLD_E_IO, rc < 0 ? sys : 0, "read the partial at byte %llu", (unsigned long long) at);
}

static void *follow(void *argument) {
    struct hold_pieces *p = argument;
    hold_autofree uint8_t *memory = malloc(HOLD_PIECES_BLOCK);
    pthread_mutex_lock(&p->lock);
    if (!memory)
        p->has_trouble = true, (void) hold_fail(&p->trouble, HOLD_E_LIMIT, 0, "no memory for a block");
    while (!p->stop) {
        uint64_t ready = p->ring_n ? 0 : ready_of(p);
        if (p->has_trouble || (!p->ring_n && !ready)) {
            pthread_cond_wait(&p->moved, &p->lock);
            continue;
        }
        if (p->ring_n)
            hash_block(p);
        else
            hash_file(p, memory, ready);
        pthread_cond_broadcast(&p->moved);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* A block of a live writer that continues the prefix goes to the digest from memory; under lock. */
static void offer(struct hold_pieces *p, uint64_t at, uint8_t **block, size_t n) {
    while (at == p->queued && p->ring_n == HOLD_PIECES_RING && !p->has_trouble && !p->stop)
        pthread_cond_wait(&p->moved, &p->lock);
    if (at != p->queued || p->has_trouble || p->stop)
        return;
    uint8_t *other = p->n_spare ? p->spare[--p->n_spare] : malloc(HOLD_PIECES_BLOCK);
    if (!other)
        return; /* then it is read back */
    p->ring[(p->ring_first + p->ring_n++) % HOLD_PIECES_RING] = (struct hold_block) { .bytes = *block, .n = n };
    p->queued += n;
    *block = other;
}

/* ---- open and close ---- */

static void load(struct hold_pieces *p, uint64_t prefix) {
    struct stat file, st;
    size_t bytes = HOLD_PIECES_HEAD + 8 * p->n;
    hold_autofree uint8_t *map = malloc(bytes);
    bool is_read = map && p->map_fd >= 0 && fstat(p->fd, &file) == 0 && fstat(p->map_fd, &st) == 0 && (uint64_t) st.st_size == bytes &&
                   pread(p->map_fd, map, bytes, 0) == (ssize_t) bytes && hold_pieces_read(map, bytes, p->size, p->piece_bytes, (uint64_t) file.st_size, p->at);
    for (size_t i = 0; i < p->n; i++) {
        uint64_t first = i * p->piece_bytes, from_prefix = prefix > first ? HOLD_MIN(prefix - first, length_of(p->size, p->piece_bytes, i)) : 0;
        p->at[i] = (struct hold_piece) { .have = HOLD_MAX(is_read ? p->at[i].have : 0, from_prefix) };
        p->have_bytes += p->at[i].have;
    }
    if (p->progress)
        atomic_fetch_add(p->progress, p->have_bytes);
}

/* The whole map anew; a map that cannot be written costs the next life what it had. */
static void save(struct hold_pieces *p) {
    size_t bytes = HOLD_PIECES_HEAD + 8 * p->n;
    hold_autofree uint8_t *map = p->map_fd < 0 ? NULL : malloc(bytes);
    struct hold_err ignored;
    if (!map)
        return;
    write_head(p->size, p->piece_bytes, map);
    for (size_t i = 0; i < p->n; i++)
        memcpy(map + HOLD_PIECES_HEAD + 8 * i, &p->at[i].have, 8);
    (void) !(ftruncate(p->map_fd, (off_t) bytes) == 0 && hold_pwrite_all(p->map_fd, map, bytes, 0, "map", &ignored) == 0);
}

int hold_pieces_open(struct hold_pieces *p, int fd, int map_fd, uint64_t size, uint64_t piece_bytes, uint64_t prefix,
                     _Atomic uint64_t *progress, struct hold_verdict *v) {
    *p = (struct hold_pieces) { .fd = fd, .map_fd = map_fd, .size = size, .piece_bytes = piece_bytes, .n = count_of(size, piece_bytes), .progress = progress };
    p->at = p->n && p->n <= HOLD_PIECES_MAX ? calloc(p->n, sizeof *p->at) : NULL;
    if (!p->at || hold_digest_open(&p->digest, false, 0, &v->err) < 0) {
        free(p->at);
        p->at = NULL;
        hold_close_fd(&p->map_fd);
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for %zu pieces", p->n);
    }
    pthread_mutex_init(&p->lock, NULL);
    hold_job_cond_init(&p->moved);
    p->is_open = true;
    load(p, prefix);
    save(p);
    int rc = pthread_create(&p->thread, NULL, follow, p);
    p->has_thread = rc == 0;
    return rc == 0 ? 0 : hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, rc, "start the hashing thread");
}

void hold_pieces_drop_cache(struct hold_pieces *p) {
    pthread_mutex_lock(&p->lock);
    p->drops_cache = true;
    pthread_mutex_unlock(&p->lock);
}

void hold_pieces_close(struct hold_pieces *p) {
    if (!p->is_open)
        return;
    if (p->has_thread) {
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->moved);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
    }
    for (; p->ring_n; p->ring_n--, p->ring_first = (p->ring_first + 1) % HOLD_PIECES_RING)
        free(p->ring[p->ring_first].bytes);
    while (p->n_spare)
        free(p->spare[--p->n_spare]);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->moved);
    hold_digest_close(&p->digest);
    hold_close_fd(&p->map_fd);
    free(p->at);
    *p = (struct hold_pieces) { .map_fd = -1 };
}

/* ---- filling ---- */

static size_t first_free(const struct hold_pieces *p) {
    for (size_t i = 0; i < p->n; i++)
        if (!p->at[i].is_taken && p->at[i].have < length_of(p->size, p->piece_bytes, i))
            return i;
    return SIZE_MAX;
}

bool hold_pieces_take(struct hold_pieces *p, size_t *ret_piece, uint64_t *ret_first, uint64_t *ret_end) {
    pthread_mutex_lock(&p->lock);
    size_t i = first_free(p);
    if (i != SIZE_MAX) {
        p->at[i].is_taken = true;
        *ret_piece = i;
        *ret_first = i * p->piece_bytes + p->at[i].have;
        *ret_end = i * p->piece_bytes + length_of(p->size, p->piece_bytes, i);
    }
    pthread_mutex_unlock(&p->lock);
    return i != SIZE_MAX;
}

static void note_have(struct hold_pieces *p, size_t piece, uint64_t have) { /* under lock */
    uint64_t was = p->at[piece].have;
    struct hold_err ignored;
    p->at[piece].have = have;
    p->have_bytes += have - was;
    if (p->progress)
        atomic_fetch_add(p->progress, have - was); /* wraps back when it shrinks */
    if (p->map_fd >= 0)
        (void) !hold_pwrite_all(p->map_fd, &have, 8, HOLD_PIECES_HEAD + 8 * piece, "map", &ignored);
    pthread_cond_broadcast(&p->moved);
}

int hold_pieces_write(struct hold_pieces *p, size_t piece, uint8_t **block, size_t n, struct hold_verdict *v) {
    uint64_t had = p->at[piece].have, at = piece * p->piece_bytes + had; /* only the one who took it writes it */
    for (size_t done = 0; done < n; done += WRITE_PIECE)
        if (hold_pwrite_all(p->fd, *block + done, HOLD_MIN(n - done, WRITE_PIECE), at + done, "partial", &v->err) < 0)
            return hold_verdict_of_write(v);
    hold_behind_start(p->fd, at, n);
    pthread_mutex_lock(&p->lock);
    note_have(p, piece, had + n);
    offer(p, at, block, n);
    bool runs_ahead = p->drops_cache && p->queued < at + n;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
    if (runs_ahead) /* the digest reads it back from the disk: memory is dearer here */
        hold_behind_drop(p->fd, at, n);
    return 0;
}

void hold_pieces_give(struct hold_pieces *p, size_t piece) {
    pthread_mutex_lock(&p->lock);
    p->at[piece].is_taken = false;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

/* Free and empty: a transfer can run into it; under lock. */
static bool is_untouched(const struct hold_pieces *p, size_t piece) {
    return piece < p->n && !p->at[piece].is_taken && p->at[piece].have == 0;
}

bool hold_pieces_go_on(struct hold_pieces *p, size_t piece) {
    pthread_mutex_lock(&p->lock);
    bool may = is_untouched(p, piece + 1);
    if (may) {
        p->at[piece].is_taken = false;
        p->at[piece + 1].is_taken = true;
    }
    pthread_mutex_unlock(&p->lock);
    return may;
}

uint64_t hold_pieces_free_end(struct hold_pieces *p, size_t piece) {
    pthread_mutex_lock(&p->lock);
    size_t next = piece + 1;
    while (is_untouched(p, next))
        next++;
    pthread_mutex_unlock(&p->lock);
    return HOLD_MIN(next * p->piece_bytes, p->size);
}

uint64_t hold_pieces_have(struct hold_pieces *p) {
    pthread_mutex_lock(&p->lock);
    uint64_t have = p->have_bytes;
    pthread_mutex_unlock(&p->lock);
    return have;
}

bool hold_pieces_wait(struct hold_pieces *p, uint64_t timeout_ms) {
    const struct timespec until = hold_job_in_ms(timeout_ms);
    pthread_mutex_lock(&p->lock);
    while (p->have_bytes < p->size && first_free(p) == SIZE_MAX && pthread_cond_timedwait(&p->moved, &p->lock, &until) != ETIMEDOUT)
        ;
    bool is_whole = p->have_bytes == p->size;
    pthread_mutex_unlock(&p->lock);
    return is_whole;
}

/* ---- proving ---- */

int hold_pieces_digest(struct hold_pieces *p, uint8_t ret_sha256[32], struct hold_verdict *v) {
    struct hold_digest_value value;
    pthread_mutex_lock(&p->lock);
    while (p->hashed < p->size && !p->has_trouble)
        pthread_cond_wait(&p->moved, &p->lock);
    bool is_hashed = p->hashed == p->size;
    if (!is_hashed)
        v->err = p->trouble;
    pthread_mutex_unlock(&p->lock);
    if (!is_hashed)
        return hold_verdict_is(v, HOLD_EXIT_VERIFY);
    if (hold_digest_end(&p->digest, &value, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    memcpy(ret_sha256, value.sha256, 32);
    return 0;
}

int hold_pieces_forget(struct hold_pieces *p, size_t piece, struct hold_verdict *v) {
    pthread_mutex_lock(&p->lock);
    while (p->is_reading)
        pthread_cond_wait(&p->moved, &p->lock);
    for (size_t i = piece == SIZE_MAX ? 0 : piece; i < p->n && (i == piece || piece == SIZE_MAX); i++)
        note_have(p, i, 0);
    for (; p->ring_n; p->ring_n--, p->ring_first = (p->ring_first + 1) % HOLD_PIECES_RING)
        p->spare[p->n_spare++] = p->ring[p->ring_first].bytes;
    p->hashed = p->queued = 0;
    p->has_trouble = false;
    int rc = hold_digest_restart(&p->digest, &v->err);
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
    return rc < 0 ? hold_verdict_is(v, HOLD_EXIT_INTERNAL) : 0;
}

/* Reads a whole piece of fd: into the digest, and where into is not NULL on to there at the same place. */
static int pass_piece(const struct hold_pieces *p, int fd, size_t piece, int into_fd, uint8_t ret_sha256[32], struct hold_err *err) {
    struct hold_digest d = { 0 };
    struct hold_digest_value value;
    hold_autofree uint8_t *block = malloc(HOLD_PIECES_BLOCK);
    uint64_t at = piece * p->piece_bytes, end = at + length_of(p->size, p->piece_bytes, piece);
    if (!block)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a block");
    if (hold_digest_open(&d, false, 0, err) < 0)
        return -1;
    int rc = 0;
    while (rc == 0 && at < end) {
        ssize_t n = pread(fd, block, HOLD_MIN((uint64_t) HOLD_PIECES_BLOCK, end - at), (off_t) at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = hold_fail(err, HOLD_E_IO, n < 0 ? errno : 0, "read at byte %llu", (unsigned long long) at);
            break;
        }
        hold_digest_feed(&d, block, (size_t) n);
        if (into_fd >= 0)
            rc = hold_pwrite_all(into_fd, block, (size_t) n, at, "partial", err);
        at += (uint64_t) n;
    }
    if (rc == 0)
        rc = hold_digest_end(&d, &value, err);
    hold_digest_close(&d);
    if (rc == 0)
        memcpy(ret_sha256, value.sha256, 32);
    return rc;
}

int hold_pieces_hash(const struct hold_pieces *p, int fd, size_t piece, uint8_t ret_sha256[32], struct hold_err *err) {
    return pass_piece(p, fd, piece, -1, ret_sha256, err);
}

int hold_pieces_salvage(struct hold_pieces *p, int fd, const uint8_t *digests, struct hold_verdict *v) {
    for (size_t i = 0; i < p->n; i++) {
        uint8_t sha256[32], copied[32];
        struct hold_err unreadable; /* what cannot be read is fetched */
        if (p->at[i].have || hold_pieces_hash(p, fd, i, sha256, &unreadable) < 0 || memcmp(sha256, digests + 32 * i, 32) != 0)
            continue;
        if (pass_piece(p, fd, i, p->fd, copied, &v->err) < 0)
            return hold_verdict_of_write(v);
        pthread_mutex_lock(&p->lock);
        note_have(p, i, memcmp(copied, sha256, 32) == 0 ? length_of(p->size, p->piece_bytes, i) : 0);
        pthread_mutex_unlock(&p->lock);
    }
    return 0;
}
