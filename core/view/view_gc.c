// SPDX-License-Identifier: Apache-2.0
/* view_gc: the views of GC cycles: nodes and gc-history. */
#include "gc_pool.h"
#include "gc_store.h"
#include "gc_text.h"
#include "leaks.h"
#include "state.h"
#include "view.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* The state of a node in a word. "new": its serial was not seen to advance yet. */
static const char *state_of(const struct gc_node_info *n, bool alone)
{
    return n->stale              ? "stale"
           : n->serial == 0      ? (alone ? "alone" : "silent")
           : n->proven || n->own ? "reporting"
                                 : "new";
}

int view_nodes(struct state *p, struct strbuf *out, size_t *ret_count)
{
    struct gc_node_info *v;
    size_t count;
    int err = gc_store_nodes(p, &v, &count);

    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++) {
        const struct gc_node_info *n = &v[i];
        strbuf_addf(out,
                    "node=%llu state=%s serial=%llu ack=%llu age_seconds=%llu own=%s reported=",
                    U(n->node), state_of(n, !p->node), U(n->serial), U(n->ack),
                    U(n->age / NSEC_PER_SEC), n->own ? "yes" : "no");
        strbuf_add_time(out, n->timestamp);
        strbuf_adds(out, "\n");
    }
    free(v);
    if (ret_count)
        *ret_count = count;
    return strbuf_error(out);
}

/* Appends one cycle, with all ids that the record has. */
static void add_record(const struct gc_record *r, gc_describe *describe, struct strbuf *out)
{
    strbuf_addf(out, "cycle=%llu time=", U(r->cycle));
    strbuf_add_time(out, r->time);
    strbuf_addf(out, " eligible=%llu collected=%llu preserved=%llu nodes=%llu\n", U(r->eligible),
                U(r->collected), U(r->preserved), U(r->nodes));
    for (size_t i = 0; i < r->id_count; i++) {
        strbuf_adds(out, "  ");
        describe(&r->ids[i], r->whole ? &r->whole[i] : NULL, out);
        strbuf_adds(out, "\n");
    }
    if (r->eligible > r->id_count)
        strbuf_addf(out, "  and %llu more\n", U(r->eligible - r->id_count));
}

typedef int get_record(struct state *p, size_t i, struct gc_record *ret);

static int add_history(struct state *p, get_record *get, gc_describe *describe, struct strbuf *out)
{
    struct gc_record r;
    int err = 0;

    for (size_t i = 0; (err = get(p, i, &r)) == 0; i++) {
        add_record(&r, describe, out);
        free(r.ids);
    }
    return err == -ENOENT ? strbuf_error(out) : err;
}

int view_gc_history(struct state *p, struct strbuf *out)
{
    int err = 0;

    if (p->node) {
        strbuf_adds(out, "cycles of the pool, run here since the mount\n");
        err = add_history(p, gc_pool_history, gc_describe_key, out);
        strbuf_adds(out, "cycles of this store\n");
    }
    return err < 0 ? err : add_history(p, gc_store_history, leak_describe, out);
}
