// SPDX-License-Identifier: Apache-2.0
/* tree_item: see the header. */
#include "tree_item.h"

#include "bytes.h"
#include "entry_absent.h"
#include "state.h"
#include <errno.h>
#include <string.h>

static bool has_rest(unsigned type)
{
    return type == ITEM_SYMLINK || type == ITEM_EXTENT || type == ITEM_SUBBLOCK ||
           type == ITEM_HOLES;
}

/* A content of which nobody has the bytes. An entry may say any size. */
static struct segment_content absent_content(const struct entry *e)
{
    const uint64_t size = e->size < SEGMENT_CONTENT_MAX ? e->size : SEGMENT_CONTENT_MAX;

    return (struct segment_content){.id = entry_absent_id(e), .size = size ? size : 1};
}

/* What an object that has no id is called, by its number. */
static struct segment_content made_up_content(uint64_t number, const struct entry *e)
{
    struct segment_content c = absent_content(e);

    memcpy(c.id.b, "no id\0\0", 8);
    put_be64(c.id.b + 8, number);
    return c;
}

/* Finds out what the object is, and puts SEGMENT_OBJECT in its place. */
static int make_content(struct state *p, struct key k, struct tree_item *t)
{
    const uint64_t number = item_object(k, t->val, t->item.len);
    int err;

    t->entry = (struct entry){.kind = ENTRY_NONE};
    t->object = number;
    err = refs_entry(p->refs, number, true, &t->object, &t->entry);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    t->made_up = !entry_is_sealed(&t->entry) && t->entry.kind != ENTRY_ABSENT;
    t->item.has_content = true;
    t->item.content = t->made_up ? made_up_content(number, &t->entry)
                      : t->entry.kind == ENTRY_ABSENT
                          ? absent_content(&t->entry)
                          : (struct segment_content){.id = t->entry.id, .size = t->entry.size};
    item_set_object(k, t->val, t->item.len, SEGMENT_OBJECT);
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
    ret->made_up = false;
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

int tree_item_sum(struct state *p, const struct tree *t, uint8_t ret[SEGMENT_STATE_LEN],
                  uint64_t *ret_absent)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct tree_item item;
    int err = tree_seek(t, key_make(0, 0, 0), &c);

    memset(ret, 0, SEGMENT_STATE_LEN);
    *ret_absent = 0;
    while (err == 0) {
        const struct key k = tree_cursor_key(&c);
        size_t len;
        const void *val = tree_cursor_value(&c, &len);

        if (!item_is_counter(k)) {
            err = tree_item_make(p, k, val, len, &item);
            if (err == 0 && item.made_up)
                err = -EUCLEAN;
            if (err == 0)
                segment_state_add(ret, &item.item);
            *ret_absent += err == 0 && item.object && item.entry.kind == ENTRY_ABSENT;
        }
        if (err == 0)
            err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}
