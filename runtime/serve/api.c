/* api.c - the route table, the shape of errors, and the small answers. Floor: runtime/serve, pure. */
#include "runtime/serve/api.h"

#include "base/list.h"

#include <string.h>
#include <strings.h>

struct route {
    const char *method, *path;
    bool is_open;
};

static const struct route routes[HOLD_ROUTE_COUNT] = {
#define X(id, method, path, open) [HOLD_ROUTE_##id] = { method, path, open },
    HOLD_ROUTE_LIST(X)
#undef X
};

unsigned hold_api_find(const char *method, const char *path, enum hold_route *ret_route) {
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    bool knows_path = false;

    for (size_t i = 0; i < HOLD_ROUTE_COUNT; i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        knows_path = true;
        if (strcmp(routes[i].method, wanted) == 0) {
            *ret_route = (enum hold_route) i;
            return 0;
        }
    }
    return knows_path ? 405 : 404;
}

bool hold_route_is_open(enum hold_route route) {
    return routes[route].is_open;
}

const char *hold_api_error_type(unsigned status) {
    switch (status) {
    case 400: return "BadRequestError";
    case 401: return "AuthenticationError";
    case 404: return "NotFoundError";
    case 405: return "MethodNotAllowed";
    case 413: return "RequestEntityTooLarge";
    case 429: return "RateLimitError";
    case 503: return "ServiceUnavailableError";
    default: return "InternalServerError";
    }
}

void hold_api_error(struct hold_buf *out, unsigned status, const char *message, const char *param) {
    hold_buf_adds(out, "{\"error\":{\"message\":");
    hold_buf_add_json(out, message, strlen(message));
    hold_buf_addf(out, ",\"type\":\"%s\",\"param\":", hold_api_error_type(status));
    if (param)
        hold_buf_add_json(out, param, strlen(param));
    else
        hold_buf_adds(out, "null");
    hold_buf_addf(out, ",\"code\":%u}}", status);
}

bool hold_api_key_fits(const char *authorization, const char *key) {
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    const char *given = authorization + 7;
    size_t n_given = strlen(given), n_key = strlen(key);
    unsigned char differs = n_given != n_key;
    for (size_t i = 0; i < n_given; i++)
        differs |= (unsigned char) (given[i] ^ key[n_key ? i % n_key : 0]);
    return !differs;
}

void hold_api_models(struct hold_buf *out, const struct hold_strs *names, uint64_t created, const char *root, uint32_t max_context) {
    hold_buf_adds(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < names->n; i++) {
        hold_buf_adds(out, i ? ",{\"id\":" : "{\"id\":");
        hold_buf_add_json(out, names->at[i], strlen(names->at[i]));
        hold_buf_addf(out, ",\"object\":\"model\",\"created\":%ju,\"owned_by\":\"holdfast\",\"root\":", (uintmax_t) created);
        hold_buf_add_json(out, root, strlen(root));
        hold_buf_adds(out, ",\"parent\":null,\"max_model_len\":");
        if (max_context)
            hold_buf_addf(out, "%u}", max_context);
        else
            hold_buf_adds(out, "null}");
    }
    hold_buf_adds(out, "]}");
}

void hold_api_health(struct hold_buf *out, const char *status, const char *phase, uint64_t done, uint64_t total) {
    hold_buf_adds(out, "{\"status\":");
    hold_buf_add_json(out, status, strlen(status));
    hold_buf_adds(out, ",\"phase\":");
    hold_buf_add_json(out, phase, strlen(phase));
    if (total)
        hold_buf_addf(out, ",\"progress\":{\"done\":%ju,\"total\":%ju}", (uintmax_t) done, (uintmax_t) total);
    hold_buf_adds(out, "}");
}

static int base64_value(unsigned char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool hold_base64_decode(const char *text, size_t n, unsigned char *out, size_t *ret_n) {
    size_t n_out = 0, n_pad = 0;

    if (n % 4 != 0)
        return false;
    while (n_pad < 2 && n_pad < n && text[n - 1 - n_pad] == '=')
        n_pad++;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t bits = 0;
        size_t n_here = i + 4 == n ? 4 - n_pad : 4;
        for (size_t k = 0; k < 4; k++) {
            int v = k < n_here ? base64_value((unsigned char) text[i + k]) : 0;
            if (v < 0)
                return false;
            bits = bits << 6 | (uint32_t) v;
        }
        for (size_t k = 0; k + 1 < n_here; k++)
            out[n_out++] = (unsigned char) (bits >> (16 - 8 * k));
    }
    *ret_n = n_out;
    return true;
}
