/* digest.c - SHA-256 and git blob ids by libcrypto, in line and on a thread. Floor: supervisor/job; only includer of libcrypto. */
#include "supervisor/job/digest.h"

#include "base/auto.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void feed_git_head(struct hold_digest *d) {
    char head[48];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long) d->git_bytes);
    d->failed |= EVP_DigestUpdate(d->git, head, (size_t) n + 1) != 1; /* with its zero */
}

int hold_digest_restart(struct hold_digest *d, struct hold_err *err) {
    d->failed = EVP_DigestInit_ex(d->sha256, EVP_sha256(), NULL) != 1;
    if (d->git) {
        d->failed |= EVP_DigestInit_ex(d->git, EVP_sha1(), NULL) != 1;
        feed_git_head(d);
    }
    return d->failed ? hold_fail(err, HOLD_E_INTERNAL, 0, "libcrypto cannot begin a digest") : 0;
}

int hold_digest_open(struct hold_digest *d, bool with_git, uint64_t git_bytes, struct hold_err *err) {
    *d = (struct hold_digest) { .sha256 = EVP_MD_CTX_new(), .git = with_git ? EVP_MD_CTX_new() : NULL, .git_bytes = git_bytes };
    if (!d->sha256 || (with_git && !d->git)) {
        hold_digest_close(d);
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a digest");
    }
    if (hold_digest_restart(d, err) < 0) {
        hold_digest_close(d);
        return -1;
    }
    return 0;
}

void hold_digest_feed(struct hold_digest *d, const void *bytes, size_t n) {
    d->failed |= EVP_DigestUpdate(d->sha256, bytes, n) != 1;
    if (d->git)
        d->failed |= EVP_DigestUpdate(d->git, bytes, n) != 1;
}

int hold_digest_end(struct hold_digest *d, struct hold_digest_value *ret_value, struct hold_err *err) {
    struct hold_digest_value value = { 0 };
    d->failed |= EVP_DigestFinal_ex(d->sha256, value.sha256, NULL) != 1;
    if (d->git)
        d->failed |= EVP_DigestFinal_ex(d->git, value.git_blob, NULL) != 1;
    if (d->failed)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "libcrypto cannot end a digest");
    *ret_value = value;
    return 0;
}

void hold_digest_close(struct hold_digest *d) {
    EVP_MD_CTX_free(d->sha256);
    EVP_MD_CTX_free(d->git);
    *d = (struct hold_digest) { 0 };
}

int hold_digest_bytes(const void *bytes, size_t n, uint8_t ret_sha256[32], struct hold_err *err) {
    if (EVP_Digest(bytes, n, ret_sha256, NULL, EVP_sha256(), NULL) != 1)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "libcrypto cannot compute a SHA-256");
    return 0;
}

int hold_manifest_identity(const struct hold_manifest *manifest, uint8_t ret_sha256[32], struct hold_err *err) {
    hold_autobuf lines = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    return hold_manifest_lines(manifest, &lines, err) < 0 ? -1 : hold_digest_bytes(lines.data, lines.n, ret_sha256, err);
}

/* Piece digests on the way: zeroed when nobody asks. */
struct piecewise {
    struct hold_digest digest;
    uint64_t piece_bytes, in_piece;
    uint8_t *next;
};

static int end_piece(struct piecewise *pieces, struct hold_err *err) {
    struct hold_digest_value value;
    if (hold_digest_end(&pieces->digest, &value, err) < 0)
        return -1;
    memcpy(pieces->next, value.sha256, 32);
    pieces->next += 32;
    pieces->in_piece = 0;
    return hold_digest_restart(&pieces->digest, err);
}

static int feed_pieces(struct piecewise *pieces, const uint8_t *bytes, size_t n, struct hold_err *err) {
    while (pieces->piece_bytes && n) {
        size_t part = (size_t) HOLD_MIN((uint64_t) n, pieces->piece_bytes - pieces->in_piece);
        hold_digest_feed(&pieces->digest, bytes, part);
        pieces->in_piece += part;
        bytes += part;
        n -= part;
        if (pieces->in_piece == pieces->piece_bytes && end_piece(pieces, err) < 0)
            return -1;
    }
    return 0;
}

static int feed_file(struct hold_digest *d, struct piecewise *pieces, int fd, uint64_t size, _Atomic uint64_t *progress, struct hold_err *err) {
    hold_autofree uint8_t *block = malloc(HOLD_HASHER_BLOCK);
    if (!block)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a block");
    (void) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    uint64_t done = 0;
    for (;;) {
        ssize_t n = pread(fd, block, HOLD_HASHER_BLOCK, (off_t) done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hold_fail(err, HOLD_E_IO, errno, "read at byte %llu", (unsigned long long) done);
        if (n == 0)
            break;
        done += (uint64_t) n;
        if (progress)
            atomic_fetch_add(progress, (uint64_t) n);
        if (done > size)
            return hold_fail(err, HOLD_E_FORMAT, 0, "the file grew beyond %llu bytes while it was read", (unsigned long long) size);
        hold_digest_feed(d, block, (size_t) n);
        if (feed_pieces(pieces, block, (size_t) n, err) < 0)
            return -1;
    }
    if (done != size)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the file ends at byte %llu of %llu", (unsigned long long) done, (unsigned long long) size);
    return pieces->in_piece ? end_piece(pieces, err) : 0;
}

static int digest_file(int fd, uint64_t size, bool with_git, struct piecewise *pieces, _Atomic uint64_t *progress, struct hold_digest_value *ret_value,
                       struct hold_err *err) {
    struct hold_digest d = { 0 };
    if (hold_digest_open(&d, with_git, size, err) < 0)
        return -1;
    int rc = feed_file(&d, pieces, fd, size, progress, err);
    if (rc == 0)
        rc = hold_digest_end(&d, ret_value, err);
    hold_digest_close(&d);
    return rc;
}

int hold_digest_file(int fd, uint64_t size, bool with_git, _Atomic uint64_t *progress, struct hold_digest_value *ret_value,
                     struct hold_err *err) {
    struct piecewise none = { 0 };
    return digest_file(fd, size, with_git, &none, progress, ret_value, err);
}

int hold_digest_file_pieces(int fd, uint64_t size, uint64_t piece_bytes, _Atomic uint64_t *progress, struct hold_digest_value *ret_value,
                            uint8_t *ret_pieces, struct hold_err *err) {
    struct piecewise pieces = { .piece_bytes = piece_bytes, .next = ret_pieces };
    if (hold_digest_open(&pieces.digest, false, 0, err) < 0)
        return -1;
    int rc = digest_file(fd, size, false, &pieces, progress, ret_value, err);
    hold_digest_close(&pieces.digest);
    return rc;
}

static void *hasher_main(void *argument) {
    struct hold_hasher *h = argument;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (h->n_done == h->n_given && !h->stop)
            pthread_cond_wait(&h->moved, &h->lock);
        if (h->n_done == h->n_given)
            break;
        size_t slot = h->n_done % HOLD_HASHER_BLOCKS;
        pthread_mutex_unlock(&h->lock);
        hold_digest_feed(&h->digest, h->memory + slot * HOLD_HASHER_BLOCK, h->filled[slot]);
        pthread_mutex_lock(&h->lock);
        h->n_done++;
        pthread_cond_broadcast(&h->moved);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

int hold_hasher_open(struct hold_hasher *h, bool with_git, uint64_t git_bytes, struct hold_err *err) {
    if (hold_digest_open(&h->digest, with_git, git_bytes, err) < 0)
        return -1;
    h->memory = malloc((size_t) HOLD_HASHER_BLOCK * HOLD_HASHER_BLOCKS);
    if (!h->memory) {
        hold_digest_close(&h->digest);
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for the blocks of a digest");
    }
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->moved, NULL);
    int rc = pthread_create(&h->thread, NULL, hasher_main, h);
    h->has_thread = rc == 0;
    if (rc != 0) {
        hold_hasher_close(h);
        return hold_fail(err, HOLD_E_LIMIT, rc, "start the hashing thread");
    }
    return 0;
}

uint8_t *hold_hasher_block(struct hold_hasher *h) {
    pthread_mutex_lock(&h->lock);
    while (h->n_given - h->n_done == HOLD_HASHER_BLOCKS)
        pthread_cond_wait(&h->moved, &h->lock);
    size_t slot = h->n_given % HOLD_HASHER_BLOCKS;
    pthread_mutex_unlock(&h->lock);
    return h->memory + slot * HOLD_HASHER_BLOCK;
}

void hold_hasher_give(struct hold_hasher *h, size_t n) {
    pthread_mutex_lock(&h->lock);
    h->filled[h->n_given % HOLD_HASHER_BLOCKS] = n;
    h->n_given++;
    pthread_cond_broadcast(&h->moved);
    pthread_mutex_unlock(&h->lock);
}

static void drain(struct hold_hasher *h) {
    pthread_mutex_lock(&h->lock);
    while (h->n_done != h->n_given)
        pthread_cond_wait(&h->moved, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

int hold_hasher_restart(struct hold_hasher *h, struct hold_err *err) {
    drain(h);
    return hold_digest_restart(&h->digest, err);
}

int hold_hasher_end(struct hold_hasher *h, struct hold_digest_value *ret_value, struct hold_err *err) {
    drain(h);
    return hold_digest_end(&h->digest, ret_value, err);
}

void hold_hasher_close(struct hold_hasher *h) {
    if (!h->memory)
        return;
    if (h->has_thread) {
        pthread_mutex_lock(&h->lock);
        h->stop = true;
        pthread_cond_broadcast(&h->moved);
        pthread_mutex_unlock(&h->lock);
        pthread_join(h->thread, NULL);
    }
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->moved);
    free(h->memory);
    hold_digest_close(&h->digest);
    *h = (struct hold_hasher) { 0 };
}
