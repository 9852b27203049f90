// SPDX-License-Identifier: Apache-2.0
/* control_sweep: the verb sweep. */
#include "control_impl.h"
#include "job.h"
#include "sweep.h"
#include <errno.h>
#include <stdlib.h>

/* Parses "[dry-run] [list]", in any order. */
static int parse(struct call *call, bool *ret_dry_run, bool *ret_list)
{
    *ret_dry_run = *ret_list = false;
    for (size_t i = 0; i < call->c->nargs; i++) {
        const char *word = control_arg(call, i);
        bool *flag = call->c->args[i].quoted        ? NULL
                     : strcmp(word, "dry-run") == 0 ? ret_dry_run
                     : strcmp(word, "list") == 0    ? ret_list
                                                    : NULL;
        if (!flag || *flag)
            return control_fail_word(call, -EINVAL,
                                     "after sweep come dry-run and list, each once, not %s", word);
        *flag = true;
    }
    return 0;
}

/* Refuses a sweep that could not run, before a job is begun. */
static int may_sweep(struct call *call, bool dry_run)
{
    struct sweep_status s;
    int err = dry_run ? 0 : control_may_change(call);

    if (err < 0)
        return err;
    sweep_get(call->p, &s);
    if (s.damage)
        return control_fail(call, s.damage,
                            "what sweeps remembered is damaged, and what was lost is not known: no "
                            "ghost is looked for; `tally check --repair` begins it anew");
    return 0;
}

int control_sweep(struct call *call)
{
    struct sweep_asked *a;
    bool dry_run, list;
    int err = parse(call, &dry_run, &list);

    if (err == 0)
        err = may_sweep(call, dry_run);
    if (err < 0)
        return err;
    a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct sweep_asked){dry_run, list};
    return control_run_one(call,
                           dry_run ? list ? "dry-run list" : "dry-run"
                           : list  ? "list"
                                   : "",
                           sweep_job, a);
}
