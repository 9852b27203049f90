// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_help: prints how the program is called. Commands in the control file are written differently.
 * The mount itself describes them with --json, for programs that write them.
 */
#include "ctl.h"
#include "say.h"
#include "verbs.h"
#include "which_mount.h"

int cmd_help_run(int argc, char **argv)
{
    struct ctl_call c;
    struct tally_mountinfo m;
    if (ctl_parse(argc, argv, &c) < 0) {
        return verbs_misuse();
    }
    if (c.json) {
        int err = which_mount(&m);
        return err < 0 ? which_mount_fail(err, &m) : ctl_run(&c, m.point);
    }
    const struct verb *asked = c.nargs > 0 ? verbs_find(c.args[0]) : NULL;
    if (asked) {
        return verbs_help(asked);
    }
    if (c.nargs > 0) {
        return tally_fail("there is no verb '%s'; `tally --help` lists them", c.args[0]);
    }
    verbs_print_all(stdout);
    return 0;
}
