/* pickle.c - the pickle of a PyTorch checkpoint to plain values. Floor: runtime/weights, pure.
 * Source: CPython's pickletools (protocol 2), torch/serialization.py and torch/_weights_only_unpickler.py of PyTorch 2.x. */
#include "runtime/weights/pickle.h"

#include "base/list.h"
#include "base/utf8.h"

#include <string.h>

enum { MAX_GLOBAL_BYTES = 128 };

static const struct hold_pickle_name globals[] = {
    { "collections", "OrderedDict", HOLD_GLOBAL_ORDERED_DICT, NULL, 0 },
    { "torch", "Size", HOLD_GLOBAL_SIZE, NULL, 0 },
    { "torch", "device", HOLD_GLOBAL_DEVICE, NULL, 0 },
    { "torch._utils", "_rebuild_tensor", HOLD_GLOBAL_TENSOR, NULL, 0 },
    { "torch._utils", "_rebuild_tensor_v2", HOLD_GLOBAL_TENSOR_V2, NULL, 0 },
    { "torch._utils", "_rebuild_tensor_v3", HOLD_GLOBAL_TENSOR_V3, NULL, 0 },
    { "torch._utils", "_rebuild_parameter", HOLD_GLOBAL_PARAMETER, NULL, 0 },
    { "torch.storage", "UntypedStorage", HOLD_GLOBAL_STORAGE, "", 1 },
    { "torch", "UntypedStorage", HOLD_GLOBAL_STORAGE, "", 1 },
#define STORAGE(name, dtype, bytes) { "torch", name "Storage", HOLD_GLOBAL_STORAGE, dtype, bytes }, { "torch.cuda", name "Storage", HOLD_GLOBAL_STORAGE, dtype, bytes }
    STORAGE("Double", "F64", 8), STORAGE("Float", "F32", 4), STORAGE("Half", "F16", 2), STORAGE("BFloat16", "BF16", 2),
    STORAGE("Long", "I64", 8), STORAGE("Int", "I32", 4), STORAGE("Short", "I16", 2), STORAGE("Char", "I8", 1),
    STORAGE("Byte", "U8", 1), STORAGE("Bool", "BOOL", 1), STORAGE("ComplexFloat", "C64", 8), STORAGE("ComplexDouble", "C128", 16),
#undef STORAGE
#define DTYPE(name, dtype, bytes) { "torch", name, HOLD_GLOBAL_DTYPE, dtype, bytes }
    DTYPE("float64", "F64", 8), DTYPE("float32", "F32", 4), DTYPE("float16", "F16", 2), DTYPE("bfloat16", "BF16", 2),
    DTYPE("int64", "I64", 8), DTYPE("int32", "I32", 4), DTYPE("int16", "I16", 2), DTYPE("int8", "I8", 1), DTYPE("uint8", "U8", 1),
    DTYPE("uint16", "U16", 2), DTYPE("uint32", "U32", 4), DTYPE("uint64", "U64", 8), DTYPE("bool", "BOOL", 1),
    DTYPE("complex64", "C64", 8), DTYPE("complex128", "C128", 16), DTYPE("float8_e4m3fn", "F8_E4M3", 1), DTYPE("float8_e5m2", "F8_E5M2", 1),
    DTYPE("float8_e4m3fnuz", "F8_E4M3FNUZ", 1), DTYPE("float8_e5m2fnuz", "F8_E5M2FNUZ", 1), DTYPE("float8_e8m0fnu", "F8_E8M0", 1),
#undef DTYPE
};

struct machine {
    const uint8_t *bytes;
    size_t n, at; /* at: behind the opcode in hand */
    const char *what;
    struct hold_arena *arena;
    struct hold_err *err;
    struct hold_pickle_value **stack;
    size_t depth;
    struct hold_pickle_value **memo;
    size_t n_memo, memo_capacity;
    struct hold_pickle *out;
};

static int fail(struct machine *m, const char *rule) {
    return hold_fail(m->err, HOLD_E_FORMAT, 0, "%s: pickle, byte %zu: %s", m->what, m->at, rule);
}

static int no_memory(struct machine *m) {
    return hold_fail(m->err, HOLD_E_LIMIT, 0, "%s: pickle, byte %zu: its values need more memory than a checkpoint's do", m->what, m->at);
}

/* n bytes of an argument, or NULL (the error is set). */
static const uint8_t *take(struct machine *m, size_t n) {
    if (n > m->n - m->at) {
        (void) fail(m, m->n == HOLD_PICKLE_MAX_BYTES ? "longer than the 32 MiB that a checkpoint's may have" : "cut short");
        return NULL;
    }
    m->at += n;
    return m->bytes + m->at - n;
}

static int take_number(struct machine *m, size_t bytes, uint64_t *ret) {
    const uint8_t *b = take(m, bytes);
    if (!b)
        return -1;
    *ret = 0;
    for (size_t i = bytes; i--;)
        *ret = *ret << 8 | b[i];
    return 0;
}

static struct hold_pickle_value *make(struct machine *m, enum hold_pickle_kind kind) {
    struct hold_pickle_value *v = hold_arena_take(m->arena, sizeof *v);
    if (v)
        v->kind = kind;
    else
        (void) no_memory(m);
    return v;
}

static int push(struct machine *m, struct hold_pickle_value *v) {
    if (!v)
        return -1;
    if (m->depth == HOLD_PICKLE_MAX_STACK)
        return hold_fail(m->err, HOLD_E_LIMIT, 0, "%s: pickle, byte %zu: more than %u values on the stack", m->what, m->at, HOLD_PICKLE_MAX_STACK);
    m->stack[m->depth++] = v;
    return 0;
}

static int push_number(struct machine *m, enum hold_pickle_kind kind, int64_t number) {
    struct hold_pickle_value *v = make(m, kind);
    if (v)
        v->number = number;
    return push(m, v);
}

static int push_text(struct machine *m, size_t n) {
    const uint8_t *text = take(m, n);
    for (size_t i = 0, length; text && i < n; i += length)
        if ((length = hold_utf8_length(text + i, n - i)) == 0)
            return fail(m, "a string is not UTF-8");
    struct hold_pickle_value *v = text ? make(m, HOLD_PICKLE_STR) : NULL;
    if (v) {
        v->text = (const char *) text;
        v->n = n;
    }
    return push(m, v);
}

/* The value n below the top, no mark among those above it; NULL and the error otherwise. */
static struct hold_pickle_value *peek(struct machine *m, size_t n) {
    for (size_t i = 1; i <= n + 1; i++)
        if (m->depth < i || m->stack[m->depth - i]->kind == HOLD_PICKLE_MARK) {
            (void) fail(m, "a value is wanted where the stack has none");
            return NULL;
        }
    return m->stack[m->depth - 1 - n];
}

/* Place of the topmost mark; SIZE_MAX and the error otherwise. */
static size_t mark_find(struct machine *m) {
    for (size_t i = m->depth; i--;)
        if (m->stack[i]->kind == HOLD_PICKLE_MARK)
            return i;
    (void) fail(m, "a mark is wanted where the stack has none");
    return SIZE_MAX;
}

static int append(struct machine *m, struct hold_pickle_value *to, struct hold_pickle_value *item) {
    if (to->n == to->capacity) {
        const size_t capacity = to->capacity ? 2 * to->capacity : 4;
        struct hold_pickle_value **items = hold_arena_array(m->arena, capacity, sizeof(struct hold_pickle_value *));
        if (!items)
            return no_memory(m);
        if (to->n)
            memcpy(items, to->items, to->n * sizeof(struct hold_pickle_value *));
        to->items = items;
        to->capacity = capacity;
    }
    to->items[to->n++] = item;
    return 0;
}

static int set_item(struct machine *m, struct hold_pickle_value *dict, struct hold_pickle_value *key, struct hold_pickle_value *value) {
    if (dict->kind != HOLD_PICKLE_DICT)
        return fail(m, "SETITEM on what is no dictionary");
    if (key->kind != HOLD_PICKLE_STR && key->kind != HOLD_PICKLE_INT)
        return fail(m, "a key is neither a string nor a whole number");
    return append(m, dict, key) < 0 || append(m, dict, value) < 0 ? -1 : 0;
}

/* The values from place on become a tuple in their stead. */
static int tuple_from(struct machine *m, size_t from, size_t drop) {
    struct hold_pickle_value *v = make(m, HOLD_PICKLE_TUPLE);
    if (!v)
        return -1;
    for (size_t i = from; i < m->depth; i++)
        if (append(m, v, m->stack[i]) < 0)
            return -1;
    m->depth = from - drop;
    return push(m, v);
}

static int tuple_of(struct machine *m, size_t n) {
    return n && !peek(m, n - 1) ? -1 : tuple_from(m, m->depth - n, 0);
}

static int memo_put(struct machine *m, uint64_t index) {
    struct hold_pickle_value *v = peek(m, 0);
    if (!v)
        return -1;
    /* Picklers number from 0 or, in Python 2, from 1. */
    if (index >= HOLD_PICKLE_MAX_MEMO || index > m->n_memo + 1)
        return fail(m, "the memo is not filled in order");
    if (index >= m->memo_capacity) {
        const size_t capacity = m->memo_capacity ? 2 * m->memo_capacity : 64;
        struct hold_pickle_value **memo = hold_arena_array(m->arena, capacity, sizeof(struct hold_pickle_value *));
        if (!memo)
            return no_memory(m);
        if (m->memo)
            memcpy(memo, m->memo, m->memo_capacity * sizeof(struct hold_pickle_value *));
        m->memo = memo;
        m->memo_capacity = capacity;
    }
    m->memo[index] = v;
    m->n_memo = HOLD_MAX(m->n_memo, (size_t) index + 1);
    return 0;
}

static int memo_get(struct machine *m, uint64_t index) {
    if (index >= m->n_memo || !m->memo[index])
        return fail(m, "the memo has nothing of that number");
    return push(m, m->memo[index]);
}

static const uint8_t *line(struct machine *m, size_t *ret_n) {
    const uint8_t *begin = m->bytes + m->at;
    const uint8_t *end = memchr(begin, '\n', HOLD_MIN(m->n - m->at, (size_t) MAX_GLOBAL_BYTES));
    if (!end) {
        (void) fail(m, "a global's name does not end");
        return NULL;
    }
    *ret_n = (size_t) (end - begin);
    m->at += *ret_n + 1;
    return begin;
}

static bool equals(const uint8_t *bytes, size_t n, const char *text) {
    return strlen(text) == n && memcmp(bytes, text, n) == 0;
}

static int push_global(struct machine *m) {
    size_t module_n, name_n;
    const size_t at = m->at;
    const uint8_t *module = line(m, &module_n), *name = module ? line(m, &name_n) : NULL;
    if (!name)
        return -1;
    for (size_t i = 0; i < HOLD_COUNT_OF(globals); i++)
        if (equals(module, module_n, globals[i].module) && equals(name, name_n, globals[i].name)) {
            struct hold_pickle_value *v = make(m, HOLD_PICKLE_GLOBAL);
            if (v)
                v->global = &globals[i];
            return push(m, v);
        }
    return hold_fail(m->err, HOLD_E_FORMAT, 0, "%s: pickle, byte %zu: it names '%.*s.%.*s', which tensors do not need; nothing of it was executed", m->what, at,
                     (int) module_n, (const char *) module, (int) name_n, (const char *) name);
}

/* OrderedDict(), or what Python 2 writes: OrderedDict([[key, value], ...]). */
static int ordered_dict(struct machine *m, const struct hold_pickle_value *arguments) {
    struct hold_pickle_value *dict = make(m, HOLD_PICKLE_DICT);
    if (!dict)
        return -1;
    dict->global = &globals[0];
    const struct hold_pickle_value *list = arguments->n == 1 ? arguments->items[0] : NULL;
    if (arguments->n > 1 || (list && list->kind != HOLD_PICKLE_LIST))
        return fail(m, "OrderedDict is called with something else than nothing or a list of pairs");
    for (size_t i = 0; list && i < list->n; i++) {
        const struct hold_pickle_value *pair = list->items[i];
        if ((pair->kind != HOLD_PICKLE_LIST && pair->kind != HOLD_PICKLE_TUPLE) || pair->n != 2)
            return fail(m, "OrderedDict is called with something else than nothing or a list of pairs");
        if (set_item(m, dict, pair->items[0], pair->items[1]) < 0)
            return -1;
    }
    return push(m, dict);
}

static int call(struct machine *m, struct hold_pickle_value *function, const struct hold_pickle_value *arguments) {
    struct hold_pickle_value *v = make(m, HOLD_PICKLE_CALL);
    if (!v || append(m, v, function) < 0)
        return -1;
    for (size_t i = 0; i < arguments->n; i++)
        if (append(m, v, arguments->items[i]) < 0)
            return -1;
    v->global = function->global;
    v->next = m->out->calls;
    m->out->calls = v;
    return push(m, v);
}

static int reduce(struct machine *m) {
    struct hold_pickle_value *function = peek(m, 1), *arguments = peek(m, 0);
    if (!function || !arguments)
        return -1;
    if (function->kind != HOLD_PICKLE_GLOBAL || arguments->kind != HOLD_PICKLE_TUPLE)
        return fail(m, "REDUCE calls what is no global, or with what is no tuple");
    m->depth -= 2;
    switch (function->global->kind) {
    case HOLD_GLOBAL_ORDERED_DICT: return ordered_dict(m, arguments);
    case HOLD_GLOBAL_SIZE:
        if (arguments->n != 1 || arguments->items[0]->kind != HOLD_PICKLE_TUPLE)
            return fail(m, "Size is called with something else than a tuple");
        return push(m, arguments->items[0]);
    case HOLD_GLOBAL_DEVICE:
    case HOLD_GLOBAL_TENSOR:
    case HOLD_GLOBAL_TENSOR_V2:
    case HOLD_GLOBAL_TENSOR_V3:
    case HOLD_GLOBAL_PARAMETER: return call(m, function, arguments);
    case HOLD_GLOBAL_STORAGE:
    case HOLD_GLOBAL_DTYPE: break;
    }
    return fail(m, "a storage type or dtype is called like a function");
}

/* OrderedDict's own attributes (_metadata of a state dict): looked at, then left out. */
static int build(struct machine *m) {
    const struct hold_pickle_value *object = peek(m, 1), *state = peek(m, 0);
    if (!object || !state)
        return -1;
    if (object->kind != HOLD_PICKLE_DICT || !object->global || state->kind != HOLD_PICKLE_DICT)
        return fail(m, "BUILD on something else than an OrderedDict with a dictionary");
    m->depth--;
    return 0;
}

static int persid(struct machine *m) {
    struct hold_pickle_value *id = peek(m, 0), *v = id ? make(m, HOLD_PICKLE_PERSID) : NULL;
    if (!v || append(m, v, id) < 0)
        return -1;
    v->next = m->out->persids;
    m->out->persids = v;
    m->out->n_persids++;
    m->depth--;
    return push(m, v);
}

static int set_items(struct machine *m) {
    const size_t mark = mark_find(m);
    if (mark == SIZE_MAX)
        return -1;
    if (mark == 0 || (m->depth - mark) % 2 == 0)
        return fail(m, "SETITEMS without pairs or without a dictionary");
    for (size_t i = mark + 1; i < m->depth; i += 2)
        if (set_item(m, m->stack[mark - 1], m->stack[i], m->stack[i + 1]) < 0)
            return -1;
    m->depth = mark;
    return 0;
}

static int appends(struct machine *m, size_t from, size_t drop) {
    if (from < 1 + drop || m->stack[from - drop - 1]->kind != HOLD_PICKLE_LIST)
        return fail(m, "APPEND on what is no list");
    for (size_t i = from; i < m->depth; i++)
        if (append(m, m->stack[from - drop - 1], m->stack[i]) < 0)
            return -1;
    m->depth = from - drop;
    return 0;
}

/* Whole numbers of up to 255 bytes; those of more than 8 are kept as "a number". */
static int push_long(struct machine *m) {
    uint64_t n, value = 0;
    if (take_number(m, 1, &n) < 0)
        return -1;
    const uint8_t *b = take(m, (size_t) n);
    if (!b)
        return -1;
    if (n > 8)
        return push(m, make(m, HOLD_PICKLE_FLOAT));
    for (size_t i = (size_t) n; i--;)
        value = value << 8 | b[i];
    if (n && n < 8 && b[n - 1] & 0x80)
        value |= UINT64_MAX << (8 * n);
    return push_number(m, HOLD_PICKLE_INT, (int64_t) value);
}

static int text_of(struct machine *m, size_t length_bytes) {
    uint64_t n;
    return take_number(m, length_bytes, &n) < 0 ? -1 : push_text(m, (size_t) n);
}

static int number_of(struct machine *m, size_t bytes) {
    uint64_t n;
    if (take_number(m, bytes, &n) < 0)
        return -1;
    return push_number(m, HOLD_PICKLE_INT, bytes == 4 ? (int64_t) (int32_t) (uint32_t) n : (int64_t) n);
}

static int memo_of(struct machine *m, size_t bytes, int (*does)(struct machine *m, uint64_t index)) {
    uint64_t index;
    return take_number(m, bytes, &index) < 0 ? -1 : does(m, index);
}

/* Opcodes that only make, name or move values. */
static int step_simple(struct machine *m, uint8_t opcode) {
    switch (opcode) {
    case '(': return push(m, make(m, HOLD_PICKLE_MARK));
    case 'N': return push(m, make(m, HOLD_PICKLE_NONE));
    case 0x88: return push_number(m, HOLD_PICKLE_BOOL, 1);
    case 0x89: return push_number(m, HOLD_PICKLE_BOOL, 0);
    case 'J': return number_of(m, 4);
    case 'K': return number_of(m, 1);
    case 'M': return number_of(m, 2);
    case 0x8a: return push_long(m);
    case 'G': return take(m, 8) ? push(m, make(m, HOLD_PICKLE_FLOAT)) : -1;
    case 'X':
    case 'T': return text_of(m, 4);
    case 'U': return text_of(m, 1);
    case ')': return push(m, make(m, HOLD_PICKLE_TUPLE));
    case ']': return push(m, make(m, HOLD_PICKLE_LIST));
    case '}': return push(m, make(m, HOLD_PICKLE_DICT));
    case 'c': return push_global(m);
    case 'q': return memo_of(m, 1, memo_put);
    case 'r': return memo_of(m, 4, memo_put);
    case 'h': return memo_of(m, 1, memo_get);
    case 'j': return memo_of(m, 4, memo_get);
    default: return hold_fail(m->err, HOLD_E_FORMAT, 0, "%s: pickle, byte %zu: opcode %#04x, which torch.save does not write", m->what, m->at - 1, opcode);
    }
}

/* Opcodes that put values together. */
static int step(struct machine *m, uint8_t opcode) {
    size_t mark;
    switch (opcode) {
    case 't': return (mark = mark_find(m)) == SIZE_MAX ? -1 : tuple_from(m, mark + 1, 1);
    case 0x85: return tuple_of(m, 1);
    case 0x86: return tuple_of(m, 2);
    case 0x87: return tuple_of(m, 3);
    case 'a': return peek(m, 1) ? appends(m, m->depth - 1, 0) : -1;
    case 'e': return (mark = mark_find(m)) == SIZE_MAX ? -1 : appends(m, mark + 1, 1);
    case 'u': return set_items(m);
    case 's':
        if (!peek(m, 2) || set_item(m, m->stack[m->depth - 3], m->stack[m->depth - 2], m->stack[m->depth - 1]) < 0)
            return -1;
        m->depth -= 2;
        return 0;
    case 'R': return reduce(m);
    case 'b': return build(m);
    case 'Q': return persid(m);
    default: return step_simple(m, opcode);
    }
}

int hold_pickle_walk(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_pickle *ret_pickle, struct hold_err *err) {
    struct hold_pickle out = { 0 };
    struct machine m = { .bytes = bytes, .n = HOLD_MIN(n, (size_t) HOLD_PICKLE_MAX_BYTES), .what = what, .arena = arena, .err = err, .out = &out };
    m.stack = hold_arena_array(arena, HOLD_PICKLE_MAX_STACK, sizeof(struct hold_pickle_value *));
    if (!m.stack)
        return no_memory(&m);
    const uint8_t *head = take(&m, 2);
    if (!head)
        return -1;
    if (head[0] != 0x80 || head[1] != 2)
        return fail(&m, "it is not of protocol 2, which torch.save writes");
    for (;;) {
        const uint8_t *opcode = take(&m, 1);
        if (!opcode)
            return -1;
        if (*opcode == '.')
            break;
        if (step(&m, *opcode) < 0)
            return -1;
    }
    if (m.depth != 1 || m.stack[0]->kind == HOLD_PICKLE_MARK)
        return fail(&m, "it does not end with one value");
    out.root = m.stack[0];
    out.bytes = m.at;
    *ret_pickle = out;
    return 0;
}

bool hold_pickle_str_is(const struct hold_pickle_value *v, const char *text) {
    return v && v->kind == HOLD_PICKLE_STR && v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}

struct hold_pickle_value *hold_pickle_get(const struct hold_pickle_value *dict, const char *key) {
    if (dict->kind == HOLD_PICKLE_DICT)
        for (size_t i = dict->n; i >= 2; i -= 2)
            if (hold_pickle_str_is(dict->items[i - 2], key))
                return dict->items[i - 1];
    return NULL;
}
