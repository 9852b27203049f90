// SPDX-License-Identifier: Apache-2.0
/*
 * segment: one step of the history that a store ships to an archive (FORMAT.md, section 19). Pure
 * codecs.
 *
 * A segment says what the namespaces of a store are at one instant. It says each as the difference
 * to an instant that the archive has already, which is a *section*. The items of a section are
 * those of the tree (item.h), with two differences: they name contents by where the archive has
 * them, and names by themselves. Object numbers and hashes of names mean nothing in another store.
 *
 *     | head | sections | names | checksum | items of the sections, or nothing: they have a body |
 *       `------------ front ------------'
 *
 * Decoders return 0, -EUCLEAN (damaged) or -EPROTO (written by a newer version), and leave their
 * output untouched after an error. What they return is in its own bounds. Whether inodes and names
 * fit together is for who builds a tree of them. Encoders are given what their decoders accept;
 * anything else is a program error (assert).
 */
#pragma once

#include "entry.h"
#include "id.h"
#include "item.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_TOKEN_LEN 16
#define SEGMENT_STATE_LEN 16

/* The place of a segment in its lineage. Epochs and serials count from 1. Both 0: none. */
struct segment_pos {
    uint64_t epoch, serial;
};

/* Below 0, 0, above 0: `a` is before `b`, is `b`, is behind `b`. */
static inline int segment_pos_compare(struct segment_pos a, struct segment_pos b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.serial < b.serial ? -1 : a.serial > b.serial;
}

/* ---- items ---- */

#define SEGMENT_CONTENT_MAX (UINT64_C(1) << 44) /* bytes of a content */

/* Where an archive has the bytes of an object. Packs and files are as on a shard (FORMAT.md,
 * section 16). It does not have those of a content that is *lost*: the store could not read them
 * when it made the segment. */
struct segment_content {
    struct id id;
    uint64_t size;   /* bytes of the object, not 0 */
    bool in_pack;    /* else it is a file of its own; of a lost one: false */
    uint64_t where;  /* number of the pack, or in the name of the file; 0: it is lost */
    uint32_t offset; /* of the record in the pack, in bytes; of a file or a lost one: 0 */
};

static inline bool segment_content_is_lost(const struct segment_content *c)
{
    return c->where == 0;
}

/* An item that was put, or one that is gone. Counters of name hashes are not shipped. */
struct segment_item {
    bool gone;
    enum item_type type;
    uint64_t ino;  /* 1 … KEY_INO_MAX */
    uint64_t rest; /* of a SYMLINK, EXTENT, SUBBLOCK, HOLES: as in its key; else 0 */
    /* Of a DIRENT or XATTR: 1 … 255 bytes, borrowed, not NUL-terminated; else NULL. Of an item
     * that was put the name is in the value: encoders take it from there. */
    const char *name;
    size_t name_len;
    /* The value as item.h encodes it, borrowed. Where it names an object it has the number
     * SEGMENT_OBJECT in its place (item_set_object). NULL and 0: the item is gone. */
    const void *val;
    size_t len;
    bool has_content; /* the value names an object, and it is `content` */
    struct segment_content content;
};

#define SEGMENT_OBJECT UINT64_C(1)
#define SEGMENT_ITEM_MIN 12 /* bytes of an encoded item, at least */
#define SEGMENT_ITEM_MAX (SEGMENT_ITEM_MIN + PAGE_VALUE_MAX) /* at most: of an XATTR */

/* Encodes an item and returns the length. */
size_t segment_item_encode(const struct segment_item *i, uint8_t out[SEGMENT_ITEM_MAX]);
/* Decodes the item at offset *at of `items`, and moves *at behind it. Name and value are borrowed
 * from `items`. item_check accepts the value, the value names an object if and only if has_content
 * is set, and a DIRENT has a name that a file may have. -ENOENT: *at is `len`. -EUCLEAN. */
int segment_item_next(const void *items, size_t len, size_t *at, struct segment_item *ret);
/* How many bytes the item has that begins with these, of which there are SEGMENT_ITEM_PEEK: between
 * SEGMENT_ITEM_MIN and SEGMENT_ITEM_MAX. So a reader can take items from a stream in pieces. 0: it
 * is damaged. */
#define SEGMENT_ITEM_PEEK 2
size_t segment_item_size(const uint8_t buf[SEGMENT_ITEM_PEEK]);

/* Adds an item to the state sum of a tree, or takes it away. The sum of an empty tree is zeros. The
 * order of the items does not matter. The item must not be `gone`. Of its content only id and size
 * enter, and not the place. The sum finds accidents, and is no defence against forgery. */
void segment_state_add(uint8_t state[SEGMENT_STATE_LEN], const struct segment_item *i);
void segment_state_take(uint8_t state[SEGMENT_STATE_LEN], const struct segment_item *i);

/* ---- front: head, sections, names ---- */

/* A namespace at one instant. ns 0: an empty tree, and the other fields are 0. */
struct segment_instant {
    uint32_t ns, generation; /* ns is at most VFS_NS_MAX */
    uint64_t seq;            /* number of the last change */
    /* when it was taken, ns since the epoch: with seq it tells two histories apart */
    int64_t since;
};

struct front_head {
    uint32_t lineage;                 /* from 1 */
    struct segment_pos at;            /* its own place; never none */
    uint8_t token[SEGMENT_TOKEN_LEN]; /* of the mount that wrote it */
    struct segment_pos before; /* the segment before it; none: it is the first of its lineage */
    uint8_t before_sum[SHA256_LEN]; /* SHA-256 of the bytes of that one; zeros: it is the first */
    int64_t time;                   /* of the instant, ns since the epoch; it never decreases */
    uint64_t seq;                   /* number of the last change of the store at the instant */
    uint64_t packs_below, retain_seen; /* 0: nothing uses them */
    uint32_t sections, names;          /* how many there are */
    bool has_names;     /* all names of the root are there, perhaps none; else names is 0 */
    bool has_body;      /* the items, at least 1 byte, are in a body of their own */
    uint64_t items_len; /* bytes of all items */
    uint8_t items_sum[SHA256_LEN]; /* SHA-256 of them */
};

enum section_kind { SECTION_CHANGE = 1, SECTION_GONE = 2 };

#define SECTION_NAME_MAX 255

/* What a namespace is. GONE: it is not in the root any more, and all fields but `is` and `name` are
 * 0. */
struct segment_section {
    enum section_kind kind;
    struct segment_instant is;   /* is.ns is not 0 */
    struct segment_instant from; /* of the same namespace, or of what it is a branch of */
    /* the segment that has `from`, before this one; none if and only if from.ns is 0 */
    struct segment_pos from_at;
    uint8_t state[SEGMENT_STATE_LEN]; /* sum over all items of the tree at `is` */
    char name[SECTION_NAME_MAX + 1];  /* 1 … 255 bytes */
    bool frozen;
    uint64_t own_ino;       /* as in its record (ns_record.h), at most KEY_INO_MAX + 1 */
    uint64_t inodes, bytes; /* usage of the tree; both UINT64_MAX: not counted */
    uint64_t lost;          /* how many items of the tree have a content that is lost */
    uint64_t items;         /* how many items follow */
    /* where they are among the bytes of all items: each section's begin where those before end */
    uint64_t offset, len;
};

/* A namespace that is in the root at the instant. Names are ascending by ns. */
struct segment_name {
    uint32_t ns, generation; /* ns is not 0 */
    uint64_t seq;
    struct segment_pos at; /* the segment that has its last section: this one, or one before */
    char name[SECTION_NAME_MAX + 1]; /* 1 … 255 bytes */
};

struct segment_front {
    struct front_head head;
    struct segment_section *sections; /* head.sections of them */
    struct segment_name *names;       /* head.names of them */
};

/* Adds the bytes of a front to `out`, with their checksum. Without a body the caller adds the items
 * behind it. -ENOMEM, -E2BIG: as strbuf_error says. */
int segment_front_encode(const struct segment_front *f, struct strbuf *out);
/* Decodes the front of a segment. `buf` has the whole segment and nothing else: without a body
 * items_len bytes of items stand behind the front, else none. *ret_used is how many bytes the front
 * has. The items are not looked at. The caller releases *ret by segment_front_release. -ENOMEM,
 * too. */
int segment_front_decode(const void *buf, size_t len, struct segment_front *ret, size_t *ret_used);
/* Frees what segment_front_decode has allocated. A second call is fine. */
void segment_front_release(struct segment_front *f);
