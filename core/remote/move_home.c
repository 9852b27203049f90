// SPDX-License-Identifier: Apache-2.0
/* move_home: see move.h. */
#include "move.h"

static int move_selected(uint64_t number, void *ctx)
{
    return move_one(ctx, number, NULL);
}

int move_home(struct state *p, struct job *j, const struct move_selection *s,
              struct move_result *ret, char why[256])
{
    struct move *m;
    int end, err = move_begin(p, j, 0, &m);

    *ret = (struct move_result){0};
    *why = '\0';
    if (err < 0)
        return err;
    err = move_select(p, s, move_selected, m, why);
    end = move_end(m, ret);
    err = err < 0 ? err : end;
    return err == 0 && ret->failed ? ret->error : err;
}
