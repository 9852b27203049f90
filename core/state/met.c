// SPDX-License-Identifier: Apache-2.0
/* met: see the header. */
#include "met.h"
#include "damage_live.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* ---- reporting the files ---- */

static void say(const char *line, void *ctx)
{
    (void)ctx;
    damage_alarm("read", line);
}

static int go_on(void *ctx)
{
    const struct state *p = ctx;

    return atomic_load(&p->closing) ? -ESHUTDOWN : 0;
}

/* Makes the name of an object for people: its id if it has one, otherwise its number. */
static void describe(struct state *p, uint64_t number, char name[56])
{
    char hex[ID_HEX + 1];
    struct entry e;

    if (refs_entry(p->refs, number, false, NULL, &e) == 0 && entry_is_sealed(&e)) {
        id_to_hex(&e.id, hex);
        snprintf(name, 56, "object %s", hex);
    } else {
        snprintf(name, 56, "object number %llu", U(number));
    }
}

/* Takes the numbers that were not reported yet. When there are none, the next one that is met
 * begins a new job. */
static struct map64 take_untold(struct state *p)
{
    struct met_of_store *m = &p->met;
    MUTEX_GUARD(&m->lock);
    struct map64 taken = m->untold;

    m->untold = (struct map64)MAP64_INIT;
    m->telling = taken.count > 0;
    return taken;
}

/* Reports the files of these numbers. */
static int tell_these(struct state *p, const struct map64 *these)
{
    struct damage d = {.count = 0};
    uint64_t number, none;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(these, &at, &number, &none)) {
        char name[56];
        describe(p, number, name);
        err = damage_add(&d, DAMAGE_OBJECT, number, name);
    }
    if (err == 0)
        err = damage_tell(p, &d, say, go_on, p);
    damage_release(&d);
    return err;
}

int met_tell(struct state *p)
{
    int err = 0;

    for (;;) {
        struct map64 these = take_untold(p);
        if (these.count == 0)
            break;
        int tell_err = tell_these(p, &these);
        err = err < 0 ? err : tell_err;
        map64_release(&these);
    }
    return err;
}

static void forget_untold(struct state *p)
{
    MUTEX_GUARD(&p->met.lock);
    map64_release(&p->met.untold);
}

int met_lost_all(struct state *p, const struct map64 *numbers)
{
    struct map64 some = MAP64_INIT;
    uint64_t number, none;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(numbers, &at, &number, &none))
        met_damage(p, number, MET_ROW, 0);
    forget_untold(p); /* all are reported here, also those for which there was no room */
    at = 0;
    while (err == 0 && map64_next(numbers, &at, &number, &none)) {
        err = map64_put(&some, number, 1);
        if (err == 0 && some.count == DAMAGE_AT_ONCE) {
            err = tell_these(p, &some);
            map64_release(&some);
        }
    }
    if (err == 0 && some.count)
        err = tell_these(p, &some);
    map64_release(&some);
    return err;
}

/* ---- what is known ---- */

/* Notes a number. 1: the caller is to begin the job that reports it. */
static int note_met(struct state *p, uint64_t number, enum met_kind kind, uint64_t place,
                    bool *ret_new)
{
    struct met_of_store *m = &p->met;
    uint64_t none;
    bool begin;
    MUTEX_GUARD(&m->lock);

    *ret_new = !map64_get(&m->known, number, &none) && m->known.count < MET_MAX;
    if (!*ret_new)
        return 0;
    if (map64_put(&m->known, number, ++m->serial * 2 + kind) < 0 ||
        map64_put(&m->place, number, place) < 0 || map64_put(&m->untold, number, 1) < 0)
        return 0;
    atomic_store(&m->any, true);
    begin = !m->telling && p->config.background;
    m->telling |= begin;
    return begin;
}

void met_damage(struct state *p, uint64_t number, enum met_kind kind, uint64_t place)
{
    bool new;
    int begin = note_met(p, number, kind, place, &new);

    if (new &&kind == MET_ROW)
        report(REPORT_ALARM,
               "object number %llu is named, but the table of objects does not say where its bytes "
               "are: reading it is an error; `rebuild` looks for them",
               U(number));
    if (begin && p->hooks->locate_damage(p) < 0) {
        MUTEX_GUARD(&p->met.lock); /* the next damage begins it */
        p->met.telling = false;
    }
}

int met_lost(struct state *p, uint64_t number)
{
    met_damage(p, number, MET_ROW, 0);
    return -EUCLEAN;
}

void met_read(struct state *p, uint64_t number, uint64_t place)
{
    uint64_t before;

    if (!atomic_load_explicit(&p->met.any, memory_order_relaxed))
        return;
    MUTEX_GUARD(&p->met.lock);
    if (!map64_get(&p->met.place, number, &before) || before == place)
        return;
    (void)map64_del(&p->met.place, number);
    (void)map64_del(&p->met.known, number);
    atomic_store(&p->met.any, p->met.known.count > 0);
}

bool met_has_rows(struct state *p)
{
    uint64_t number, when;
    size_t at = 0;
    MUTEX_GUARD(&p->met.lock);

    while (map64_next(&p->met.known, &at, &number, &when))
        if (when % 2 == MET_ROW)
            return true;
    return false;
}

/* Is any number known? */
static bool knows_any(struct state *p)
{
    MUTEX_GUARD(&p->met.lock);
    return p->met.known.count > 0;
}

const char *met_trouble(struct state *p)
{
    if (!knows_any(p))
        return NULL;
    if (met_has_rows(p))
        return "objects that files name are missing in their table; `rebuild` looks for them";
    return "reading met damage; `scrub` looks at everything";
}

uint64_t met_mark(struct state *p)
{
    MUTEX_GUARD(&p->met.lock);
    return p->met.serial;
}

/* Keeps what was met after `mark`. Without memory it forgets more than it should. */
void met_forget(struct state *p, uint64_t mark, bool rows)
{
    struct map64 kept = MAP64_INIT, places = MAP64_INIT;
    uint64_t number, when, place;
    size_t at = 0;
    int err = 0;
    MUTEX_GUARD(&p->met.lock);

    while (err == 0 && map64_next(&p->met.known, &at, &number, &when)) {
        if (when / 2 <= mark && !(rows && when % 2 != MET_ROW))
            continue;
        err = map64_put(&kept, number, when);
        if (err == 0 && map64_get(&p->met.place, number, &place))
            err = map64_put(&places, number, place);
    }
    map64_release(&p->met.known);
    map64_release(&p->met.place);
    p->met.known = kept;
    p->met.place = places;
    atomic_store(&p->met.any, kept.count > 0);
}

void met_release(struct state *p)
{
    map64_release(&p->met.known);
    map64_release(&p->met.place);
    map64_release(&p->met.untold);
}
