// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_init: makes a store.
 */
#include "identity.h"
#include "label.h"
#include "say.h"
#include "store_dir.h"
#include "verbs.h"

int cmd_init_run(int argc, char **argv)
{
    static const struct option options[] = {{"label", required_argument, NULL, 'l'},
                                            {"pool", required_argument, NULL, 'p'},
                                            {"foreign-store", no_argument, NULL, 'F'},
                                            {NULL, 0, NULL, 0}};
    const char *label = NULL, *pool = NULL;
    char fallback[STORE_LABEL_MAX + 1], why[STORE_WHY] = "";
    unsigned flags = 0;
    int o;
    while ((o = tally_getopt(argc, argv, "", options)) >= 0) {
        if (o == 'l') {
            label = optarg;
        } else if (o == 'p') {
            pool = optarg;
        } else if (o == 'F') {
            flags |= STORE_FOREIGN;
        } else {
            return verbs_misuse();
        }
    }
    if (argc - optind != 1) {
        return verbs_misuse();
    }
    if (!label) {
        tally_default_label(argv[optind], fallback, sizeof(fallback));
        label = fallback;
    } else if (!store_label_ok(label)) {
        return tally_fail("a label is ORG/PROJECT, at most %d bytes; not '%s'", STORE_LABEL_MAX,
                          label);
    }
    if (store_init(argv[optind], label, pool, NULL, flags, why) < 0) {
        return tally_fail("%s", why);
    }
    return 0;
}
