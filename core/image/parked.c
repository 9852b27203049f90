// SPDX-License-Identifier: Apache-2.0
/* parked: see the header. */
#include "parked.h"
#include "command.h"
#include "import.h"
#include "job.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void parked_init(struct imports_of_store *i)
{
    mutex_init(&i->lock, "parked");
    LIST_INIT(&i->list);
}

/* Takes it off the list. The caller holds "parked". */
static struct import *take(struct imports_of_store *i, struct parked *k)
{
    struct import *what = k->what;

    if (what) {
        LIST_REMOVE(k, list);
        i->count--;
    }
    k->what = NULL;
    return what;
}

/* The time is over, or somebody has ended it before. */
static void end(struct state *p, struct parked *k)
{
    struct import *what;
    {
        MUTEX_GUARD(&p->imports->lock);
        what = take(p->imports, k);
    }
    if (what)
        import_drop(what);
    free(k->name);
    free(k->label);
    free(k);
}

static int rest(struct state *p, struct job *j, void *arg)
{
    struct parked *k = arg;
    bool taken;
    {
        MUTEX_GUARD(&p->imports->lock);
        k->job = j->number;
        taken = !k->what; /* before there was a job to cancel */
    }
    if (!taken)
        (void)job_pause(p, j, k->until > ticks(p) ? k->until - ticks(p) : 0);
    end(p, k);
    return 0;
}

static void not_begun(struct state *p, void *arg, int err)
{
    (void)err;
    end(p, arg);
}

static bool add(struct imports_of_store *i, struct parked *k)
{
    MUTEX_GUARD(&i->lock);

    if (i->count >= PARKED_MAX)
        return false;
    LIST_INSERT_HEAD(&i->list, k, list);
    i->count++;
    return true;
}

bool parked_put(struct state *p, const char *name, const char *label, const struct parked_at *at,
                struct import *what)
{
    const struct job_work w = {.fn = rest, .dropped = not_begun, .waits = true};
    struct parked *k = calloc(1, sizeof *k);
    struct job_work work = w;
    bool kept = k != NULL;

    if (kept) {
        *k = (struct parked){.name = strdup(name),
                             .label = strdup(label),
                             .at = *at,
                             .what = what,
                             .until = ticks(p) + PARKED_NS};
        work.arg = k;
        kept = k->name && k->label && add(p->imports, k);
    }
    if (kept && job_try(p, "keep", name, &work) < 0) {
        MUTEX_GUARD(&p->imports->lock);
        kept = false;
        (void)take(p->imports, k);
    }
    if (kept || !k)
        return kept;
    free(k->name);
    free(k->label);
    free(k);
    return false;
}

struct import *parked_take(struct state *p, const char *name, const struct parked_at *at)
{
    struct import *what = NULL;
    struct parked *k;
    uint64_t job = 0;
    {
        MUTEX_GUARD(&p->imports->lock);
        LIST_FOREACH(k, &p->imports->list, list)
        {
            if (strcmp(k->name, name) == 0 &&
                (!at || (k->at.bytes == at->bytes && k->at.sum == at->sum)))
                break;
        }
        if (k) {
            job = k->job;
            what = take(p->imports, k);
        }
    }
    if (job)
        (void)job_cancel(p, job);
    return what;
}

void parked_list(struct state *p, struct strbuf *out)
{
    struct parked *k;
    MUTEX_GUARD(&p->imports->lock);

    LIST_FOREACH(k, &p->imports->list, list)
    {
        strbuf_adds(out, "partial ");
        command_add_word(out, k->name);
        strbuf_addf(out, " %llu %016llx ", (unsigned long long)k->at.bytes,
                    (unsigned long long)k->at.sum);
        command_add_word(out, k->label);
        strbuf_adds(out, "\n");
    }
}
