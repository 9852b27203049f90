// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_init: make a store.
 */
#include "tally.h"

#include "store.h"

static int run_init(int argc, char **argv)
{
    static const struct option options[] = {{"label", required_argument, NULL, 'l'},
                                            {"pool", required_argument, NULL, 'p'},
                                            {"foreign-store", no_argument, NULL, 'F'},
                                            {NULL, 0, NULL, 0}};
    const char *label = NULL, *pool = NULL;
    char fallback[PROJECT_LABEL_MAX + 1], why[STORE_WHY] = "";
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
            return tally_misuse(&verb_init);
        }
    }
    if (argc - optind != 1) {
        return tally_misuse(&verb_init);
    }
    if (!label) {
        tally_default_label(argv[optind], fallback, sizeof(fallback));
        label = fallback;
    } else if (!tally_label_ok(label)) {
        return tally_fail("a label is ORG/PROJECT, at most %d bytes; not '%s'", PROJECT_LABEL_MAX,
                          label);
    }
    if (store_init(argv[optind], label, pool, flags, why) < 0) {
        return tally_fail("%s", why);
    }
    return 0;
}

const struct verb verb_init = {
    "init", run_init, "[--label ORG/PROJECT] [--pool dir:PATH] [--foreign-store] STORE",
    "make a new store in an empty directory",
    "  --label ORG/PROJECT  its name, for people; local/ and the directory's name if left out\n"
    "  --pool dir:PATH      keep its objects in that directory, which several stores share;\n"
    "                       it is made a pool if it is missing or empty\n"
    "  --foreign-store      the directory, or the pool, may be somebody else's, or written by\n"
    "                       others: they are trusted\n"};
