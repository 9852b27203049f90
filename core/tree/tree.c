// SPDX-License-Identifier: Apache-2.0
/*
 * tree: walking down, reading, and copying shared pages. A change walks down and copies every
 * shared page on the way (tree_own_page, copy_page). So tree_put.c and tree_del.c only change pages
 * that no other tree names.
 */
#include "tree_impl.h"
#include "report.h"
#include <errno.h>

/* ---- copying shared pages ---- */

/* A failure is only reported: the item has been removed, and a count that is too high only
 * leaks. */
void tree_let_go(struct tree *t, uint64_t object)
{
    int err = object ? refs_unref(t->refs, object) : 0;

    if (err < 0)
        report(REPORT_WARN,
               "object number %llu could not be released (%s): it leaks until `rebuild`",
               (unsigned long long)object, strerror(-err));
}

/* Takes one more reference on all that a page names, all or none. The page is a copy that nothing
 * names yet; its items get the targets of aliases in place of the aliases. */
static int ref_all(struct tree *t, uint8_t *p)
{
    uint64_t named[PAGE_ITEMS_MAX];
    unsigned n = page_count(p);
    size_t len;
    int err;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *v = page_value(p, i, &len);
        named[i] = page_level(p) > 0 ? get_le64(v) : item_object(page_key(p, i), v, len);
    }
    if (page_level(p) > 0)
        return pages_ref_all(t->pages, named, n);
    err = refs_ref_all(t->refs, named, n);
    for (unsigned i = 0; i < n && err == 0; i++) {
        const uint8_t *v = page_value(p, i, &len);
        item_set_object(page_key(p, i), p + (v - p), len, named[i]);
    }
    return err;
}

/* Gives back one reference on all that a page names. It goes on after an error, and returns the
 * first. */
static int unref_all(struct tree *t, const uint8_t *p)
{
    int err = 0;

    for (unsigned i = 0; i < page_count(p); i++) {
        size_t len;
        const uint8_t *v = page_value(p, i, &len);
        uint64_t object = page_level(p) > 0 ? 0 : item_object(page_key(p, i), v, len);
        int unref_err = page_level(p) > 0 ? pages_add_count(t->pages, get_le64(v), -1, NULL)
                        : object          ? refs_unref(t->refs, object)
                                          : 0;
        /* the entry is lost, which was reported: nothing can be given back */
        if (unref_err == -ENOENT && object)
            unref_err = 0;
        err = err < 0 ? err : unref_err;
    }
    return err;
}

/* Gives back one reference on a page that was shared a moment ago. Two owners may copy it at the
 * same time; then the second finds count 0 and releases what the page held. */
static int release_copied(struct tree *t, struct tree_page *old)
{
    uint32_t count;
    int err = pages_add_count(t->pages, old->no, -1, &count);

    if (err < 0 || count > 0)
        return err;
    err = unref_all(t, old->data);
    return err < 0 ? err : pages_free(t->pages, old->no);
}

/* Makes a copy of a page under a new number, with one more reference on all that it names. */
static int copy_page(struct tree *t, struct tree_page *old, struct tree_page **ret_copy)
{
    struct tree_page *copy;
    int err = pages_new(t->pages, page_level(old->data), &copy);

    if (err < 0)
        return err;
    memcpy(copy->data, old->data, PAGE_SIZE_BYTES);
    page_set_number(copy->data, copy->no);
    err = ref_all(t, copy->data);
    if (err < 0) {
        (void)pages_free(t->pages, copy->no);
        pages_put(t->pages, copy);
        return err;
    }
    *ret_copy = copy;
    return 0;
}

int tree_own_page(struct tree *t, struct tree_page *parent, unsigned slot, struct tree_page **page)
{
    struct tree_page *copy, *old = *page;
    uint8_t number[8];
    int err;

    if (atomic_load(&old->count) == 1)
        return 0;
    if (parent) {
        err = pages_modify(t->pages, parent);
        if (err < 0)
            return err;
    }
    err = copy_page(t, old, &copy);
    if (err < 0)
        return err;
    put_le64(number, copy->no);
    if (parent)
        (void)page_replace(parent->data, slot, number, sizeof number);
    else
        t->root = copy->no;
    err = release_copied(t, old);
    pages_put(t->pages, old);
    *page = copy;
    return err;
}

/* ---- walking ---- */

void tree_path_release(const struct tree *t, struct tree_step *step, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        pages_put(t->pages, step[i].page);
}

int tree_check_level(const struct tree_page *p, unsigned depth, const struct tree_page *parent)
{
    if (depth > PAGE_LEVEL_MAX)
        return -EUCLEAN;
    if (parent && page_level(p->data) + 1 != page_level(parent->data))
        return -EUCLEAN;
    return 0;
}

int tree_walk(struct tree *t, struct key k, bool own, struct tree_path *path)
{
    struct tree_page *parent = NULL;
    uint64_t no = t->root;

    path->depth = 0;
    for (;;) {
        struct tree_step *s = &path->step[path->depth];
        unsigned slot = parent ? path->step[path->depth - 1].slot : 0;
        int err = pages_get(t->pages, no, &s->page);
        if (err == 0) {
            path->depth++;
            err = tree_check_level(s->page, path->depth, parent);
        }
        if (err == 0 && own)
            err = tree_own_page(t, parent, slot, &s->page);
        if (err < 0) {
            tree_path_release(t, path->step, path->depth);
            path->depth = 0;
            return err;
        }
        if (page_level(s->page->data) == 0)
            return 0;
        s->slot = page_search_child(s->page->data, k);
        no = page_child(s->page->data, s->slot);
        parent = s->page;
    }
}

int tree_get(const struct tree *t, struct key k, void *buf, size_t cap, size_t *ret_len)
{
    struct tree_page *p;
    uint64_t no = t->root;
    bool found;
    unsigned slot, level = PAGE_LEVEL_MAX + 1;
    const uint8_t *v;
    int err = no ? 0 : -ENOENT;

    while (err == 0) {
        err = pages_get(t->pages, no, &p);
        if (err < 0)
            break;
        if (page_level(p->data) >= level) { /* otherwise a damaged tree could lead in a circle */
            pages_put(t->pages, p);
            err = -EUCLEAN;
            break;
        }
        if (page_level(p->data) == 0)
            break;
        no = page_child(p->data, page_search_child(p->data, k));
        level = page_level(p->data);
        pages_put(t->pages, p);
    }
    if (err < 0)
        return err;
    slot = page_search(p->data, k, &found);
    if (found) {
        v = page_value(p->data, slot, ret_len);
        if (*ret_len <= cap && *ret_len)
            memcpy(buf, v, *ret_len);
    }
    pages_put(t->pages, p);
    return !found ? -ENOENT : *ret_len > cap ? -ERANGE : 0;
}

/* ---- owning ---- */

bool tree_path_is_owned(const struct tree_path *path)
{
    for (unsigned i = 0; i < path->depth; i++)
        if (atomic_load(&path->step[i].page->count) != 1)
            return false;
    return true;
}

/* Does the tree own all pages on the way to `k`? -EAGAIN: no, one would have to be copied.
 * -ENOENT. */
static int is_owned(struct tree *t, struct key k)
{
    struct tree_path path;
    bool found;
    int err = t->root ? tree_walk(t, k, false, &path) : -ENOENT;

    if (err < 0)
        return err;
    if (!tree_path_is_owned(&path))
        err = -EAGAIN;
    (void)page_search(path.step[path.depth - 1].page->data, k, &found);
    tree_path_release(t, path.step, path.depth);
    return found ? err : -ENOENT;
}

int tree_put_owned(struct tree *t, struct key k, const void *val, size_t len)
{
    int err = is_owned(t, k);
    return err < 0 ? err : tree_put_untold(t, k, val, len);
}

int tree_own(struct tree *t, struct key k)
{
    struct tree_path path;
    bool found;
    int err = t->root ? tree_walk(t, k, true, &path) : -ENOENT;

    if (err < 0)
        return err;
    (void)page_search(path.step[path.depth - 1].page->data, k, &found);
    tree_path_release(t, path.step, path.depth);
    return found ? 0 : -ENOENT;
}

int tree_branch(const struct tree *t, struct tree *ret)
{
    int err = t->root ? pages_add_count(t->pages, t->root, +1, NULL) : 0;

    if (err == 0) {
        ret->root = t->root;
        ret->usage = t->usage;
    }
    return err;
}
