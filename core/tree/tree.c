// SPDX-License-Identifier: Apache-2.0
/*
 * tree: getting and changing. A change walks down, makes every page on the way its own (own_child,
 * copy_page), and then works on pages nobody else can see. Splits go up from the leaf; a full page
 * that grows at its end is not halved but followed by a new one, so that rising keys fill pages.
 */
#include "tree_impl.h"
#include "report.h"
#include <errno.h>

#define MERGE_BELOW (PAGE_CAPACITY / 4) /* a page used less looks for a neighbour to join */
#define MERGE_UPTO (PAGE_CAPACITY * 3 / 4)

/* ---- copying shared pages ---- */

/* Count what slot i of a page names up or down. */
static int count_slot(struct tree *t, const uint8_t *p, unsigned i, int delta)
{
    size_t len;
    const uint8_t *v = page_value(p, i, &len);
    uint64_t object;

    if (page_level(p) > 0)
        return pages_add_count(t->pages, get_le64(v), delta, NULL);
    object = item_object(page_key(p, i), v, len);
    if (!object)
        return 0;
    return delta > 0 ? refs_ref(t->refs, object) : refs_unref(t->refs, object);
}

/* An item that named `object` is gone. Nobody can be told of a failure here: the change has been
 * made, and a count too high only leaks. */
static void let_go(struct tree *t, uint64_t object)
{
    int err = object ? refs_unref(t->refs, object) : 0;

    if (err < 0)
        report(REPORT_WARN, "object number %llu could not be released (%s): it leaks until `rebuild`",
               (unsigned long long)object, strerror(-err));
}

/* Count all a page names up or down. Up: undone if one fails. Down: as far as it goes. */
static int count_all(struct tree *t, const uint8_t *p, int delta)
{
    int err = 0;

    for (unsigned i = 0; i < page_count(p); i++) {
        int r = count_slot(t, p, i, delta);
        if (r < 0 && delta > 0) {
            while (i-- > 0)
                (void)count_slot(t, p, i, -1);
            return r;
        }
        err = err < 0 ? err : r;
    }
    return err;
}

static void follow_aliases(struct tree *t, uint8_t *p)
{
    for (unsigned i = 0; page_level(p) == 0 && i < page_count(p); i++) {
        size_t len;
        uint8_t *v = p + (page_value(p, i, &len) - p);
        uint64_t object = item_object(page_key(p, i), v, len);
        if (object)
            item_set_object(page_key(p, i), v, len, refs_resolve(t->refs, object));
    }
}

/* Give back one reference on a page that was shared a moment ago. Two owners may copy it at the
 * same time; then the second finds the count at zero and lets go of what the page held. */
static int release_copied(struct tree *t, struct tree_page *old)
{
    uint32_t count;
    int err = pages_add_count(t->pages, old->no, -1, &count);

    if (err < 0 || count > 0)
        return err;
    err = count_all(t, old->data, -1);
    return err < 0 ? err : pages_free(t->pages, old->no);
}

static int copy_page(struct tree *t, struct tree_page *old, struct tree_page **ret_copy)
{
    struct tree_page *copy;
    int err = pages_new(t->pages, page_level(old->data), &copy);

    if (err < 0)
        return err;
    memcpy(copy->data, old->data, PAGE_SIZE_BYTES);
    page_set_number(copy->data, copy->no);
    follow_aliases(t, copy->data);
    err = count_all(t, copy->data, +1);
    if (err < 0) {
        (void)pages_free(t->pages, copy->no);
        pages_put(t->pages, copy);
        return err;
    }
    *ret_copy = copy;
    return 0;
}

/* Replace *page, found in slot `slot` of `parent` (NULL: the root), by a copy if it is shared. */
static int own_page(struct tree *t, struct tree_page *parent, unsigned slot,
                    struct tree_page **page)
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

struct path {
    struct tree_step step[PAGE_LEVEL_MAX + 1];
    unsigned depth;
};

static int check_level(const struct tree_page *p, unsigned depth, const struct tree_page *parent)
{
    if (depth > PAGE_LEVEL_MAX)
        return -EUCLEAN;
    if (parent && page_level(p->data) + 1 != page_level(parent->data))
        return -EUCLEAN;
    return 0;
}

/* Down to the leaf of `k`. `own`: copying shared pages, so that all of the path may be changed. */
static int walk(struct tree *t, struct key k, bool own, struct path *path)
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
            err = check_level(s->page, path->depth, parent);
        }
        if (err == 0 && own)
            err = own_page(t, parent, slot, &s->page);
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
        if (page_level(p->data) >= level) { /* else damage could lead in a circle */
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

/* ---- inserting ---- */

/* How a full page is parted for an item of `need` bytes that goes in before slot `idx`: slots from
 * `at` on go right, the item to the side told. At the end if it goes there in the last page (rising
 * keys), else near half of the bytes, the item among them: no item is larger than a quarter, so
 * both sides fit. */
static unsigned split_point(const uint8_t *p, unsigned idx, size_t need, bool last, bool *ret_right)
{
    unsigned n = page_count(p), at = 0;
    size_t sum = 0, half = (page_used(p) + need) / 2;
    bool left = false, rising = last && idx == n;

    while (!rising && sum < half) {
        size_t len;
        if (at == idx && !left) {
            sum += need;
            left = true;
            continue;
        }
        (void)page_value(p, at++, &len);
        sum += PAGE_SLOT + len;
    }
    *ret_right = !left;
    return rising ? n : at;
}

/* The first slot of an inner page stands for minus infinity, whatever led there: were an old key
 * left in it, a later split of its child below that key would put the slots out of order. */
static void reset_first_key(uint8_t *p)
{
    if (page_level(p) > 0 && page_count(p) > 0)
        page_set_key(p, 0, (struct key){0, 0});
}

static int grow_root(struct tree *t, struct tree_page *left, struct key sep,
                     struct tree_page *right)
{
    struct tree_page *root;
    uint8_t number[8];
    int err = pages_new(t->pages, page_level(left->data) + 1, &root);

    if (err < 0)
        return err;
    put_le64(number, left->no);
    (void)page_insert(root->data, 0, (struct key){0, 0}, number, sizeof number);
    put_le64(number, right->no);
    (void)page_insert(root->data, 1, sep, number, sizeof number);
    t->root = root->no;
    pages_put(t->pages, root);
    return 0;
}

/* Insert before slot `idx` of the page at depth d of an owned path, splitting upwards as needed.
 * The new sibling is hung into the parent before anything moves, so a failure moves nothing. */
static int insert_at(struct tree *t, struct path *path, unsigned d, unsigned idx, struct key k,
                     const void *val, size_t len)
{
    struct tree_page *p = path->step[d].page, *right;
    uint8_t number[8];
    unsigned at;
    bool to_right;
    struct key sep;
    int err = pages_modify(t->pages, p);

    if (err < 0)
        return err;
    if (page_insert(p->data, idx, k, val, len))
        return 0;
    err = pages_new(t->pages, page_level(p->data), &right);
    if (err < 0)
        return err;
    at = split_point(p->data, idx, PAGE_SLOT + len,
                     d == 0 || path->step[d - 1].slot + 1 ==
                                   page_count(path->step[d - 1].page->data),
                     &to_right);
    sep = to_right && at == idx ? k : page_key(p->data, at);
    put_le64(number, right->no);
    err = d == 0 ? grow_root(t, p, sep, right)
                 : insert_at(t, path, d - 1, path->step[d - 1].slot + 1, sep, number, 8);
    if (err < 0) {
        (void)pages_free(t->pages, right->no);
    } else {
        page_move_tail(p->data, at, right->data);
        (void)page_insert(to_right ? right->data : p->data, to_right ? idx - at : idx, k, val,
                          len);
        reset_first_key(right->data);
    }
    pages_put(t->pages, right);
    return err;
}

/* ---- making room without splitting ---- */

#define SHARE_MIN 512 /* bytes; less is not worth touching a neighbour */

/* How many slots from one end of `p` weigh at most `bytes` together; one stays in any case. */
static unsigned slots_of(const uint8_t *p, size_t bytes, bool from_front)
{
    unsigned n = page_count(p), i;
    size_t sum = 0;

    for (i = 0; i + 1 < n; i++) {
        size_t len;
        (void)page_value(p, from_front ? i : n - 1 - i, &len);
        sum += PAGE_SLOT + len;
        if (sum > bytes)
            break;
    }
    return i;
}

/* Move `n` slots from one end of `p` to the facing end of `other`, which has room. */
static void shift(uint8_t *p, uint8_t *other, unsigned n, bool left)
{
    for (; n > 0; n--) {
        unsigned from = left ? 0 : page_count(p) - 1;
        size_t len;
        const uint8_t *v = page_value(p, from, &len);
        (void)page_insert(other, left ? page_count(other) : 0, page_key(p, from), v, len);
        page_remove(p, from);
    }
}

static int modify_three(struct tree *t, struct tree_page *a, struct tree_page *b,
                        struct tree_page *c)
{
    int err = pages_modify(t->pages, a);

    if (err == 0)
        err = pages_modify(t->pages, b);
    return err < 0 ? err : pages_modify(t->pages, c);
}

/* Even out a full leaf with its neighbour at `slot` of the parent, if that one is ours and has
 * room. The path and *idx then lead to where the item of `need` bytes goes. Without this, keys that
 * arrive in the middle of pages filled by rising ones would leave most pages half empty. */
static int share_with(struct tree *t, struct path *path, unsigned slot, size_t need, unsigned *idx,
                      bool *ret_shared)
{
    struct tree_step *up = &path->step[path->depth - 2], *here = up + 1;
    bool left = slot < up->slot, moves;
    struct tree_page *other;
    size_t mine = page_used(here->page->data), theirs;
    unsigned n, border;
    int err = pages_get(t->pages, page_child(up->page->data, slot), &other);

    if (err < 0)
        return err;
    theirs = page_used(other->data);
    if (atomic_load(&other->count) == 1 && mine > theirs + 2 * (need + SHARE_MIN)) {
        err = modify_three(t, other, here->page, up->page);
        if (err == 0) {
            n = slots_of(here->page->data, (mine - theirs) / 2 - need, left);
            border = left ? n : page_count(here->page->data) - n;
            moves = left ? *idx <= border : *idx > border;
            if (left == moves)
                *idx = left ? page_count(other->data) + *idx : *idx;
            else
                *idx -= border;
            shift(here->page->data, other->data, n, left);
            page_set_key(up->page->data, left ? up->slot : slot,
                         page_key(left ? here->page->data : other->data, 0));
            if (moves) { /* the item goes to the neighbour: so does the path */
                struct tree_page *was = here->page;
                here->page = other;
                up->slot = slot;
                other = was;
            }
            *ret_shared = true;
        }
    }
    pages_put(t->pages, other);
    return err;
}

static int share_room(struct tree *t, struct path *path, size_t need, unsigned *idx)
{
    struct tree_step *up = path->depth > 1 ? &path->step[path->depth - 2] : NULL;
    bool shared = false;
    unsigned children;
    int err = 0;

    if (!up)
        return 0;
    children = page_count(up->page->data);
    if (*idx == page_count(up[1].page->data) && up->slot + 1 == children)
        return 0; /* rising keys: a new page will follow */
    if (up->slot > 0)
        err = share_with(t, path, up->slot - 1, need, idx, &shared);
    if (err == 0 && !shared && up->slot + 1 < children)
        err = share_with(t, path, up->slot + 1, need, idx, &shared);
    return err;
}

static int plant(struct tree *t, struct key k, const void *val, size_t len)
{
    struct tree_page *root;
    int err = pages_new(t->pages, 0, &root);

    if (err < 0)
        return err;
    (void)page_insert(root->data, 0, k, val, len);
    t->root = root->no;
    pages_put(t->pages, root);
    return 0;
}

/* Put into an owned leaf. *ret_old: the object the replaced item named. */
static int put_in_leaf(struct tree *t, struct path *path, struct key k, const void *val,
                       size_t len, uint64_t *ret_old)
{
    struct tree_page *leaf = path->step[path->depth - 1].page;
    bool found;
    unsigned slot = page_search(leaf->data, k, &found);
    const uint8_t *old;
    uint8_t kept[PAGE_VALUE_MAX];
    size_t old_len;
    int err;

    *ret_old = 0;
    if (!found) {
        err = page_fits(leaf->data, len) ? 0 : share_room(t, path, PAGE_SLOT + len, &slot);
        return err < 0 ? err : insert_at(t, path, path->depth - 1, slot, k, val, len);
    }
    err = pages_modify(t->pages, leaf);
    if (err < 0)
        return err;
    old = page_value(leaf->data, slot, &old_len);
    *ret_old = item_object(k, old, old_len);
    if (page_replace(leaf->data, slot, val, len))
        return 0;
    memcpy(kept, old, old_len);
    page_remove(leaf->data, slot);
    err = insert_at(t, path, path->depth - 1, slot, k, val, len);
    if (err < 0) {
        (void)page_insert(leaf->data, slot, k, kept, old_len);
        *ret_old = 0;
    }
    return err;
}

/* -EAGAIN if a page on the way to `k` has to be copied; -ENOENT. */
static int is_owned(struct tree *t, struct key k)
{
    struct path path;
    bool found;
    int err = t->root ? walk(t, k, false, &path) : -ENOENT;

    if (err < 0)
        return err;
    for (unsigned i = 0; i < path.depth; i++)
        if (atomic_load(&path.step[i].page->count) > 1)
            err = -EAGAIN;
    (void)page_search(path.step[path.depth - 1].page->data, k, &found);
    tree_path_release(t, path.step, path.depth);
    return found ? err : -ENOENT;
}

int tree_put(struct tree *t, struct key k, const void *val, size_t len)
{
    struct path path = {.depth = 0};
    uint64_t object = item_object(k, val, len), old = 0;
    int err;

    if (len > PAGE_VALUE_MAX)
        return -EINVAL;
    err = object ? refs_ref(t->refs, object) : 0;
    if (err < 0)
        return err;
    if (t->root == 0) {
        err = plant(t, k, val, len);
    } else {
        err = walk(t, k, true, &path);
        if (err == 0)
            err = put_in_leaf(t, &path, k, val, len, &old);
        tree_path_release(t, path.step, path.depth);
    }
    let_go(t, err < 0 ? object : old);
    return err;
}

int tree_put_owned(struct tree *t, struct key k, const void *val, size_t len)
{
    int err = is_owned(t, k);
    return err < 0 ? err : tree_put(t, k, val, len);
}

int tree_own(struct tree *t, struct key k)
{
    struct path path;
    bool found;
    int err = t->root ? walk(t, k, true, &path) : -ENOENT;

    if (err < 0)
        return err;
    (void)page_search(path.step[path.depth - 1].page->data, k, &found);
    tree_path_release(t, path.step, path.depth);
    return found ? 0 : -ENOENT;
}

int tree_branch(struct tree *t, uint64_t *ret_root)
{
    int err = t->root ? pages_add_count(t->pages, t->root, +1, NULL) : 0;

    if (err == 0)
        *ret_root = t->root;
    return err;
}

/* ---- deleting ---- */

/* Take slot `slot` out of the inner page at depth d; its page holds nothing any more. */
static int unhang(struct tree *t, struct path *path, unsigned d, unsigned slot, uint64_t no)
{
    struct tree_page *p = path->step[d].page;
    int err = pages_modify(t->pages, p);

    if (err < 0)
        return err;
    page_remove(p->data, slot);
    reset_first_key(p->data);
    if (pages_free(t->pages, no) < 0)
        report(REPORT_WARN, "tree page %llu leaks until `rebuild`", (unsigned long long)no);
    return 0;
}

/* Join the page at depth d with the neighbour at `slot` of its parent, if that one is ours and
 * both fit in one. The right one's slots move to the left one. */
static int join(struct tree *t, struct path *path, unsigned d, unsigned slot, bool *ret_joined)
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
            /* An inner page's first key is minus infinity there; here the parent's key holds. */
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

static int try_join(struct tree *t, struct path *path, unsigned d, bool *ret_joined)
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

/* An inner root with one child gives way to it. */
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

/* Every page that will lose a child when the leaf goes may be changed. An empty leaf may stay where
 * it is; an inner page without children may not, so nothing must fail half-way up. */
static int ready_to_unhang(struct tree *t, struct path *path)
{
    int err = 0;

    for (unsigned d = path->depth - 1; d-- > 0 && err == 0;) {
        err = pages_modify(t->pages, path->step[d].page);
        if (page_count(path->step[d].page->data) > 1)
            break;
    }
    return err;
}

/* From the leaf up: empty pages go, sparse ones join a neighbour. */
static int tidy(struct tree *t, struct path *path)
{
    if (page_count(path->step[path->depth - 1].page->data) == 0) {
        int err = ready_to_unhang(t, path);
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
    if (path->depth > 1 && page_count(path->step[0].page->data) == 1)
        return shrink_root(t);
    if (page_count(path->step[0].page->data) == 0) {
        t->root = 0;
        return pages_free(t->pages, path->step[0].page->no);
    }
    return 0;
}

int tree_del(struct tree *t, struct key k)
{
    struct path path;
    struct tree_page *leaf;
    uint64_t object = 0;
    bool found;
    unsigned slot;
    size_t len;
    const uint8_t *v;
    int err = t->root ? walk(t, k, true, &path) : -ENOENT;

    if (err < 0)
        return err;
    leaf = path.step[path.depth - 1].page;
    slot = page_search(leaf->data, k, &found);
    err = found ? pages_modify(t->pages, leaf) : -ENOENT;
    if (err == 0) {
        v = page_value(leaf->data, slot, &len);
        object = item_object(k, v, len);
        page_remove(leaf->data, slot);
        /* The item is gone; a page that could not be joined or freed is merely sparse or leaked. */
        (void)tidy(t, &path);
    }
    tree_path_release(t, path.step, path.depth);
    let_go(t, object);
    return err;
}
