// SPDX-License-Identifier: Apache-2.0
/* log_fetch: what is in one segment of an archive. */
#include "log_archive_impl.h"

#include "archive_catalogue.h"
#include "archive_read.h"
#include "say.h"
#include "sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20) /* bytes of a body that are read at once */

struct listing {
    const struct asking *a;
    uint64_t at; /* where the next item is among the bytes of all items */
};

static const char *type_name(enum item_type type)
{
    static const char *const names[] = {
        [ITEM_INODE] = "inode",   [ITEM_SYMLINK] = "symlink", [ITEM_DIRENT] = "entry",
        [ITEM_EXTENT] = "extent", [ITEM_XATTR] = "xattr",     [ITEM_SUBBLOCK] = "subblock",
        [ITEM_HOLES] = "holes"};
    return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "?";
}

static void add_content(struct line *l, const struct segment_content *c)
{
    char id[ID_HEX + 1];
    id_to_hex(&c->id, id);
    log_add_text(l, "object", id);
    log_add_number(l, "size", c->size);
    log_add_number(l, c->in_pack ? "pack" : "file", c->where);
    if (c->in_pack) {
        log_add_number(l, "at", c->offset);
    }
}

static int print_item(const struct segment_item *i, void *ctx)
{
    struct listing *at = ctx;
    struct line l = log_line_begin(at->a);
    uint8_t bytes[SEGMENT_ITEM_MAX];
    char name[ITEM_NAME_MAX + 1] = "";
    const size_t len = segment_item_encode(i, bytes);
    log_add_number(&l, "ino", i->ino);
    log_add_text(&l, "type", type_name(i->type));
    if (i->name) {
        memcpy(name, i->name, i->name_len);
        log_add_text(&l, "name", name);
    } else {
        log_add_number(&l, "rest", i->rest);
    }
    log_add_number(&l, "offset", at->at);
    log_add_number(&l, "bytes", len);
    if (i->gone) {
        log_add_number(&l, "gone", 1);
    }
    if (i->has_content) {
        add_content(&l, &i->content);
    }
    at->at += len;
    return log_line_end(&l);
}

static int print_section(struct asking *a, const struct archive_segment *g,
                         const struct segment_section *s)
{
    struct listing at = {a, s->offset};
    struct line l = log_line_begin(a);
    log_add_text(&l, "section", s->kind == SECTION_CHANGE ? "change" : "gone");
    log_add_text(&l, "ns", s->name);
    log_add_number(&l, "number", s->is.ns);
    log_add_number(&l, "generation", s->is.generation);
    log_add_number(&l, "seq", s->is.seq);
    log_add_number(&l, "from_seq", s->from.seq);
    log_add_number(&l, "entries", s->items);
    log_add_number(&l, "offset", s->offset);
    log_add_number(&l, "bytes", s->len);
    const int err = log_line_end(&l);
    return err < 0 || s->kind != SECTION_CHANGE ? err
                                                : archive_items(a->shard, g, s, print_item, &at);
}

static int print_index(struct asking *a, const struct archive_segment *g)
{
    int err = 0;
    for (uint32_t i = 0; i < g->front.head.sections && err == 0; i++) {
        err = print_section(a, g, &g->front.sections[i]);
    }
    return err;
}

/* Writes a body piece by piece. What is damaged is known at its end. */
static int write_body(struct asking *a, const struct front_head *h, struct sha256 *sum)
{
    char name[ARCHIVE_NAME_MAX + 1];
    archive_body_name(h->lineage, h->at, name);
    uint8_t *buf = malloc(PIECE);
    int err = buf ? 0 : -ENOMEM;
    for (uint64_t at = 0; err == 0 && at < h->items_len;) {
        const uint64_t left = h->items_len - at;
        const size_t most = left < PIECE ? (size_t)left : PIECE;
        const ssize_t n = shard_range(a->shard, name, buf, most, at);
        if (n <= 0) {
            err = n < 0 ? (int)n : -EUCLEAN;
            break;
        }
        sha256_add(sum, buf, (size_t)n);
        fwrite(buf, 1, (size_t)n, stdout);
        at += (uint64_t)n;
        err = ferror(stdout) ? -EIO : 0;
    }
    free(buf);
    return err;
}

/* Writes the bytes of all items, which are beside the front or have a body of their own. */
static int write_data(struct asking *a, const struct archive_segment *g)
{
    const struct front_head *h = &g->front.head;
    uint8_t is[SHA256_LEN];
    struct sha256 *sum;
    int err = sha256_new(&sum);
    if (err < 0) {
        return err;
    }
    if (h->has_body) {
        err = write_body(a, h, sum);
    } else {
        sha256_add(sum, g->bytes + g->items_at, g->len - g->items_at);
        fwrite(g->bytes + g->items_at, 1, g->len - g->items_at, stdout);
        err = ferror(stdout) ? -EIO : 0;
    }
    if (err == 0) {
        err = sha256_end(sum, is);
    }
    if (err == 0 && memcmp(is, h->items_sum, sizeof is) != 0) {
        err = -EUCLEAN;
    }
    sha256_free(sum);
    return err;
}

/* The kept segments around one that is not kept. */
static void find_around(const struct catalogue *c, struct segment_pos at,
                        struct segment_pos *ret_before, struct segment_pos *ret_behind)
{
    *ret_before = (struct segment_pos){0};
    *ret_behind = c->begin.at;
    for (uint32_t i = 0; i < c->kept_count; i++) {
        const struct kept_run *run = &c->kept[i];
        const struct segment_pos first = {run->epoch, run->first};
        if (segment_pos_compare(first, at) > 0) {
            *ret_behind = first;
            return;
        }
        *ret_before = (struct segment_pos){run->epoch, run->last};
    }
}

/* Adds a sentence if the segment is given up. It may still be there, for archive_grace. */
static void say_given_up(struct asking *a, uint32_t lineage, struct segment_pos at,
                         struct strbuf *out)
{
    struct segment_pos before, behind;
    char key[ARCHIVE_NAME_MAX + 1];
    if (archive_last_catalogue(a->shard, lineage, 0, &a->kept) < 0 ||
        catalogue_keeps(&a->kept, at)) {
        return;
    }
    find_around(&a->kept, at, &before, &behind);
    archive_segment_name(lineage, at, key);
    strbuf_addf(
        out, "the archive does not keep %s any more: the nearest segments that it keeps are", key);
    if (before.epoch) {
        archive_segment_name(lineage, before, key);
        strbuf_addf(out, " %s and", key);
    }
    archive_segment_name(lineage, behind, key);
    strbuf_addf(out, " %s", key);
}

int log_fetch(struct asking *a)
{
    char again[ARCHIVE_NAME_MAX + 1] = "";
    struct archive_segment g;
    struct segment_pos at = {0};
    uint32_t lineage = 0;
    if (sscanf(a->args[0], "l/%" SCNx32 "/log/%" SCNx64 "-%" SCNx64, &lineage, &at.epoch,
               &at.serial) == 3) {
        archive_segment_name(lineage, at, again);
    }
    if (strcmp(again, a->args[0]) != 0) {
        strbuf_addf(&a->why, "%s is not the key of a segment: `tally log list` says keys",
                    a->args[0]);
        return -EINVAL;
    }
    CLEANUP_STRBUF struct strbuf given_up = STRBUF_INIT;
    int err = archive_read(a->shard, lineage, at, &g);
    say_given_up(a, lineage, at, &given_up);
    if (err == -ENOENT && given_up.len) {
        strbuf_adds(&a->why, given_up.s);
    } else if (err == -ENOENT) {
        strbuf_addf(&a->why, "the archive has no %s", again);
    }
    if (err < 0) {
        return err;
    }
    if (given_up.len) {
        tally_warn("%s", given_up.s);
    }
    err = a->index ? print_index(a, &g) : write_data(a, &g);
    archive_segment_release(&g);
    return err;
}
