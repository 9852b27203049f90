// SPDX-License-Identifier: Apache-2.0
/*
 * check_namespaces: the records of namespaces, each with its tree (check_tree.c), and the tree of
 * unlinked inodes.
 */
#include "array.h"
#include "bytes.h"
#include "check_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Offer a next inode number above `max`. */
static void fix_next(struct check *c, const struct ns_fields *f, uint32_t number, uint64_t max)
{
    check_fix(c, &(struct fix){.kind = FIX_NEXT_INO, .ns = number, .value = max + 1}, "namespace",
              f->name, "the next inode number to be given is %" PRIu64, max + 1);
}

/* Check the next inode number: it must be above all in use. It is also raised above the numbers of
 * entries that lead nowhere, since otherwise such an entry would lead to a new inode one day. */
static void check_next(struct check *c, const struct ns_fields *f, uint32_t number,
                       const struct check_numbers *seen)
{
    const uint64_t max = seen->max, named = seen->named;

    if (f->next_ino <= max)
        check_found(c, true, "namespace", f->name,
                    "inode %" PRIu64 " is in use, but the next number to be given is %" PRIu64, max,
                    f->next_ino);
    if (f->next_ino <= max || f->next_ino <= named)
        fix_next(c, f, number, max > named ? max : named);
}

/* Compare the recorded usage (inodes and bytes) with that of the tree. A namespace from a version
 * that did not record it is offered its first record. If a part of the tree is hidden, its usage
 * is unknown. */
static void check_usage(struct check *c, struct ns_fields f, uint32_t number,
                        const struct check_numbers *seen)
{
    uint8_t key[8], record[NS_RECORD_MAX];
    struct fix fix;

    if (seen->hidden || (f.counted && usage_is(f.usage, seen->usage)))
        return;
    if (f.counted)
        check_found(c, true, "namespace", f.name,
                    "it is said to have %" PRIu64 " inodes with %" PRIu64 " bytes, but has %" PRIu64
                    " with %" PRIu64,
                    f.usage.inodes, f.usage.bytes, seen->usage.inodes, seen->usage.bytes);
    f.usage = seen->usage;
    f.counted = true;
    put_be64(key, number);
    fix = fix_put(c, TABLE_NAMESPACES, key, sizeof key, record,
                  ns_record_encode(number, &f, record));
    check_fix(c, &fix, "namespace", f.name,
              "it is said to have %" PRIu64 " inodes with %" PRIu64 " bytes", f.usage.inodes,
              f.usage.bytes);
}

/* Check the tree of a root. Namespaces that share a root are checked once; the others get the
 * result of the first. */
static int check_root(struct check *c, const struct ns_fields *f, struct check_numbers *ret)
{
    uint64_t at;
    int err;

    if (map64_get(&c->roots, f->root, &at)) {
        *ret = c->seen[at];
        return 0;
    }
    err = check_tree(c, &(struct check_tree){f->root, f->name}, false, ret);
    if (err == 0 && ARRAY_RESERVE(c->seen, c->seen_room, c->seen_count + 1) < 0)
        err = -ENOMEM;
    if (err < 0)
        return err;
    c->seen[c->seen_count] = *ret;
    return map64_put(&c->roots, f->root, c->seen_count++);
}

/* Check one namespace: its tree, and the parts of its record that the tree decides. */
static int check_namespace(struct check *c, uint64_t number, const void *val, size_t len)
{
    struct ns_fields f;
    struct check_numbers seen;
    int err = ns_read(number, val, len, &f);

    if (err < 0)
        return err == -EUCLEAN ? 0 : err; /* the recount has reported it */
    /* The next start drops a draft, which was made in part. What it names is counted. */
    if (!f.target && f.root && f.hidden.kind != NS_DRAFT) {
        err = check_root(c, &f, &seen);
        if (err == 0) {
            check_next(c, &f, (uint32_t)number, &seen);
            check_usage(c, f, (uint32_t)number, &seen);
        }
    }
    ns_fields_release(&f);
    return err;
}

/* Check the tree of unlinked inodes. */
static int check_orphans(struct check *c)
{
    struct check_tree t = {c->state.orphan_root, "unlinked files"};
    struct check_numbers seen;

    return c->has_state && t.root ? check_tree(c, &t, true, &seen) : 0;
}

int check_trees(struct check *c)
{
    int err = check_each(c, TABLE_NAMESPACES, "namespace", check_namespace);

    return err < 0 ? err : check_orphans(c);
}
