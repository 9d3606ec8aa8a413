/* pickle.h - the pickle of a PyTorch checkpoint to plain values; nothing of it is ever executed. Floor: runtime/weights, pure.
 *
 * A pickle is a program. This walker knows the opcodes that torch.save writes for dictionaries, lists, numbers, strings and
 * tensors (protocol 2), names no module, and takes only the globals of a list (torch/_utils' rebuild functions, storage
 * types, dtypes, OrderedDict, Size, device): a call of one of them becomes a value that says so. All else is refused by name.
 * Time and memory are linear in the bytes of the pickle; there is no recursion here. */
#ifndef HOLD_RUNTIME_WEIGHTS_PICKLE_H
#define HOLD_RUNTIME_WEIGHTS_PICKLE_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_PICKLE_MAX_BYTES (32u << 20)
#define HOLD_PICKLE_MAX_STACK 65536u /* torch.save hands over at most 1,000 items at once */
#define HOLD_PICKLE_MAX_MEMO (1u << 20)

enum hold_pickle_kind {
    HOLD_PICKLE_NONE,
    HOLD_PICKLE_BOOL,
    HOLD_PICKLE_INT,
    HOLD_PICKLE_FLOAT, /* or a whole number of more than 64 bits */
    HOLD_PICKLE_STR,
    HOLD_PICKLE_TUPLE,
    HOLD_PICKLE_LIST,
    HOLD_PICKLE_DICT,   /* items are key, value, key, value */
    HOLD_PICKLE_GLOBAL,
    HOLD_PICKLE_PERSID, /* torch's way of naming a storage: items[0] is a tuple */
    HOLD_PICKLE_CALL,   /* items[0] is the global, the rest its arguments */
    HOLD_PICKLE_MARK,   /* never in a result */
};

enum hold_pickle_global {
    HOLD_GLOBAL_ORDERED_DICT,
    HOLD_GLOBAL_SIZE,
    HOLD_GLOBAL_DEVICE,
    HOLD_GLOBAL_TENSOR,    /* _rebuild_tensor(storage, offset, size, stride) */
    HOLD_GLOBAL_TENSOR_V2, /* the same, requires_grad, hooks [, metadata] */
    HOLD_GLOBAL_TENSOR_V3, /* the same, requires_grad, hooks, dtype [, metadata] */
    HOLD_GLOBAL_PARAMETER, /* _rebuild_parameter(tensor, requires_grad, hooks) */
    HOLD_GLOBAL_STORAGE,   /* a storage type */
    HOLD_GLOBAL_DTYPE,
};

/* One row of the list of globals. */
struct hold_pickle_name {
    const char *module, *name;
    enum hold_pickle_global kind;
    const char *dtype; /* of a storage or dtype, as safetensors spells it; "" for untyped bytes; NULL: none */
    uint32_t bytes;    /* of one element */
};

struct hold_pickle_value {
    enum hold_pickle_kind kind;
    bool is_seen;                         /* for the caller's own walk; false at first */
    int64_t number;                       /* INT, BOOL */
    const char *text;                     /* STR: in the pickle, not terminated */
    size_t n, capacity;                   /* bytes of text, or items */
    struct hold_pickle_value **items;
    const struct hold_pickle_name *global;
    const char *label;                    /* CALL: for the caller's own walk; NULL at first */
    struct hold_pickle_value *next;       /* of the same kind: PERSID and CALL */
};

/* Lives in the arena it was made in; strings in the pickle's bytes. */
struct hold_pickle {
    struct hold_pickle_value *root;
    struct hold_pickle_value *persids, *calls; /* all there are, linked by next, whether the root leads to them or not */
    size_t n_persids;
    size_t bytes; /* of the pickle, up to and with its STOP */
};

/* Reads one pickle at the start of bytes; what may follow is the caller's. what names the file in messages. Fails with FORMAT
 * (opcode, global or rule, and the byte) or LIMIT. */
HOLD_MUST int hold_pickle_walk(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_pickle *ret_pickle,
                               struct hold_err *err);
/* The value of a string key of a DICT, or NULL. The last one counts, as in Python. */
struct hold_pickle_value *hold_pickle_get(const struct hold_pickle_value *dict, const char *key);
bool hold_pickle_str_is(const struct hold_pickle_value *v, const char *text);

#endif
