/* make-t.c - writes the tiny deterministic model T (tests/helpers/t_model.h) into a folder.
 *
 *   make-t DIR [--dialect flat|nested|rope] [--text-only] [--tiny-tokenizer] [--old-names] [--single] [--dtype bf16|f32|f16] [--kv-heads N] */
#include "tests/helpers/t_model.h"

static int usage(void) {
    fprintf(stderr, "usage: make-t DIR [--dialect flat|nested|rope] [--text-only] [--tiny-tokenizer] [--old-names] [--single]\n"
                    "              [--dtype bf16|f32|f16] [--kv-heads 1|2|4]\n");
    return 2;
}

int main(int argc, char **argv) {
    struct t_options o = { .dialect = T_ROPE };
    if (argc < 2 || argv[1][0] == '-')
        return usage();
    for (int i = 2; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--text-only") == 0)
            o.text_only = true;
        else if (strcmp(argv[i], "--tiny-tokenizer") == 0)
            o.tiny_tokenizer = true;
        else if (strcmp(argv[i], "--old-names") == 0)
            o.old_names = true;
        else if (strcmp(argv[i], "--single") == 0)
            o.single = true;
        else if (strcmp(argv[i], "--dialect") == 0 && ++i < argc)
            o.dialect = strcmp(next, "flat") == 0 ? T_FLAT : strcmp(next, "nested") == 0 ? T_NESTED : T_ROPE;
        else if (strcmp(argv[i], "--dtype") == 0 && ++i < argc)
            o.dtype = strcmp(next, "f32") == 0 ? T_F32 : strcmp(next, "f16") == 0 ? T_F16 : T_BF16;
        else if (strcmp(argv[i], "--kv-heads") == 0 && ++i < argc && (*next == '1' || *next == '2' || *next == '4'))
            o.kv_heads = (unsigned) (*next - '0');
        else
            return usage();
    }
    t_write(&o, argv[1]);
    return 0;
}
