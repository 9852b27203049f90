// SPDX-License-Identifier: Apache-2.0
/* check_sweep: the memory of sweeps. A damaged record may be removed, since the next sweep finds
 * out again which ghosts are lost. */
#include "check_impl.h"
#include "sweep_record.h"
#include <errno.h>
#include <stdlib.h>

int check_sweep(struct check *c)
{
    struct sweep_record *r = malloc(sizeof *r);
    int err = r ? sweep_record_load_snap(c->snap, r) : -ENOMEM;
    struct fix f;

    free(r);
    if (err != -EUCLEAN)
        return err;
    check_found(c, true, "sweep", "the record", "what sweeps remembered is damaged");
    f = fix_del(TABLE_META, "sweep", 5);
    check_fix(c, &f, "sweep", "the record",
              "it is forgotten: the next sweep tells anew what is lost");
    return 0;
}
