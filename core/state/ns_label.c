// SPDX-License-Identifier: Apache-2.0
/* ns_label: see the header. */
#include "ns_label.h"
#include "state.h"
#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* The name of what an instant is of; `otherwise` if that is not there any more. */
static void name_of(struct state *p, const struct ns_instant *of, const char *otherwise,
                    char out[VFS_NAME_MAX + 1])
{
    struct ns *ns = ns_get_any(p, of->ns);
    {
        READ_GUARD(&p->names.lock);
        bool is = ns && ns->live && ns->generation == of->generation;

        snprintf(out, VFS_NAME_MAX + 1, "%s", is ? ns->name : otherwise);
    }
    ns_put(p, ns);
}

void ns_label(struct state *p, const struct ns *ns, char out[NS_LABEL_MAX])
{
    char name[VFS_NAME_MAX + 1], of[VFS_NAME_MAX + 1];
    struct ns_hidden hidden;
    {
        READ_GUARD(&p->names.lock); /* a rename changes the name */
        snprintf(name, sizeof name, "%s", ns->name);
        hidden = ns->hidden;
    }
    switch (hidden.kind) {
    case NS_ORIGIN:
        name_of(p, &hidden.of, name, of);
        snprintf(out, NS_LABEL_MAX, "%s@%llu", of, U(hidden.of.seq));
        break;
    case NS_SNAPSHOT:
        name_of(p, &hidden.of, "?", of);
        snprintf(out, NS_LABEL_MAX, "%s@%s", of, name);
        break;
    case NS_TRASH:
        snprintf(out, NS_LABEL_MAX, "%s@" NS_LABEL_DROPPED "%llu", name, U(hidden.of.seq));
        break;
    case NS_POINT:
        snprintf(out, NS_LABEL_MAX, "%s@archived", name);
        break;
    case NS_DRAFT:
        snprintf(out, NS_LABEL_MAX, "%s@draft", name);
        break;
    default:
        snprintf(out, NS_LABEL_MAX, "%s", name);
    }
}
