// SPDX-License-Identifier: Apache-2.0
/*
 * age: make a store that nobody has mounted, and that has no name in it yet, one of version 3; and
 * tell the seed of its hash of names, which is what an attacker could learn of such a store.
 *
 *     age STORE
 *
 * Exit code 0, or 1 with a sentence.
 */
#include "../fixture/old_identity.h"
#include "io.h"
#include "store_dir.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void must(const char *what, int err)
{
    if (err == 0)
        return;
    fprintf(stderr, "age: %s: %s\n", what, strerror(-err));
    exit(1);
}

static uint64_t age(struct store_dir *s)
{
    uint8_t buf[IDENTITY_LEN], old[OLD_IDENTITY_LEN];
    struct identity id;
    struct kv_txn *t;
    size_t len;

    must("reading", kv_get(s->kv, TABLE_META, "identity", 8, buf, sizeof buf, &len));
    must("the identity", identity_decode(buf, len, &id));
    for (size_t i = 0; i < ID_SECRET_LEN; i++)
        id.key.secret[i] = (uint8_t)(i * 7 + 101);
    old_identity(&id, old);
    must("writing", kv_txn_begin(s->kv, &t));
    must("writing", kv_put(t, TABLE_META, "identity", 8, old, sizeof old));
    must("writing", kv_commit(t));
    return get_le64(id.key.secret);
}

int main(int argc, char **argv)
{
    static const char text[] = "tallyfs store 3\n";
    struct store_dir s;
    char why[STORE_WHY];

    if (argc != 2 || store_dir_open(argv[1], 0, "age", argv[1], &s, why) < 0) {
        fprintf(stderr, "age: %s\n", argc == 2 ? why : "age STORE");
        return 1;
    }
    printf("%" PRIu64 "\n", age(&s));
    must("writing", io_write_file(s.dirfd, "tally-store", text, sizeof text - 1, 0644));
    store_dir_close(&s);
    return 0;
}
