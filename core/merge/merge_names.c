// SPDX-License-Identifier: Apache-2.0
/* merge_names: what becomes of each name (merge_plan.h), and how often an inode has one then. */
#include "array.h"
#include "file_image.h"
#include "merge_plan_impl.h"
#include "vfs_dir.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what ours has ---- */

static int compare_to_name(const struct delta *d, const struct delta_name *n, uint64_t parent,
                           const char *text, size_t len)
{
    int order = memcmp(text, delta_text(d, n), len < n->len ? len : n->len);

    if (parent != n->parent)
        return parent < n->parent ? -1 : 1;
    return order ? order : (len > n->len) - (len < n->len);
}

/* How the name differs in ours; NULL: it is as in the base. */
static const struct delta_name *in_ours(const struct merge_plan *m, const struct delta_name *n)
{
    size_t from = 0, to = m->ours.name_count;
    const char *text = delta_text(&m->theirs, n);

    while (from < to) {
        size_t at = from + (to - from) / 2;
        const struct delta_name *o = &m->ours.names[at];
        int order = compare_to_name(&m->ours, o, n->parent, text, n->len);

        if (order == 0)
            return o;
        if (order < 0)
            to = at;
        else
            from = at + 1;
    }
    return NULL;
}

/* ---- names ---- */

static int links_of(struct making *k, uint64_t ino, struct merge_links **ret)
{
    struct merge_plan *m = k->m;
    struct inode in;
    uint64_t at;
    int err;

    if (map64_get(&m->link_of, ino, &at)) {
        *ret = &m->links[at - 1];
        return 0;
    }
    err = plan_load(k, ino, &in);
    if (err == 0 && ARRAY_RESERVE(m->links, m->links_room, m->link_count + 1) < 0)
        err = -ENOMEM;
    if (err == 0)
        err = map64_put(&m->link_of, ino, m->link_count + 1);
    if (err < 0)
        return err;
    *ret = &m->links[m->link_count++];
    **ret = (struct merge_links){.ino = ino, .dir = S_ISDIR(in.mode)};
    return 0;
}

static int dir_of(struct making *k, uint64_t ino, struct merge_dir **ret)
{
    struct merge_plan *m = k->m;
    uint64_t at;
    int err;

    if (map64_get(&m->dir_of, ino, &at)) {
        *ret = &m->dirs[at - 1];
        return 0;
    }
    if (ARRAY_RESERVE(m->dirs, m->dirs_room, m->dir_count + 1) < 0)
        return -ENOMEM;
    err = map64_put(&m->dir_of, ino, m->dir_count + 1);
    if (err < 0)
        return err;
    *ret = &m->dirs[m->dir_count++];
    **ret = (struct merge_dir){.ino = ino};
    return 0;
}

/* Counts what a name does to the inodes it leads to, and to its directory. */
static int count_name(struct making *k, const struct merge_name *n)
{
    struct merge_links *l;
    struct merge_dir *d;
    int err = dir_of(k, n->parent, &d);

    if (err == 0 && n->was) {
        err = links_of(k, n->was, &l);
        if (err == 0) {
            l->minus++;
            d->entries--;
            d->subdirs -= l->dir;
        }
    }
    if (err == 0 && n->becomes) {
        err = links_of(k, n->becomes, &l);
        if (err == 0) {
            l->plus++;
            l->parent = n->parent;
            d->entries++;
            d->subdirs += l->dir;
        }
    }
    return err;
}

/* Notes what becomes of a name. It takes `name` over. */
static int add_name(struct making *k, uint64_t parent, uint64_t was, uint64_t becomes, char *name)
{
    struct merge_plan *m = k->m;

    if (!name || ARRAY_RESERVE(m->names, m->names_room, m->name_count + 1) < 0) {
        free(name);
        return -ENOMEM;
    }
    m->names[m->name_count++] = (struct merge_name){parent, was, becomes, name};
    return count_name(k, &m->names[m->name_count - 1]);
}

/* The name beside another one: the same, whoever merges. */
static char *variant_of(const struct delta *d, const struct delta_name *n, uint64_t ino)
{
    char suffix[32], *name;
    int len = snprintf(suffix, sizeof suffix, ".variant-%08llx", (unsigned long long)ino);
    size_t keep = n->len + (size_t)len > ITEM_NAME_MAX ? ITEM_NAME_MAX - (size_t)len : n->len;

    if (asprintf(&name, "%.*s%s", (int)keep, delta_text(d, n), suffix) < 0)
        return NULL;
    return name;
}

/* Are these two files, one of ours and one of theirs, equal for certain? 1, 0, -errno. */
static int are_equal(struct making *k, uint64_t ours, uint64_t theirs)
{
    struct merge_file x = {&k->s->ours->tree, ours, {0}},
                      y = {&k->s->theirs->tree, merge_twins_in_theirs(k->m, theirs), {0}};
    int err = ours && theirs && !k->m->knows_ours ? inode_load(x.tree, x.ino, &x.in) : -ESTALE;

    if (err == 0)
        err = inode_load(y.tree, y.ino, &y.in);
    if (err < 0)
        return err == -ESTALE ? 0 : err;
    return merge_twins_are_equal(k, &x, &y);
}

/* What the name leads to in theirs, or else in ours, as a number of ours. -ENOENT: in neither. */
static int find_variant(const struct making *k, uint64_t parent, const char *name, uint64_t *ret)
{
    const struct merge_plan *m = k->m;
    struct key key;
    unsigned type;
    int err = dirent_find(k->p, &k->s->theirs->tree, merge_twins_in_theirs(m, parent), name, &key,
                          ret, &type);

    if (err == 0)
        (void)map64_get(&m->twins.ours_of, *ret, ret);
    if (err == -ENOENT)
        err = dirent_find(k->p, &k->s->ours->tree, parent, name, &key, ret, &type);
    return err;
}

/* What theirs has gets a name beside that of ours, unless it has that already. */
static int add_variant(struct making *k, const struct delta_name *n)
{
    uint64_t theirs = n->ino[DELTA_B], at;
    char *name = variant_of(&k->m->theirs, n, theirs);
    int err;

    if (!name)
        return -ENOMEM;
    err = find_variant(k, n->parent, name, &at);
    if (err == -ENOENT)
        return add_name(k, n->parent, 0, theirs, name);
    free(name);
    if (err < 0)
        return err;
    return at == theirs ? 0 : plan_conflict_of_name(k, MERGE_NAME, n);
}

static enum merge_rule rule_of_name(const struct making *k, const struct delta_name *n)
{
    const struct merge_plan *m = k->m;

    return m->rules
               ? merge_rules_of_name(m->rules, n->parent, delta_text(&m->theirs, n), n->len)
               : m->rule;
}

/* Both sides changed the name, and differently; or a rule keeps what it leads to in ours. */
static int decide_name(struct making *k, const struct delta_name *n, uint64_t now)
{
    struct merge_plan *m = k->m;
    uint64_t theirs = n->ino[DELTA_B];
    enum merge_rule rule = rule_of_name(k, n);
    int equal = are_equal(k, now, theirs);

    if (equal)
        return equal < 0 ? equal : 0;
    if (rule == MERGE_FAIL)
        return plan_conflict_of_name(k, MERGE_NAME, n);
    m->decided++;
    if (rule == MERGE_THEIRS)
        return add_name(k, n->parent, now, theirs, plan_copy_name(&m->theirs, n));
    if (rule == MERGE_BOTH && theirs)
        return add_variant(k, n);
    return 0;
}

static int merge_one_name(struct making *k, const struct delta_name *n)
{
    struct merge_plan *m = k->m;
    const struct delta_name *o = in_ours(m, n);
    uint64_t was = n->ino[DELTA_A], theirs = n->ino[DELTA_B];
    uint64_t now = o ? o->ino[DELTA_B] : was;
    enum merge_rule missed = now ? plan_rule_of_inode(k, now) : MERGE_FAIL;
    bool ours_wins = missed == MERGE_OURS || missed == MERGE_BOTH;

    if (now == theirs)
        return 0;
    if (plan_ours_removed(m, n->parent) && !plan_theirs_made(m, n->parent))
        return theirs ? plan_conflict_of_name(k, MERGE_NO_PARENT, n) : 0;
    if (theirs && plan_ours_removed(m, theirs) && plan_rule_of_inode(k, theirs) == MERGE_OURS) {
        m->decided++;
        return 0;
    }
    if (now != was || (ours_wins && plan_is_missed(k, now)))
        return decide_name(k, n, now);
    return add_name(k, n->parent, now, theirs, plan_copy_name(&m->theirs, n));
}

/* Is it a new directory of theirs that ours does not get? */
static bool stays_out(const struct making *k, uint64_t dir)
{
    const struct delta_inode *o = delta_find(&k->m->ours, dir);
    uint64_t at;

    return plan_theirs_made(k->m, dir) && !(o && o->in[DELTA_B]) &&
           !(map64_get(&k->m->link_of, dir, &at) && k->m->links[at - 1].plus);
}

/* Takes back the names in directories that ours does not get, because of a rule or a conflict. */
static void prune_names(struct making *k)
{
    struct merge_plan *m = k->m;
    bool again = true;
    uint64_t at;

    while (again) {
        again = false;
        for (size_t i = 0; i < m->name_count; i++) {
            struct merge_name *n = &m->names[i];

            if (!n->becomes || !stays_out(k, n->parent))
                continue;
            if (map64_get(&m->link_of, n->becomes, &at))
                m->links[at - 1].plus--;
            n->becomes = 0;
            again = true;
        }
    }
}

int plan_names(struct making *k)
{
    struct merge_plan *m = k->m;
    int err = 0;

    for (size_t i = 0; i < m->theirs.name_count && err == 0; i++)
        err = merge_one_name(k, &m->theirs.names[i]);
    if (m->decided || m->conflict_count)
        prune_names(k);
    return err;
}
