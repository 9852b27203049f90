// SPDX-License-Identifier: Apache-2.0
/* schedule: see the header. */
#include "schedule.h"

#include "ladder_run.h"
#include "ns_label.h"
#include "report.h"
#include "ttl.h"
#include <errno.h>
#include <string.h>

/* What a setting has done for a namespace. */
static const struct kind {
    const char *setting;
    bool (*wants)(struct state *p, struct ns *ns);
    int (*run)(struct state *p, struct ns *ns);
    const char *failed; /* what is reported of a failure */
} kinds[] = {
    {LADDER_SETTING, ladder_wants, ladder_run,
     "snapshots cannot be made or removed as its setting `snapshots` says"},
    {TTL_SETTING, ttl_wants, ttl_run, "its time is over by its setting `ttl`, and it stays"},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* The next namespace in the root behind number *at for which something of the kind is to be done,
 * with a reference; NULL: none. */
static struct ns *next_due(struct state *p, const struct kind *k, uint32_t *at)
{
    struct ns *ns;

    while (ns_setting_next(p, k->setting, *at, at) == 0) {
        bool visible;

        if (ns_get(p, *at, &ns) < 0)
            continue;
        {
            READ_GUARD(&p->names.lock);
            visible = ns->hidden.kind == NS_VISIBLE;
        }
        if (visible && k->wants(p, ns))
            return ns;
        ns_put(p, ns);
    }
    return NULL;
}

bool schedule_is_due(struct state *p)
{
    struct ns *ns = NULL;

    if (atomic_load(&p->follows)) /* its namespaces change as those of the archive do */
        return false;
    for (size_t i = 0; i < KINDS && !ns; i++) {
        uint32_t at = 0;

        ns = next_due(p, &kinds[i], &at);
    }
    ns_put(p, ns);
    return ns;
}

static void report_failed(struct state *p, const struct kind *k, const struct ns *ns, int err)
{
    char label[NS_LABEL_MAX];

    ns_label(p, ns, label);
    report(REPORT_WARN, "%s: %s (%s): that is tried again", label, k->failed, strerror(-err));
}

void schedule_run(struct state *p)
{
    struct ns *ns;

    for (size_t i = 0; i < KINDS; i++) {
        uint32_t at = 0;

        while (state_root_writable(p) == 0 && (ns = next_due(p, &kinds[i], &at))) {
            int err = kinds[i].run(p, ns);

            if (err < 0 && err != -EINTR && err != -ESHUTDOWN)
                report_failed(p, &kinds[i], ns, err);
            ns_put(p, ns);
        }
    }
}
