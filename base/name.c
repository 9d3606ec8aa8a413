/* name.c - names of files inside a folder. Floor: base, pure. */
#include "base/name.h"

#include <limits.h>
#include <string.h>

bool hold_name_is_safe(const char *name) {
    if (*name == '\0' || *name == '/' || strlen(name) >= PATH_MAX / 2)
        return false;
    for (const char *part = name;;) {
        size_t n = strcspn(part, "/");
        if (n == 0 || n > NAME_MAX - 32 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char) part[i] < 0x20 || part[i] == 0x7f || part[i] == '\\')
                return false;
        if (part[n] == '\0')
            return true;
        part += n + 1;
    }
}
