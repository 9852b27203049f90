// SPDX-License-Identifier: Apache-2.0
/*
 * absent: make an object of a store that nobody has mounted one whose bytes were never there, and
 * the store one that has such objects.
 *
 *     absent STORE ID SHA256        both in hex digits
 *
 * Exit code 0, or 1 with a sentence.
 */
#include "../fixture/absent.h"
#include "feature_flags.h"
#include "io.h"
#include "store_dir.h"
#include <stdio.h>
#include <stdlib.h>

static void must(const char *what, int err)
{
    if (err == 0)
        return;
    fprintf(stderr, "absent: %s: %s\n", what, strerror(-err));
    exit(1);
}

static uint64_t number_of(struct kv *kv, const char *hex)
{
    uint8_t val[8];
    struct id id;
    size_t len;

    must("the id", id_from_hex(hex, &id));
    must("the index", kv_get(kv, TABLE_IDS, id.b, ID_LEN, val, sizeof val, &len));
    return get_be64(val);
}

int main(int argc, char **argv)
{
    const struct store_text now = {.features = {.mask = {0, 0, FEATURE_ABSENT_OBJECTS},
                                                .names = {"", "", " absent-objects"}}};
    uint8_t sha256[SHA256_LEN] = {0};
    char why[STORE_WHY], text[STORE_TEXT_MAX + 1];
    struct store_dir s;

    if (argc != 4 || store_dir_open(argv[1], 0, "absent", argv[1], &s, why) < 0) {
        fprintf(stderr, "absent: %s\n", argc == 4 ? why : "absent STORE ID SHA256");
        return 1;
    }
    for (size_t i = 0; i < SHA256_LEN; i++)
        if (sscanf(argv[3] + 2 * i, "%2hhx", &sha256[i]) != 1)
            return 1;
    must("the features", io_write_file(s.dirfd, "tally-store", text, store_text_encode(&now, text),
                                       0644));
    must("the object", absent_plant(s.kv, s.disk, number_of(s.kv, argv[2]), sha256));
    store_dir_close(&s);
    return 0;
}
