// SPDX-License-Identifier: Apache-2.0
/* tree_item: see the header. */
#include "tree_item.h"

#include "state.h"
#include <errno.h>
#include <string.h>

static bool has_rest(unsigned type)
{
    return type == ITEM_SYMLINK || type == ITEM_EXTENT || type == ITEM_SUBBLOCK ||
           type == ITEM_HOLES;
}

/* Finds out what the object is, and puts SEGMENT_OBJECT in its place. */
static int make_content(struct state *p, struct key k, struct tree_item *t)
{
    int err = refs_entry(p->refs, item_object(k, t->val, t->item.len), true, &t->object, &t->entry);

    if (err == 0 && !entry_is_sealed(&t->entry))
        err = t->entry.kind == ENTRY_ABSENT ? -ENODATA : -EAGAIN;
    if (err < 0)
        return err == -ENOENT ? -EUCLEAN : err;
    item_set_object(k, t->val, t->item.len, SEGMENT_OBJECT);
    t->item.has_content = true;
    t->item.content = (struct segment_content){.id = t->entry.id, .size = t->entry.size};
    return 0;
}

int tree_item_make(struct state *p, struct key k, const void *val, size_t len,
                   struct tree_item *ret)
{
    struct segment_item *i = &ret->item;
    int err = len <= sizeof ret->val ? item_check(k, val, len) : -EUCLEAN;

    if (err < 0)
        return err;
    memcpy(ret->val, val, len);
    ret->object = 0;
    *i = (struct segment_item){.type = (enum item_type)key_type(k),
                               .ino = key_ino(k),
                               .rest = has_rest(key_type(k)) ? k.lo : 0,
                               .val = ret->val,
                               .len = len};
    if (item_object(k, val, len))
        err = make_content(p, k, ret);
    if (err == 0 && (i->type == ITEM_DIRENT || i->type == ITEM_XATTR))
        err = item_name(k, ret->val, len, &i->name, &i->name_len);
    return err;
}

int tree_item_sum(struct state *p, const struct tree *t, uint8_t ret[SEGMENT_STATE_LEN])
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct tree_item item;
    int err = tree_seek(t, key_make(0, 0, 0), &c);

    memset(ret, 0, SEGMENT_STATE_LEN);
    while (err == 0) {
        const struct key k = tree_cursor_key(&c);
        size_t len;
        const void *val = tree_cursor_value(&c, &len);

        if (!item_is_counter(k)) {
            err = tree_item_make(p, k, val, len, &item);
            if (err == 0)
                segment_state_add(ret, &item.item);
        }
        if (err == 0)
            err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}
