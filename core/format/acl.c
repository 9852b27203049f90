// SPDX-License-Identifier: Apache-2.0
/* acl: see the header. The group bits of a mode are the mask if there is one, else the group. */
#include "acl.h"
#include "bytes.h"
#include <errno.h>

#define VERSION 2
#define HEAD 4
#define ENTRY 8
#define NO_ID UINT32_MAX /* the id of an entry that names no one */
#define RWX 7u

enum tag {
    TAG_OWNER = 0x01,
    TAG_USER = 0x02,
    TAG_GROUP = 0x04,
    TAG_NAMED_GROUP = 0x08,
    TAG_MASK = 0x10,
    TAG_OTHERS = 0x20,
};

static size_t entries(size_t len)
{
    return (len - HEAD) / ENTRY;
}
static size_t entry_at(size_t i)
{
    return HEAD + i * ENTRY;
}
static unsigned tag_of(const uint8_t *e)
{
    return get_le16(e);
}
static unsigned perm_of(const uint8_t *e)
{
    return get_le16(e + 2);
}
static void set_perm(uint8_t *e, unsigned perm)
{
    put_le16(e + 2, (uint16_t)perm);
}
static bool is_named(unsigned tag)
{
    return tag == TAG_USER || tag == TAG_NAMED_GROUP;
}

/* The entries by class of the mode. */
struct classes {
    size_t owner, group, others; /* offsets; `group`: of what the group bits stand for */
    bool extended;               /* the list says more than a mode can */
};

/* Finds the entries of a list that has passed acl_check, in which owner, group and others exist.
 * The mask comes after the group, so it takes its place. */
static struct classes classes_of(const uint8_t *v, size_t len)
{
    struct classes c = {0};
    bool mask = false;

    for (size_t i = 0; i < entries(len); i++) {
        size_t at = entry_at(i);
        unsigned tag = tag_of(v + at);
        c.extended |= is_named(tag) || tag == TAG_MASK;
        if (tag == TAG_OWNER)
            c.owner = at;
        else if (tag == TAG_OTHERS)
            c.others = at;
        else if (tag == TAG_MASK || (tag == TAG_GROUP && !mask))
            c.group = at;
        mask |= tag == TAG_MASK;
    }
    return c;
}

int acl_check(const void *val, size_t len, bool *ret_empty)
{
    const uint8_t *v = val;
    unsigned seen = 0;
    bool named = false;

    if (len < HEAD || (len - HEAD) % ENTRY)
        return -EINVAL;
    if (get_le32(v) != VERSION)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < entries(len); i++) {
        const uint8_t *e = v + entry_at(i);
        unsigned tag = tag_of(e);
        /* Tags are single bits, in the order of the list. Only named ones may be repeated. */
        if (tag == 0 || tag & (tag - 1) || tag > TAG_OTHERS || perm_of(e) & ~RWX)
            return -EINVAL;
        if (seen > tag || (seen == tag && !is_named(tag)))
            return -EINVAL;
        /* Owner and group, which must be there, were not left out. */
        if ((tag > TAG_OWNER && seen < TAG_OWNER) || (tag > TAG_GROUP && seen < TAG_GROUP))
            return -EINVAL;
        if (is_named(tag) && get_le32(e + 4) == NO_ID)
            return -EINVAL;
        /* A list that names a user or a group needs a mask, right before the others. */
        if (tag == TAG_OTHERS && named && seen != TAG_MASK)
            return -EINVAL;
        named |= is_named(tag);
        seen = tag;
    }
    if (seen != 0 && seen != TAG_OTHERS)
        return -EINVAL;
    *ret_empty = seen == 0;
    return 0;
}

void acl_normalize(void *val, size_t len)
{
    uint8_t *v = val;

    for (size_t i = 0; i < entries(len); i++)
        if (!is_named(tag_of(v + entry_at(i))))
            put_le32(v + entry_at(i) + 4, NO_ID);
}

bool acl_to_mode(const void *val, size_t len, uint32_t *mode)
{
    const uint8_t *v = val;
    struct classes c = classes_of(v, len);

    *mode &= ~(uint32_t)0777;
    *mode |= perm_of(v + c.owner) << 6 | perm_of(v + c.group) << 3 | perm_of(v + c.others);
    return !c.extended;
}

void acl_chmod(void *val, size_t len, uint32_t mode)
{
    uint8_t *v = val;
    struct classes c = classes_of(v, len);

    set_perm(v + c.owner, mode >> 6 & RWX);
    set_perm(v + c.group, mode >> 3 & RWX);
    set_perm(v + c.others, mode & RWX);
}

bool acl_inherit(void *val, size_t len, uint32_t *mode)
{
    uint8_t *v = val;
    struct classes c = classes_of(v, len);

    set_perm(v + c.owner, perm_of(v + c.owner) & *mode >> 6);
    set_perm(v + c.group, perm_of(v + c.group) & *mode >> 3);
    set_perm(v + c.others, perm_of(v + c.others) & *mode);
    return !acl_to_mode(val, len, mode);
}
