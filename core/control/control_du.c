// SPDX-License-Identifier: Apache-2.0
/* control_du: the verb du, which says what namespaces take, and what dropping each of them would
 * give back. */
#include "control_impl.h"
#include "du.h"
#include "kept.h"
#include <errno.h>
#include <stdio.h>

#define U(x) ((unsigned long long)(x))

/* Appends the figures of one namespace. The count of pieces that was just taken also corrects what
 * the store knows of it. */
static int add_figures(struct call *call, struct ns *ns, const char *name, struct strbuf *out)
{
    struct du du;
    int err = du_namespace(call->p, ns, call->interrupted, &du);

    if (err < 0)
        return err;
    strbuf_adds(out, "ns=");
    command_add_word(out, name);
    strbuf_addf(out, " logical=%llu shared=%llu frees=%llu tree=%llu", U(du.logical), U(du.shared),
                U(du.frees), U(du.tree));
    if (du.saved)
        strbuf_addf(out, " saved=%llu", U(du.saved));
    if (du.elsewhere)
        strbuf_addf(out, " elsewhere=%llu", U(du.elsewhere));
    if (du.pieces)
        strbuf_addf(out, " pieces=%llu", U(du.pieces));
    atomic_store(&ns->frees, du.frees);
    atomic_store(&ns->frees_looked, now(call->p));
    ns_count_pieces(call->p, ns, name, du.pieces);
    if (ns_is_scattered(call->p, ns))
        strbuf_adds(out, " scattered=1");
    return 0;
}

static int add_line(struct call *call, struct ns *ns, const char *name)
{
    CLEANUP_STRBUF struct strbuf figures = STRBUF_INIT;
    int err = add_figures(call, ns, name, &figures);

    if (err == 0)
        strbuf_addf(&call->lines, "| %s\n", figures.s);
    return err < 0 ? err : strbuf_error(&figures);
}

/* A line for each namespace. They are visited by name; one that is renamed meanwhile may be missed
 * or come twice. */
static int all_namespaces(struct call *call)
{
    char name[VFS_NAME_MAX + 1] = "";
    uint64_t count = 0;
    struct ns *ns;
    int err = 0;

    while (err == 0 && ns_next(call->p, name, &ns) == 0) {
        {
            READ_GUARD(&call->p->names.lock); /* a rename changes the name */
            snprintf(name, sizeof name, "%s", ns->name);
        }
        err = ns->target ? 0 : add_line(call, ns, name);
        count += !ns->target;
        ns_put(call->p, ns);
    }
    if (err == 0)
        strbuf_addf(&call->head, " namespaces=%llu trash_frees=%llu", U(count),
                    U(kept_alone(call->p).bytes));
    return err;
}

/* One namespace, as a line of its own or (`line` false) in the head of the reply. */
static int one_namespace(struct call *call, const char *name, bool line)
{
    struct ns *ns;
    int err = control_find_ns(call, name, &ns);

    if (err < 0)
        return err;
    if (!line)
        strbuf_adds(&call->head, " ");
    err = line ? add_line(call, ns, name) : add_figures(call, ns, name, &call->head);
    ns_put(call->p, ns);
    return err;
}

int control_du(struct call *call)
{
    size_t n = call->c->nargs;
    int err = 0;

    (void)seal_settle(call->p);
    if (n == 0)
        return all_namespaces(call);
    for (size_t i = 0; i < n && err == 0; i++)
        err = one_namespace(call, control_arg(call, i), n > 1);
    if (err == 0 && n > 1)
        strbuf_addf(&call->head, " namespaces=%zu", n);
    return err;
}
