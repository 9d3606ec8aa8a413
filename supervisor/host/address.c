/* address.c - where process 1 listens. Floor: host. */
#include "supervisor/host/address.h"

#include "base/auto.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int hold_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_bytes, struct hold_err *err) {
    const char *colon = strrchr(text, ':');
    uint64_t port;
    char host[64] = "";
    if (!colon || hold_parse_u64(colon + 1, 0, 65535, &port, NULL) < 0 || (size_t) (colon - text) >= sizeof(host))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%s' is no address: [::]:8181, 127.0.0.1:8181 or :8181", text);
    size_t n = (size_t) (colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && colon[-1] == ']';
    (void) snprintf(host, sizeof(host), "%.*s", (int) (bracketed ? n - 2 : n), bracketed ? text + 1 : text);
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port), .sin6_addr = in6addr_any };
    *ret_address = (struct sockaddr_storage) { 0 };
    if (host[0] == '\0' || inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(ret_address, &v6, sizeof(v6));
        *ret_bytes = sizeof(v6);
        return 0;
    }
    if (!bracketed && inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4.sin_addr) == 1) {
        memcpy(ret_address, &v4, sizeof(v4));
        *ret_bytes = sizeof(v4);
        return 0;
    }
    return hold_fail(err, HOLD_E_CONFIG, 0, "'%s': the address must be numeric ([::], 0.0.0.0, 127.0.0.1, ...)", text);
}

int hold_address_bind(const char *text, int *ret_fd, struct hold_err *err) {
    struct sockaddr_storage where;
    socklen_t n = 0;
    if (hold_address_parse(text, &where, &n, err) < 0)
        return -1;
    hold_autofd fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT && where.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &where, sizeof(v6));
        if (!IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
            return hold_fail(err, HOLD_E_IO, EAFNOSUPPORT, "listen on '%s'", text);
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = v6.sin6_port };
        memcpy(&where, &v4, sizeof(v4));
        n = sizeof(v4);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "listen on '%s'", text);
    const int on = 1, off = 0;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* without it the port still works, only less comfortably */
    if (where.ss_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, (struct sockaddr *) &where, n) < 0)
        return hold_fail(err, errno == EADDRINUSE ? HOLD_E_BUSY : HOLD_E_IO, errno, "listen on '%s' (free it, or choose another address)", text);
    *ret_fd = hold_take_fd(&fd);
    return 0;
}
