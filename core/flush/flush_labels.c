// SPDX-License-Identifier: Apache-2.0
/* flush_labels: the names of flushes, from their beginning until they are committed and listed. */
#include "coordinator.h"
#include "flush_impl.h"
#include "flush_names.h"
#include "state.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int flush_name_batch(struct state *p, const char *name, struct batch *b)
{
    b->name = strndup(name, FLUSH_LABEL_MAX);
    b->label = strndup(name, FLUSH_LABEL_MAX);
    b->time = now(p);
    return b->name && b->label ? 0 : -ENOMEM;
}

void flush_set_label(struct state *p, uint64_t number, struct batch *b)
{
    struct flush_label *l = &p->flush->label[number % TICKETS_KEPT];

    mutex_held(&p->flush->lock);
    free(l->name);
    *l = (struct flush_label){number, b->label};
    b->label = NULL;
}

bool flush_get_label(struct state *p, uint64_t number, char out[FLUSH_LABEL_MAX + 1])
{
    const struct flush_label *l = &p->flush->label[number % TICKETS_KEPT];
    MUTEX_GUARD(&p->flush->lock);

    if (!l->name || l->number != number)
        return false;
    snprintf(out, FLUSH_LABEL_MAX + 1, "%s", l->name);
    return true;
}

bool flush_add_names(struct state *p, uint64_t first, uint64_t last, struct flush_names *to)
{
    bool any = false;

    for (uint64_t n = first; n <= last; n++) {
        const struct batch *b = p->flush->batch[n % COORDINATOR_MAX];
        struct flush_name name = {.seq = b->seq, .time = b->time};
        if (!b->name)
            continue;
        snprintf(name.name, sizeof name.name, "%s", b->name);
        flush_names_add(to, &name);
        any = true;
    }
    return any;
}

void flush_get_names(struct state *p, struct flush_names *ret)
{
    MUTEX_GUARD(&p->flush->lock);
    *ret = p->flush->names;
}

int flush_write_names(struct state *p, uint64_t first, uint64_t last, struct kv_txn *t)
{
    struct flush_names *names = malloc(sizeof *names);
    int err = names ? 0 : -ENOMEM;

    if (names) {
        flush_get_names(p, names);
        if (flush_add_names(p, first, last, names))
            err = flush_names_write(names, t);
    }
    free(names);
    return err;
}
