/* fibre.c - block threads as fibres. Floor: kernels/emu. Test part.
 *
 * A fibre is made once (makecontext) and then kept: it runs one thread of one block after the other and is switched by
 * _setjmp and _longjmp, which cost no system call. */
#include "kernels/emu/fibre.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MOST_THREADS = 1024, STACK_BYTES = 64 * 1024, WARP = 32 };

struct hold_emu_point hold_emu_thread, hold_emu_block, hold_emu_block_dim, hold_emu_grid_dim;

static struct fibre {
    jmp_buf resume;
    enum hold_emu_wait wait;
    bool is_made;
    float slot;
    int vote;
} fibres[MOST_THREADS];

static jmp_buf scheduler;
static unsigned current, n_threads;
static void (*the_entry)(const void *);
static const void *the_argument;

static void to_scheduler(void) {
    if (_setjmp(fibres[current].resume) == 0)
        _longjmp(scheduler, 1);
}

static void live(void) {
    for (;;) {
        the_entry(the_argument);
        fibres[current].wait = HOLD_EMU_DONE;
        to_scheduler();
    }
}

static void make(unsigned i) {
    static ucontext_t first[MOST_THREADS], back;
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || getcontext(&first[i]) < 0) {
        fprintf(stderr, "emulated device: no memory for a fibre\n");
        abort();
    }
    first[i].uc_stack.ss_sp = stack;
    first[i].uc_stack.ss_size = STACK_BYTES;
    first[i].uc_link = NULL;
    makecontext(&first[i], live, 0);
    fibres[i].is_made = true;
    swapcontext(&back, &first[i]); /* never comes back here: to_scheduler jumps */
}

static void run(unsigned i) {
    current = i;
    hold_emu_thread = (struct hold_emu_point) { i % hold_emu_block_dim.x, i / hold_emu_block_dim.x % hold_emu_block_dim.y,
                                                i / hold_emu_block_dim.x / hold_emu_block_dim.y };
    if (_setjmp(scheduler) != 0)
        return;
    if (fibres[i].is_made)
        _longjmp(fibres[i].resume, 1);
    make(i);
}

void hold_emu_sync(enum hold_emu_wait wait) {
    unsigned me = current;
    fibres[me].wait = wait;
    to_scheduler();
}

int hold_emu_or(int v) {
    fibres[current].vote = v;
    hold_emu_sync(HOLD_EMU_BLOCK);
    int all = 0;
    for (unsigned i = 0; i < n_threads; i++)
        all |= fibres[i].vote;
    hold_emu_sync(HOLD_EMU_BLOCK);
    return all;
}

float hold_emu_exchange(float v, unsigned far) {
    unsigned me = current;
    fibres[me].slot = v;
    hold_emu_sync(HOLD_EMU_WARP);
    float got = fibres[(me & ~(WARP - 1u)) | ((me ^ far) % WARP)].slot;
    hold_emu_sync(HOLD_EMU_WARP);
    return got;
}

/* Opens the barrier of threads first .. end - 1 when each living one waits there. */
static bool open_barrier(unsigned first, unsigned end, enum hold_emu_wait wait) {
    bool any = false;
    for (unsigned i = first; i < end; i++) {
        if (fibres[i].wait != wait && fibres[i].wait != HOLD_EMU_DONE)
            return false;
        any = any || fibres[i].wait == wait;
    }
    for (unsigned i = first; any && i < end; i++)
        if (fibres[i].wait == wait)
            fibres[i].wait = HOLD_EMU_RUN;
    return any;
}

static void run_block(void) {
    for (unsigned i = 0; i < n_threads; i++)
        fibres[i].wait = HOLD_EMU_RUN;
    for (bool is_over = false; !is_over;) {
        for (unsigned i = 0; i < n_threads; i++)
            if (fibres[i].wait == HOLD_EMU_RUN)
                run(i);
        bool moved = open_barrier(0, n_threads, HOLD_EMU_BLOCK);
        for (unsigned first = 0; first < n_threads; first += WARP)
            moved = open_barrier(first, first + WARP < n_threads ? first + WARP : n_threads, HOLD_EMU_WARP) || moved;
        is_over = true;
        for (unsigned i = 0; i < n_threads; i++)
            is_over = is_over && fibres[i].wait == HOLD_EMU_DONE;
        if (!is_over && !moved) {
            fprintf(stderr, "emulated device: a barrier that not every thread reaches\n");
            abort();
        }
    }
}

void hold_emu_run(void (*entry)(const void *), const void *argument, struct hold_emu_point grid, struct hold_emu_point block) {
    n_threads = block.x * block.y * block.z;
    if (n_threads == 0 || n_threads > MOST_THREADS) {
        fprintf(stderr, "emulated device: a block of %u threads\n", n_threads);
        abort();
    }
    the_entry = entry;
    the_argument = argument;
    hold_emu_grid_dim = grid;
    hold_emu_block_dim = block;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                hold_emu_block = (struct hold_emu_point) { x, y, z };
                run_block();
            }
}
