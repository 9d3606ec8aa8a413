/* store.h - what outlives a child: the listening socket, the plan, descriptors of its weights. Floor: host.
 *
 * systemd's FDSTORE semantics: a child hands a descriptor up under a name and the next life gets it back (LISTEN_FDS,
 * LISTEN_FDNAMES). The store keeps at most HOLD_STORE_MAX of them; a plan replaces the older plan. */
#ifndef HOLD_HOST_STORE_H
#define HOLD_HOST_STORE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_STORE_MAX 6
#define HOLD_STORE_NAME_BYTES 256 /* with the end mark; systemd's limit */

struct hold_store_entry {
    char name[HOLD_STORE_NAME_BYTES];
    int fd;
    int owner; /* index of the member that stored it and gets it back; -1: process 1's own */
};

struct hold_store {
    struct hold_store_entry entries[HOLD_STORE_MAX];
    size_t n;
    int watch_fd; /* an epoll set that is readable when a watched descriptor is dead; 0: none was made */
};

enum {
    HOLD_STORE_BESIDE = 1,  /* a name that the owner has already gets a second descriptor, unless it is the very same one */
    HOLD_STORE_WATCHED = 2, /* dropped when its other end is gone, if it is a kind of descriptor that can tell */
};

/* Makes watch_fd; without it nothing is watched. */
HOLD_MUST int hold_store_watch(struct hold_store *s, struct hold_err *err);
/* Drops one watched descriptor that is dead: its name, or false when there is none. */
bool hold_store_drop_dead(struct hold_store *s, char ret_name[HOLD_STORE_NAME_BYTES]);
/* 1..255 printable ASCII characters but ':', which parts the names of LISTEN_FDNAMES. */
bool hold_store_is_name(const char *name);
/* Takes fd over (also on failure: closed). Without BESIDE a name that the owner has already is replaced. Fails with LIMIT when
 * full, FORMAT for what is no name. */
HOLD_MUST int hold_store_put(struct hold_store *s, int owner, const char *name, int fd, uint32_t how, struct hold_err *err);
/* The descriptor (still the store's), or -1. */
int hold_store_find(const struct hold_store *s, const char *name);
/* Closes and forgets what this owner stored under name; NULL: everything of this owner. */
void hold_store_drop(struct hold_store *s, int owner, const char *name);
void hold_store_release(struct hold_store *s);

/* A listening TCP socket at an address in address.h's form. Taken: BUSY. */
HOLD_MUST int hold_store_listen(const char *address, int *ret_fd, struct hold_err *err);

#endif
