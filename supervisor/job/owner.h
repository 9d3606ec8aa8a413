/* owner.h - the record that says who brings a file, where several fetchers share a folder. Floor: supervisor/job.
 *
 * ".holdfast-<key>.owner" lies beside the target. The one that brings the file makes it and writes it anew about once a
 * second: a token of its own, a counter, bytes in hand, host and process. Everybody else reads it, and takes over when it
 * stood still for a while that the reader itself was awake to see. Clocks, process ids and locks of another host are never
 * trusted. Where flock is kept by the kernel it only makes a death known at once. The record saves bandwidth and nothing
 * else: whoever is mistaken about it still writes a partial of its own, which its digest proves before it gets its name. */
#ifndef HOLD_SUPERVISOR_JOB_OWNER_H
#define HOLD_SUPERVISOR_JOB_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_OWNER_BYTES 224u /* of a record, always; padded with blanks */

struct hold_owner_text {
    uint64_t token, counter, done, total; /* total UINT64_MAX: unknown */
    uint64_t pid;
    uint64_t is_locked; /* 1: flock is held on the record, and the kernel keeps it */
    char host[64]; /* letters, digits, '.', '-', '_' only; for people */
};

/* One who holds a record, or wants to. Zeroed with fd -1 before hold_owner_take. */
struct hold_owner {
    int folder_fd; /* borrowed */
    int fd;        /* the record; -1: none is held */
    uint8_t key[8];
    struct hold_owner_text text;
};

/* What a reader saw last. Zeroed before the first look. */
struct hold_owner_seen {
    char bytes[HOLD_OWNER_BYTES];
    uint64_t looked_ms, still_ms; /* of the reader's clock; still: how long the same bytes were seen */
    bool has_bytes;
};

enum hold_owner_look {
    HOLD_OWNER_NONE,  /* no record: the file is anybody's */
    HOLD_OWNER_MOVES, /* wait */
    HOLD_OWNER_DEAD,  /* stood still long enough, or its lock has fallen: hold_owner_evict, then take */
};

/* n bytes of a record; false when they are not exactly one. */
bool hold_owner_parse(const char *bytes, size_t n, struct hold_owner_text *ret_text);
/* text as HOLD_OWNER_BYTES bytes with a newline at the end. */
void hold_owner_write(const struct hold_owner_text *text, char out[HOLD_OWNER_BYTES]);

/* Makes the record; false when there is one already or none can be made (errno: EEXIST for the first). uses_flock: hold its lock too. */
bool hold_owner_take(struct hold_owner *owner, int folder_fd, const uint8_t key[8], uint64_t total, bool uses_flock);
/* The counter moves on, with done bytes in hand. False when the record is gone or another's. */
bool hold_owner_beat(struct hold_owner *owner, uint64_t done);
/* Whether the record is there and ours, without moving it; one that cannot be read for the moment counts as ours. */
bool hold_owner_is_ours(const struct hold_owner *owner);
/* Removes the record when it is still ours, after what dead takers left beside it and, when the file is done, every partial and map of
 * its key: the record goes last, so that whoever finds none finds nothing. Closes it. Accepts one that holds none. */
void hold_owner_drop(struct hold_owner *owner, bool is_done);

/* Reads the record of another. A stretch between two looks counts for at most twice every_ms as "seen", so a reader that slept itself
 * does not take the others for dead. ret_text is zeroed when the bytes are no record. */
enum hold_owner_look hold_owner_look(int folder_fd, const uint8_t key[8], uint64_t now_ms, uint64_t still_ms, uint64_t every_ms, bool uses_flock,
                                     struct hold_owner_seen *seen, struct hold_owner_text *ret_text);
/* Takes the record that was seen away, and no other. */
void hold_owner_evict(int folder_fd, const uint8_t key[8], const struct hold_owner_seen *seen);

/* File systems on which the kernel keeps flock between all that can see the file. */
bool hold_locks_are_kept(int fd);

#endif
