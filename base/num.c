/* num.c - strict numbers. Floor: base.
 *
 * Everything is read digit by digit instead of with strtod and friends: those skip blanks, take signs, hexadecimal, "inf"
 * and "nan", and follow the locale. */
#include "base/num.h"

#include "base/list.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *read_digits(const char *p, uint64_t *ret_value, bool *ret_fits) {
    uint64_t value = 0;
    bool fits = true;
    for (; is_digit(*p); p++)
        fits = fits && hold_mul_u64(value, 10, &value) && hold_add_u64(value, (uint64_t) (*p - '0'), &value);
    *ret_value = value;
    *ret_fits = fits;
    return p;
}

int hold_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, struct hold_err *err) {
    uint64_t value;
    bool fits;
    if (!is_digit(*text) || *read_digits(text, &value, &fits) != '\0')
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is not a whole number", text);
    if (!fits || value < min || value > max)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is outside %" PRIu64 " to %" PRIu64, text, min, max);
    *ret_value = value;
    return 0;
}

int hold_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value, struct hold_err *err) {
    bool is_negative = *text == '-';
    uint64_t size;
    bool fits;
    if (!is_digit(text[is_negative]) || *read_digits(text + is_negative, &size, &fits) != '\0')
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is not a whole number", text);
    uint64_t most = (uint64_t) INT64_MAX + (is_negative ? 1 : 0);
    int64_t value = is_negative ? (int64_t) (0 - size) : (int64_t) size;
    if (!fits || size > most || value < min || value > max)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is outside %" PRId64 " to %" PRId64, text, min, max);
    *ret_value = value;
    return 0;
}

/* [-]digits[.digits][e[+-]digits]; returns the first byte after it, or NULL when there is no number. The value is
 * computed by strtod, but only from text that this grammar has passed, in the "C" locale that holdfast never leaves. */
static const char *read_f64(const char *text, double *ret_value) {
    const char *p = text;
    uint64_t whole;
    bool fits;
    if (*p == '-')
        p++;
    if (!is_digit(*p))
        return NULL;
    p = read_digits(p, &whole, &fits);
    if (*p != '.' && *p != 'e' && *p != 'E' && *text != '-' && fits && whole < (uint64_t) 1 << 53) {
        *ret_value = (double) whole; /* exact, and every duration of a default is one */
        return p;
    }
    if (*p == '.') {
        if (!is_digit(p[1]))
            return NULL;
        for (p++; is_digit(*p); p++)
            ;
    }
    if ((*p == 'e' || *p == 'E') && (is_digit(p[1]) || ((p[1] == '-' || p[1] == '+') && is_digit(p[2]))))
        for (p += 2; is_digit(*p); p++)
            ;
    *ret_value = strtod(text, NULL);
    return p;
}

int hold_parse_f64(const char *text, double min, double max, double *ret_value, struct hold_err *err) {
    double value;
    const char *end = read_f64(text, &value);
    if (!end || *end)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is not a number", text);
    if (!isfinite(value) || value < min || value > max)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is outside %g to %g", text, min, max);
    *ret_value = value;
    return 0;
}

struct unit {
    const char *suffix;
    double scale;
};

static const struct unit byte_units[] = {
    { "", 1 },      { "B", 1 },     { "K", 1e3 },   { "KB", 1e3 },  { "kB", 1e3 },  { "M", 1e6 },   { "MB", 1e6 },
    { "G", 1e9 },   { "GB", 1e9 },  { "T", 1e12 },  { "TB", 1e12 }, { "Ki", 0x1p10 }, { "KiB", 0x1p10 },
    { "Mi", 0x1p20 }, { "MiB", 0x1p20 }, { "Gi", 0x1p30 }, { "GiB", 0x1p30 }, { "Ti", 0x1p40 }, { "TiB", 0x1p40 },
};
static const struct unit time_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

static int parse_scaled(const char *text, const struct unit *units, size_t n_units, const char *what, uint64_t min,
                        uint64_t max, uint64_t *ret_value, struct hold_err *err) {
    double number;
    const char *end = *text == '-' ? NULL : read_f64(text, &number);
    const struct unit *unit = NULL;
    for (size_t i = 0; end && i < n_units; i++)
        if (strcmp(end, units[i].suffix) == 0)
            unit = &units[i];
    if (!unit)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is not %s", text, what);
    double value = number * unit->scale;
    if (!(value < 0x1p63) || (uint64_t) (value + 0.5) < min || (uint64_t) (value + 0.5) > max) {
        char least[32], most[32];
        (units == time_units ? hold_format_ms : hold_format_bytes)(min, least, sizeof least);
        (units == time_units ? hold_format_ms : hold_format_bytes)(max, most, sizeof most);
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is outside %s to %s", text, least, most);
    }
    *ret_value = (uint64_t) (value + 0.5);
    return 0;
}

int hold_parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes, struct hold_err *err) {
    return parse_scaled(text, byte_units, HOLD_COUNT_OF(byte_units), "a size (64KiB, 1.5GiB, 20GB)", min, max, ret_bytes, err);
}

int hold_parse_ms(const char *text, uint64_t min, uint64_t max, uint64_t *ret_ms, struct hold_err *err) {
    if (strcmp(text, "0") == 0)
        text = "0ms";
    return parse_scaled(text, time_units, HOLD_COUNT_OF(time_units), "a duration with its unit (250ms, 1.5s, 10m, 2h)", min,
                        max, ret_ms, err);
}

int hold_parse_bool(const char *text, bool *ret_value, struct hold_err *err) {
    static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };
    int at = hold_index_of(words, HOLD_COUNT_OF(words), text);
    if (at < 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is not true or false", text);
    *ret_value = at % 2;
    return 0;
}

static void format_scaled(uint64_t value, const struct unit *units, const int *order, size_t n_order, char *out, size_t out_bytes) {
    for (size_t i = 0; i < n_order; i++) {
        const struct unit *u = &units[order[i]];
        uint64_t scale = (uint64_t) u->scale;
        if (value >= scale && value % scale == 0) {
            snprintf(out, out_bytes, "%" PRIu64 "%s", value / scale, u->suffix);
            return;
        }
    }
    snprintf(out, out_bytes, "%" PRIu64 "%s", value, units[order[n_order - 1]].suffix);
}

void hold_format_ms(uint64_t ms, char *out, size_t out_bytes) {
    static const int order[] = { 3, 2, 1, 0 };
    if (ms > 1000 && ms < 60000 && ms % 100 == 0 && ms % 1000 != 0)
        snprintf(out, out_bytes, "%" PRIu64 ".%" PRIu64 "s", ms / 1000, ms % 1000 / 100);
    else
        format_scaled(ms, time_units, order, HOLD_COUNT_OF(order), out, out_bytes);
}

void hold_format_bytes(uint64_t bytes, char *out, size_t out_bytes) {
    static const int order[] = { 18, 16, 14, 12, 1 };
    format_scaled(bytes, byte_units, order, HOLD_COUNT_OF(order), out, out_bytes);
}
