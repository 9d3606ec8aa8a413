/* list.h - helpers for X-macro lists. Floor: base.
 *
 * A list is `#define THINGS(X) X(ID, "name") ...`; the enum, its printed names and its count come from that one place. */
#ifndef HOLD_BASE_LIST_H
#define HOLD_BASE_LIST_H

#include <stddef.h>
#include <string.h>

#define HOLD_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define HOLD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HOLD_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The name at an index, or "?" outside the table: a printer never fails. */
static inline const char *hold_name_at(const char *const *names, size_t n_names, size_t index) {
    return index < n_names && names[index] ? names[index] : "?";
}

/* The index of a name, or -1. */
static inline int hold_index_of(const char *const *names, size_t n_names, const char *name) {
    for (size_t i = 0; i < n_names; i++)
        if (names[i] && strcmp(names[i], name) == 0)
            return (int) i;
    return -1;
}

#endif
