// SPDX-License-Identifier: Apache-2.0
/* blame: see the header. */
#include "blame.h"
#include "damage_live.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* files that blame_describe names */
#define FILES_NAMED 3

void blame_note(struct state *p, enum blame_kind kind, int err, uint64_t number, const char *fmt,
                ...)
{
    struct blame *b = &p->blames.of[kind];
    va_list args;
    MUTEX_GUARD(&p->blames.lock);

    if (b->text[0])
        return;
    va_start(args, fmt);
    (void)vsnprintf(b->text, sizeof b->text, fmt, args);
    va_end(args);
    b->number = number;
    b->err = err;
}

void blame_clear(struct state *p, enum blame_kind kind)
{
    MUTEX_GUARD(&p->blames.lock);
    p->blames.of[kind] = (struct blame){.err = 0};
}

/* ---- telling ---- */

struct naming {
    struct strbuf *out;
    unsigned named, more;
};

/* Appends one file, or counts it when enough are named. */
static void name_file(const char *line, void *ctx)
{
    struct naming *n = ctx;

    if (n->named++ < FILES_NAMED)
        strbuf_addf(n->out, "; %s", line);
    else
        n->more++;
}

/* Appends the files whose content it is. */
static void add_files(struct state *p, uint64_t number, struct strbuf *out)
{
    struct damage d = {.count = 0};
    struct naming n = {.out = out};

    if (damage_add(&d, DAMAGE_OBJECT, number, "it") == 0)
        (void)damage_tell(p, &d, name_file, NULL, &n);
    if (n.more)
        strbuf_addf(out, "; and by %u more", n.more);
    damage_release(&d);
}

/* What made the store read-only, in the words of a note; none if that is not known. */
static struct blame of_readonly(struct state *p)
{
    const char *what = atomic_load(&p->readonly_what);
    struct blame b = {.err = atomic_load(&p->readonly_err)};

    if (what)
        (void)snprintf(b.text, sizeof b.text, "%s failed", what);
    return b;
}

/* What keeps commits from being made is more important than a note about a slot. */
static struct blame get(struct state *p)
{
    struct blame readonly = of_readonly(p);
    MUTEX_GUARD(&p->blames.lock);
    const struct blame *b = p->blames.of;

    if (b[BLAME_FLUSH].text[0])
        return b[BLAME_FLUSH];
    return readonly.text[0] ? readonly : b[BLAME_SLOT];
}

bool blame_is_noted(struct state *p)
{
    return get(p).text[0] != 0;
}

void blame_sync(struct state *p, int err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    if (err == 0 && atomic_load(&p->sync_failed))
        atomic_store(&p->sync_failed, false);
    if (err == 0 || err == -ESHUTDOWN || err == -EINTR || atomic_exchange(&p->sync_failed, true))
        return;
    blame_describe(p, err, &text);
    if (strbuf_error(&text) == 0)
        report(REPORT_ALARM, "fsync failed: %s", text.s);
}

void blame_describe(struct state *p, int err, struct strbuf *out)
{
    struct blame b = get(p);

    strbuf_addf(out, "%s (%s)", b.text[0] ? b.text : "it failed",
                strerror(b.text[0] ? -b.err : -err));
    if (b.number)
        add_files(p, b.number, out);
    strbuf_adds(out,
                atomic_load(&p->readonly)
                    ? "; the store is read-only now, and what is not durable is in memory and in "
                      "the log"
                    : "; nothing is lost, and it is tried again");
}
