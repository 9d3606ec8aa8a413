/* pool.c - the threads of the CPU backend. Floor: kernels/cpu. */
#include "kernels/cpu/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST_THREADS 64u
#define SPIN_NS 20000

/* The job and its next piece are one number, so that a late thread can never take a piece of a job it did not see: a piece
 * is taken by compare-and-swap, and job, context and n are read by whoever holds one (they change only when all are done). */
struct hold_pool {
    _Alignas(64) _Atomic uint64_t ticket; /* generation << 32 | next piece */
    _Alignas(64) _Atomic uint32_t done;   /* pieces finished; also a futex */
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic uint32_t wake; /* generation again, as a futex */
    _Atomic uint32_t sleepers;
    _Atomic bool stops;
    _Atomic uint32_t n;
    void (*piece)(void *context, uint32_t i);
    void *context;
    uint32_t n_threads, n_started;
    pthread_t threads[MOST_THREADS];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    (void) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n) {
    (void) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Takes and does pieces of the running job until there is none to take. */
static void work(struct hold_pool *pool) {
    for (;;) {
        uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
        uint32_t n = atomic_load_explicit(&pool->n, memory_order_acquire);
        if ((uint32_t) ticket >= n)
            return;
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1, memory_order_acquire, memory_order_relaxed))
            continue;
        pool->piece(pool->context, (uint32_t) ticket);
        if (atomic_fetch_add_explicit(&pool->done, 1, memory_order_seq_cst) + 1 == n && atomic_load(&pool->caller_sleeps))
            futex_wake(&pool->done, 1);
    }
}

/* Until the word differs from value: spins a moment, then sleeps. */
static void wait_change(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *sleepers) {
    int64_t until = 0;
    for (uint32_t round = 1; atomic_load_explicit(word, memory_order_acquire) == value; round++) {
        relax();
        if (round % 64 != 0)
            continue;
        if (until == 0)
            until = now_ns() + SPIN_NS;
        if (now_ns() < until)
            continue;
        atomic_fetch_add(sleepers, 1);
        if (atomic_load(word) == value)
            futex_wait(word, value);
        atomic_fetch_sub(sleepers, 1);
    }
}

static void *thread_main(void *argument) {
    struct hold_pool *pool = argument;
    uint32_t seen = 0;
    for (;;) {
        wait_change(&pool->wake, seen, &pool->sleepers);
        if (atomic_load(&pool->stops))
            return NULL;
        seen = atomic_load(&pool->wake);
        work(pool);
    }
}

void hold_pool_run(struct hold_pool *pool, uint32_t n, void (*piece)(void *context, uint32_t i), void *context) {
    if (n <= 1 || pool->n_started == 0) {
        for (uint32_t i = 0; i < n; i++)
            piece(context, i);
        return;
    }
    pool->piece = piece;
    pool->context = context;
    atomic_store(&pool->done, 0);
    uint64_t generation = (atomic_load(&pool->ticket) >> 32) + 1;
    /* An old n beside a new ticket, or the other way round, must give nobody a piece: first no pieces, then the new job. */
    atomic_store(&pool->n, 0);
    atomic_store(&pool->ticket, (generation & UINT32_MAX) << 32);
    atomic_store(&pool->n, n);
    atomic_fetch_add(&pool->wake, 1);
    if (atomic_load(&pool->sleepers) > 0)
        futex_wake(&pool->wake, (int) pool->n_started);
    work(pool);
    for (uint32_t done; (done = atomic_load(&pool->done)) != n;)
        wait_change(&pool->done, done, &pool->caller_sleeps);
}

struct hold_pool *hold_pool_new(uint32_t n_threads) {
    struct hold_pool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
    if (!pool)
        return NULL;
    memset(pool, 0, sizeof *pool);
    pool->n_threads = n_threads < 1 ? 1 : n_threads > MOST_THREADS ? MOST_THREADS : n_threads;
    for (uint32_t i = 1; i < pool->n_threads; i++)
        if (pthread_create(&pool->threads[pool->n_started], NULL, thread_main, pool) == 0)
            pool->n_started++;
    return pool;
}

void hold_pool_free(struct hold_pool *pool) {
    if (!pool)
        return;
    atomic_store(&pool->stops, true);
    atomic_fetch_add(&pool->wake, 1);
    futex_wake(&pool->wake, (int) MOST_THREADS);
    for (uint32_t i = 0; i < pool->n_started; i++)
        pthread_join(pool->threads[i], NULL);
    free(pool);
}

uint32_t hold_pool_threads(const struct hold_pool *pool) {
    return pool->n_started + 1;
}

/* "max 100000" or "200000 100000" of cgroup v2, or v1's two files: CPUs rounded up, or 0 where there is no quota. */
static uint32_t quota_of(const char *path, const char *period_path) {
    char quota[32] = "";
    double used = 0, period = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    int n = fscanf(f, "%31s %lf", quota, &period);
    fclose(f);
    if (n >= 1 && period_path && (f = fopen(period_path, "re"))) {
        n = fscanf(f, "%lf", &period) == 1 ? 2 : 1;
        fclose(f);
    }
    if (n < 2 || sscanf(quota, "%lf", &used) != 1 || !(used > 0) || !(period > 0) || used / period > MOST_THREADS)
        return 0;
    uint32_t whole = (uint32_t) (used / period);
    return whole + ((double) whole < used / period);
}

uint32_t hold_pool_default_threads(void) {
    cpu_set_t set;
    uint32_t n = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t) CPU_COUNT(&set) : 1;
    const uint32_t quotas[] = {
        quota_of("/sys/fs/cgroup/cpu.max", NULL),
        quota_of("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    };
    for (int i = 0; i < 2; i++)
        n = quotas[i] > 0 && quotas[i] < n ? quotas[i] : n;
    return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}
