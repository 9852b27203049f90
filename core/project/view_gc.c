// SPDX-License-Identifier: Apache-2.0
/* view_gc: the views of GC cycles: nodes and gc-history. */
#include "leaks.h"
#include "project_impl.h"
#include "view.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define SHOWN_IDS 20

static const char *state_of(const struct gc_node_info *n)
{
    return n->stale ? "stale" : n->serial == 0 ? "silent" : n->proven || n->own ? "reporting" : "new";
}

int view_nodes(struct project *p, struct strbuf *out, size_t *ret_count)
{
    struct gc_node_info *v;
    size_t count;
    int err = project_gc_nodes(p, &v, &count);

    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++) {
        const struct gc_node_info *n = &v[i];
        strbuf_addf(out, "node=%llu state=%s serial=%llu ack=%llu age_seconds=%llu own=%s reported=",
                    U(n->node), state_of(n), U(n->serial), U(n->ack), U(n->age / NSEC_PER_SEC),
                    n->own ? "yes" : "no");
        view_add_time(out, n->timestamp);
        strbuf_adds(out, "\n");
    }
    free(v);
    if (ret_count)
        *ret_count = count;
    return strbuf_error(out);
}

void view_gc_ids(const char *indent, const struct id *ids, size_t count, uint64_t all,
                 struct strbuf *out)
{
    for (size_t i = 0; i < count && i < SHOWN_IDS; i++) {
        strbuf_adds(out, indent);
        leak_describe(&ids[i], out);
        strbuf_adds(out, "\n");
    }
    if (all > SHOWN_IDS)
        strbuf_addf(out, "%sand %llu more\n", indent, U(all - SHOWN_IDS));
}

static void add_record(const struct gc_record *r, struct strbuf *out)
{
    strbuf_addf(out, "cycle=%llu time=", U(r->cycle));
    view_add_time(out, r->time);
    strbuf_addf(out, " eligible=%llu collected=%llu preserved=%llu nodes=%llu\n", U(r->eligible),
                U(r->collected), U(r->preserved), U(r->nodes));
    view_gc_ids("  ", r->ids, r->id_count, r->eligible, out);
}

int view_gc_history(struct project *p, struct strbuf *out)
{
    struct gc_record r;
    int err = 0;

    for (size_t i = 0; (err = gc_history_get(p->gc.gc, i, &r)) == 0; i++) {
        add_record(&r, out);
        free(r.ids);
    }
    return err == -ENOENT ? strbuf_error(out) : err;
}
