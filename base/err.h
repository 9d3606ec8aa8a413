/* err.h - the error value that every fallible function fills. Floor: base. */
#ifndef HOLD_BASE_ERR_H
#define HOLD_BASE_ERR_H

#define HOLD_MUST __attribute__((warn_unused_result))
#define HOLD_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* One code for each different reaction of a caller; zero is "no error" and never passed to hold_fail. */
#define HOLD_ERRC_LIST(X)                                                                     \
    X(NONE, "none")                                                                           \
    X(CONFIG, "config")  /* what the user wrote is wrong: say so, do not retry */             \
    X(IO, "io")          /* the kernel refused: errno says why */                             \
    X(LIMIT, "limit")    /* a size from outside passes its maximum, or memory ran out */      \
    X(FORMAT, "format")  /* bytes from outside are not what they claim to be */               \
    X(DENIED, "denied")  /* permission, credential or sandbox */                              \
    X(NET, "net")        /* a peer is unreachable, slow or broke off: retry */                \
    X(MISSING, "missing") /* the thing named does not exist */                                \
    X(DEVICE, "device")  /* GPU or driver */                                                  \
    X(BUSY, "busy")      /* somebody else holds it: wait */                                   \
    X(INTERNAL, "internal") /* a promise inside holdfast is broken */

enum hold_errc {
#define X(id, name) HOLD_E_##id,
    HOLD_ERRC_LIST(X)
#undef X
    HOLD_ERRC_COUNT
};

#define HOLD_ERR_TEXT_BYTES 480

/* Fixed size, so that failing cannot fail and nothing needs to be freed. The caller owns it; `= {0}` is empty. */
struct hold_err {
    enum hold_errc code;
    int sys;                        /* errno, or 0 */
    char text[HOLD_ERR_TEXT_BYTES]; /* one sentence, always terminated; cut at the tail when too long */
};

/* Fills err (NULL: nobody wants to know) and returns -1. With sys != 0 ": <errno text>" is appended.
 * Control bytes in the finished text become '?', so that a hostile name cannot forge a log line. */
HOLD_PRINTF(4, 5)
int hold_fail(struct hold_err *err, enum hold_errc code, int sys, const char *format, ...);

/* Puts "<context>: " in front of the text, keeps code and errno, returns -1. */
HOLD_PRINTF(2, 3)
int hold_wrap(struct hold_err *err, const char *format, ...);

/* Short stable name ("io"); never NULL. */
const char *hold_errc_name(enum hold_errc code);

#endif
