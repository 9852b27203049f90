// SPDX-License-Identifier: Apache-2.0
/* view_gc: the views of GC cycles: nodes and gc-history. */
#include "leaks.h"
#include "pool_node_impl.h"
#include "project_impl.h"
#include "view.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define SHOWN_IDS 20

static const char *state_of(const struct gc_node_info *n)
{
    return n->stale              ? "stale"
           : n->serial == 0      ? "silent"
           : n->proven || n->own ? "reporting"
                                 : "new";
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
        strbuf_addf(
            out,
            "node=%llu state=%s serial=%llu ack=%llu age_seconds=%llu own=%s reported=", U(n->node),
            state_of(n), U(n->serial), U(n->ack), U(n->age / NSEC_PER_SEC), n->own ? "yes" : "no");
        view_add_time(out, n->timestamp);
        strbuf_adds(out, "\n");
    }
    free(v);
    if (ret_count)
        *ret_count = count;
    return strbuf_error(out);
}

/* A key of a pool: its first half is that of the object's id. */
void view_gc_key(const struct id *key, const struct id *whole, struct strbuf *out)
{
    char hex[ID_HEX + 1], id[ID_HEX + 1];

    id_to_hex(key, hex);
    strbuf_addf(out, "key %s of object ", hex);
    if (!whole || id_is_zero(whole)) {
        strbuf_addf(out, "%.16s…", hex);
        return;
    }
    id_to_hex(whole, id);
    strbuf_adds(out, id);
}

void view_gc_eligible(const struct gc_result *r, view_gc_describe *describe, struct strbuf *out)
{
    for (size_t i = 0; i < r->eligible_count && i < SHOWN_IDS; i++) {
        describe(&r->eligible[i], r->whole ? &r->whole[i] : NULL, out);
        strbuf_adds(out, "\n");
    }
    if (r->eligible_count > SHOWN_IDS)
        strbuf_addf(out, "and %llu more\n", U(r->eligible_count - SHOWN_IDS));
}

/* All that were kept. */
static void add_record(const struct gc_record *r, view_gc_describe *describe, struct strbuf *out)
{
    strbuf_addf(out, "cycle=%llu time=", U(r->cycle));
    view_add_time(out, r->time);
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

static int add_history(struct gc *gc, view_gc_describe *describe, struct strbuf *out)
{
    struct gc_record r;
    int err = 0;

    for (size_t i = 0; (err = gc_history_get(gc, i, &r)) == 0; i++) {
        add_record(&r, describe, out);
        free(r.ids);
    }
    return err == -ENOENT ? strbuf_error(out) : err;
}

int view_gc_history(struct project *p, struct strbuf *out)
{
    int err = 0;

    if (p->node) {
        strbuf_adds(out, "cycles of the pool, run here since the mount\n");
        err = add_history(p->node->gc, view_gc_key, out);
        strbuf_adds(out, "cycles of this store\n");
    }
    return err < 0 ? err : add_history(p->gc.gc, leak_describe, out);
}
