/* fibre.h - the threads of one block as fibres of one host thread. Floor: kernels/emu; C and C++. Test part.
 *
 * A fibre runs until it waits at a barrier or ends. A barrier opens when every living thread of its block (or warp of 32)
 * waits at it; when nobody can go on the device function is wrong (a barrier inside a branch that not all take), which is said
 * and ends the process. */
#ifndef HOLD_KERNELS_EMU_FIBRE_H
#define HOLD_KERNELS_EMU_FIBRE_H

#ifdef __cplusplus
extern "C" {
#endif

struct hold_emu_point {
    unsigned x, y, z;
};

/* Of the fibre that runs now. */
extern struct hold_emu_point hold_emu_thread, hold_emu_block, hold_emu_block_dim, hold_emu_grid_dim;

enum hold_emu_wait { HOLD_EMU_RUN, HOLD_EMU_BLOCK, HOLD_EMU_WARP, HOLD_EMU_DONE };

/* From inside a fibre: waits for the others of the block or warp. */
void hold_emu_sync(enum hold_emu_wait wait);
/* The or of v over the block; the value of the lane whose number differs by the bits of far. */
int hold_emu_or(int v);
float hold_emu_exchange(float v, unsigned far);

/* Runs entry(argument) for every thread of every block of the grid, blocks in order. At most 1,024 threads a block. */
void hold_emu_run(void (*entry)(const void *), const void *argument, struct hold_emu_point grid, struct hold_emu_point block);

#ifdef __cplusplus
}
#endif

#endif
