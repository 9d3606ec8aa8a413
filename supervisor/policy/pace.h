/* pace.h - how many connections a large file is worth. Floor: supervisor/policy, pure.
 *
 * One stream costs the least: its bytes are hashed on their way. More connections pay only where something limits each of them, and
 * that cannot be known, only tried: the speed of n is measured, then that of 2 n, and the larger number stays when it brought a
 * quarter more. What did not pay is tried again later, less and less often. While our own disk and digest take more than a third of
 * the time, the connection is not what limits, and nothing is tried. */
#ifndef HOLD_SUPERVISOR_POLICY_PACE_H
#define HOLD_SUPERVISOR_POLICY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define HOLD_PACE_OWN_PCT 33u /* measured: about 50 where nothing limits a stream, below 15 at 200 MB/s a connection */
#define HOLD_PACE_AGAIN_MS 10000u
#define HOLD_PACE_AGAIN_MAX_MS 320000u

struct hold_pace {
    uint32_t max;       /* connections at most, >= 1 */
    uint64_t window_ms; /* each number is measured for so long; 0: all at once, nothing is measured */
    /* state, zeroed at first */
    uint32_t wanted;                   /* 0: not begun */
    uint32_t before;                   /* the number that wanted is compared with; 0: none yet */
    uint64_t rate_before;              /* bytes a second of that */
    uint64_t begun_ms, begun_bytes, begun_own_ms; /* of the window */
    bool is_settled;
    uint64_t again_at_ms, again_ms;
};

/* How many connections are wanted now, 1 to max. bytes: of the file, in hand; it may shrink. own_ms: all the time so far that the first
 * connection waited for disk and digest. running: connections at work; a window begins when as many as wanted are. Call it often: it
 * looks at the clock given. */
uint32_t hold_pace_step(struct hold_pace *pace, uint64_t now_ms, uint64_t bytes, uint64_t own_ms, uint32_t running);

#endif
