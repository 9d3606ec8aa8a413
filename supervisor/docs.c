/* docs.c - tables of the code as Markdown and roff. Floor: supervisor. */
#include "supervisor/docs.h"

#include "base/exit.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "base/opt.h"
#include "supervisor/host/config.h"
#include "supervisor/policy/cause.h"
#include "supervisor/policy/container.h"
#include "supervisor/policy/member.h"
#include "supervisor/policy/lines.h"

#include <stdio.h>
#include <string.h>

#define DOCS_BYTES ((size_t) 1 << 20)

/* One table on its way: a head, then rows of the same number of cells. */
struct sheet {
    struct hold_buf *out;
    bool as_roff;
};

static void cell(struct sheet *t, const char *text, bool is_code) {
    if (!t->as_roff) {
        hold_buf_adds(t->out, is_code ? " `" : " ");
        for (const char *c = text; *c; c++) {
            if (*c == '|')
                hold_buf_addc(t->out, '\\');
            hold_buf_addc(t->out, *c);
        }
        hold_buf_adds(t->out, is_code ? "` |" : " |");
        return;
    }
    for (const char *c = text; *c; c++) {
        if (c == text && (*c == '.' || *c == '\''))
            hold_buf_adds(t->out, "\\&");
        hold_buf_adds(t->out, *c == '\\' ? "\\e" : *c == '-' ? "\\-" : (const char[]) { *c, '\0' });
    }
}

/* cells: n of them; those before n_code are names and shown as such. In roff the first is the tag, the rest its text. */
static void row(struct sheet *t, const char *const *cells, size_t n, size_t n_code) {
    if (!t->as_roff) {
        hold_buf_addc(t->out, '|');
        for (size_t i = 0; i < n; i++)
            cell(t, cells[i], i < n_code);
        hold_buf_addc(t->out, '\n');
        return;
    }
    hold_buf_adds(t->out, ".TP\n.B \"");
    cell(t, cells[0], true);
    hold_buf_adds(t->out, "\"\n");
    for (size_t i = 1; i < n; i++) {
        cell(t, cells[i], false);
        hold_buf_adds(t->out, i + 1 < n ? ". " : ".\n");
    }
}

static void head(struct sheet *t, const char *const *cells, size_t n) {
    if (t->as_roff)
        return;
    row(t, cells, n, 0);
    hold_buf_addc(t->out, '|');
    for (size_t i = 0; i < n; i++)
        hold_buf_adds(t->out, " --- |");
    hold_buf_addc(t->out, '\n');
}

#define HEAD(t, ...) head((t), (const char *const[]) { __VA_ARGS__ }, HOLD_COUNT_OF(((const char *const[]) { __VA_ARGS__ })))
#define ROW(t, n_code, ...) row((t), (const char *const[]) { __VA_ARGS__ }, HOLD_COUNT_OF(((const char *const[]) { __VA_ARGS__ })), (n_code))

static void options(struct sheet *t) {
    if (t->as_roff)
        hold_opt_roff(hold_config_rows, hold_n_config_rows, t->out);
    else
        hold_opt_markdown(hold_config_rows, hold_n_config_rows, t->out);
}

static void exits(struct sheet *t) {
    HEAD(t, "status", "name", "meaning", "what to do");
    for (size_t i = 0; i < hold_n_exit_rows; i++) {
        char status[16];
        snprintf(status, sizeof status, "%d", hold_exit_rows[i].status);
        ROW(t, 2, status, hold_exit_rows[i].name, hold_exit_rows[i].meaning, hold_exit_rows[i].cure);
    }
}

static void phases(struct sheet *t) {
    HEAD(t, "phase", "of", "meaning");
#define CONTAINER(id, name, meaning) ROW(t, 1, name, "container", meaning);
#include "base/phase.def"
#undef CONTAINER
#define MEMBER(id, name, alive, meaning) ROW(t, 1, name, "member, alive: " alive, meaning);
#include "base/phase.def"
#undef MEMBER
}

static void events(struct sheet *t) {
    HEAD(t, "event", "meaning");
    for (int e = 0; e < HOLD_EV_COUNT; e++)
        ROW(t, 1, hold_event_name((enum hold_event) e), hold_event_meaning((enum hold_event) e));
}

static void causes(struct sheet *t) {
    HEAD(t, "cause", "action", "meaning", "what to do");
    for (int c = 1; c < HOLD_CAUSE_EXIT_USAGE; c++) {
        const struct hold_cause_info *info = hold_cause_info((enum hold_cause) c);
        ROW(t, 2, info->name, hold_action_name(info->action), info->meaning, info->advice);
    }
}

static void signatures(struct sheet *t) {
    HEAD(t, "signature", "class", "cause", "line as it is printed");
#define SIGNATURE(id, text, also, class, cause, fixture) \
    ROW(t, 1, id, hold_line_class_name(HOLD_LINE_##class), hold_cause_info(HOLD_CAUSE_##cause)->name, fixture);
#include "supervisor/policy/signatures.def"
#undef SIGNATURE
}

static void milestones(struct sheet *t) {
    HEAD(t, "milestone", "line as it is printed");
#define MILESTONE(id, text, number, fixture) ROW(t, 1, id, fixture);
#include "supervisor/policy/milestones.def"
#undef MILESTONE
}

/* One cell that does something: "event | becomes | actions"; shrugs and impossibilities are left out. */
static void cell_row(struct sheet *t, const char *state, const char *event, const char *next, const struct hold_cell *c,
                     const char *(*action_name)(unsigned), unsigned n_actions) {
    char actions[512] = "";
    for (unsigned i = 0, used = 0; i < n_actions; i++)
        if (c->actions >> i & 1u)
            used += (unsigned) snprintf(actions + used, sizeof actions - used, "%s%s", used ? ", " : "", action_name(i));
    if (c->kind == HOLD_CELL_GO || (c->kind == HOLD_CELL_STAY && c->actions))
        ROW(t, 2, state, event, next, actions);
}

static const char *member_action(unsigned i) {
    return hold_member_action_name((enum hold_member_action_bit) i);
}

static const char *container_action(unsigned i) {
    return hold_container_action_name((enum hold_container_action_bit) i);
}

static void member_table(struct sheet *t) {
    HEAD(t, "member is", "event", "becomes", "actions, in this order");
    for (int s = 0; s < HOLD_MEMBER_COUNT; s++)
        for (int e = 0; e < HOLD_MEMBER_EV_COUNT; e++) {
            const struct hold_cell *c = &hold_member_table[s][e];
            const int next = c->kind == HOLD_CELL_GO ? c->next : s;
            cell_row(t, hold_member_state_name((enum hold_member_state) s), hold_member_event_name((enum hold_member_event) e),
                     hold_member_state_name((enum hold_member_state) next), c, member_action, HOLD_MEMBER_BIT_COUNT);
        }
}

static void container_table(struct sheet *t) {
    HEAD(t, "container is", "event", "becomes", "actions, in this order");
    for (int s = 0; s < HOLD_CONTAINER_COUNT; s++)
        for (int e = 0; e < HOLD_CONTAINER_EV_COUNT; e++) {
            const struct hold_cell *c = &hold_container_table[s][e];
            const int next = c->kind == HOLD_CELL_GO ? c->next : s;
            cell_row(t, hold_container_state_name((enum hold_container_state) s), hold_container_event_name((enum hold_container_event) e),
                     hold_container_state_name((enum hold_container_state) next), c, container_action, HOLD_CONTAINER_BIT_COUNT);
        }
}

static const struct {
    const char *name;
    void (*write)(struct sheet *t);
} tables[] = {
    { "container_table", container_table }, { "member_table", member_table },
    { "options", options }, { "exits", exits }, { "phases", phases }, { "events", events },
    { "causes", causes }, { "signatures", signatures }, { "milestones", milestones },
};

bool hold_docs_table(const char *what, bool as_roff, struct hold_buf *out) {
    for (size_t i = 0; i < HOLD_COUNT_OF(tables); i++)
        if (strcmp(tables[i].name, what) == 0) {
            struct sheet t = { out, as_roff };
            tables[i].write(&t);
            return true;
        }
    return false;
}

int hold_docs_main(int argc, char *const *argv) {
    hold_autobuf out = hold_buf_with_max(DOCS_BYTES);
    struct hold_err err = { 0 };
    const bool as_roff = argc == 3 && strcmp(argv[2], "--roff") == 0;
    const bool is_known = argc == 2 || as_roff || (argc == 3 && strcmp(argv[2], "--markdown") == 0);
    if (!is_known || !hold_docs_table(argv[1], as_roff, &out)) {
        fprintf(stderr, "usage: holdfast docs container_table|member_table|options|exits|phases|events|causes|signatures|milestones [--markdown|--roff]\n");
        return HOLD_EXIT_USAGE;
    }
    if (hold_buf_check(&out, "docs", &err) < 0 || hold_write_all(1, out.data ? out.data : "", out.n, "standard output", &err) < 0) {
        hold_log_err(&err);
        return HOLD_EXIT_INTERNAL;
    }
    return HOLD_EXIT_OK;
}
