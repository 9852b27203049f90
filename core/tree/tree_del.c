// SPDX-License-Identifier: Apache-2.0
/*
 * tree_del: deleting. An empty page is freed, a sparse page is joined with a neighbour, and a root
 * with one child is replaced by that child.
 */
#include "report.h"
#include "tree_impl.h"
#include <errno.h>

#define MERGE_BELOW (PAGE_CAPACITY / 4) /* a page used less looks for a neighbour to join */
/* bytes; two pages are joined only up to this, so that the result does not split again soon */
#define MERGE_UPTO (PAGE_CAPACITY * 3 / 4)

/* Removes slot `slot` of the inner page at depth d, and frees the page that it led to, which holds
 * nothing any more. */
static int unhang(struct tree *t, struct tree_path *path, unsigned d, unsigned slot, uint64_t no)
{
    struct tree_page *p = path->step[d].page;
    int err = pages_modify(t->pages, p);

    if (err < 0)
        return err;
    page_remove(p->data, slot);
    tree_reset_first_key(p->data);
    if (pages_free(t->pages, no) < 0)
        report(REPORT_WARN, "tree page %llu leaks until `rebuild`", (unsigned long long)no);
    return 0;
}

/* Joins the page at depth d with the neighbour at `slot` of its parent, if the tree owns that one
 * and both fit into one page. The slots of the right page move to the left one. */
static int join(struct tree *t, struct tree_path *path, unsigned d, unsigned slot, bool *ret_joined)
{
    struct tree_step *up = &path->step[d - 1];
    struct tree_page *p = path->step[d].page, *other, *left, *right;
    bool other_is_left = slot < up->slot;
    int err = pages_get(t->pages, page_child(up->page->data, slot), &other);

    if (err < 0)
        return err;
    left = other_is_left ? other : p;
    right = other_is_left ? p : other;
    if (atomic_load(&other->count) == 1 &&
        page_used(left->data) + page_used(right->data) <= MERGE_UPTO) {
        err = pages_modify(t->pages, left);
        if (err == 0)
            err = pages_modify(t->pages, right);
        if (err == 0)
            err = pages_modify(t->pages, up->page);
        if (err == 0) {
            /* The first key of an inner page is minus infinity; in the joined page the parent's
             * key is needed. */
            if (page_level(right->data) > 0)
                page_set_key(right->data, 0,
                             page_key(up->page->data, other_is_left ? up->slot : slot));
            page_move_tail(right->data, 0, left->data);
            err = unhang(t, path, d - 1, other_is_left ? up->slot : slot, right->no);
            *ret_joined = true;
        }
    }
    pages_put(t->pages, other);
    return err;
}

/* Tries to join a sparse page with its right neighbour, then with its left one. */
static int try_join(struct tree *t, struct tree_path *path, unsigned d, bool *ret_joined)
{
    struct tree_step *up = &path->step[d - 1];
    int err = 0;

    *ret_joined = false;
    if (up->slot + 1 < page_count(up->page->data))
        err = join(t, path, d, up->slot + 1, ret_joined);
    if (err == 0 && !*ret_joined && up->slot > 0)
        err = join(t, path, d, up->slot - 1, ret_joined);
    return err;
}

/* Frees an inner root with one child; the child becomes the root. */
static int shrink_root(struct tree *t)
{
    for (;;) {
        struct tree_page *root;
        uint64_t child;
        int err = pages_get(t->pages, t->root, &root);

        if (err < 0)
            return err;
        if (page_level(root->data) == 0 || page_count(root->data) > 1 ||
            atomic_load(&root->count) > 1) {
            pages_put(t->pages, root);
            return 0;
        }
        child = page_child(root->data, 0);
        err = pages_free(t->pages, root->no);
        if (err == 0)
            t->root = child;
        pages_put(t->pages, root);
        if (err < 0)
            return err;
    }
}

/* An empty leaf may stay in the tree, but an inner page without children may not. So every page
 * that will lose a child is made dirty first, and nothing can fail halfway up. */
int tree_ready_to_unhang(struct tree *t, struct tree_path *path)
{
    int err = 0;

    for (unsigned d = path->depth - 1; d-- > 0 && err == 0;) {
        err = pages_modify(t->pages, path->step[d].page);
        if (page_count(path->step[d].page->data) > 1)
            break;
    }
    return err;
}

int tree_tidy(struct tree *t, struct tree_path *path)
{
    if (page_count(path->step[path->depth - 1].page->data) == 0) {
        int err = tree_ready_to_unhang(t, path);
        if (err < 0)
            return err;
    }
    for (unsigned d = path->depth - 1; d > 0; d--) {
        struct tree_page *p = path->step[d].page;
        bool joined = false;
        int err = 0;

        if (page_count(p->data) == 0)
            err = unhang(t, path, d - 1, path->step[d - 1].slot, p->no);
        else if (page_used(p->data) < MERGE_BELOW)
            err = try_join(t, path, d, &joined);
        else
            break;
        if (err < 0)
            return err;
        if (page_count(p->data) > 0 && !joined)
            break;
    }
    if (page_level(path->step[0].page->data) > 0 && page_count(path->step[0].page->data) == 1)
        return shrink_root(t);
    if (page_count(path->step[0].page->data) == 0) {
        t->root = 0;
        return pages_free(t->pages, path->step[0].page->no);
    }
    return 0;
}

int tree_del_untold(struct tree *t, struct key k)
{
    struct tree_path path;
    struct tree_page *leaf;
    uint64_t object = 0;
    bool found;
    unsigned slot;
    size_t len;
    const uint8_t *v;
    int err = t->root ? tree_walk(t, k, true, &path) : -ENOENT;

    if (err < 0)
        return err;
    leaf = path.step[path.depth - 1].page;
    slot = page_search(leaf->data, k, &found);
    err = found ? pages_modify(t->pages, leaf) : -ENOENT;
    if (err == 0) {
        v = page_value(leaf->data, slot, &len);
        object = item_object(k, v, len);
        usage_take(&t->usage, item_usage(k, v, len));
        page_remove(leaf->data, slot);
        /* The item is deleted; if this fails a page only stays sparse or leaks. */
        (void)tree_tidy(t, &path);
    }
    tree_path_release(t, path.step, path.depth);
    tree_let_go(t, object);
    return err;
}

int tree_del(struct tree *t, struct key k)
{
    int err = tree_del_untold(t, k);

    if (err == 0 && t->observer)
        t->observer->del(t->observer, k);
    return err;
}
