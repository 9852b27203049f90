// SPDX-License-Identifier: Apache-2.0
/* archive_check: see the header. */
#include "archive_check.h"

#include "archive_catalogue.h"
#include "archive_read.h"
#include "archive_text.h"
#include "array.h"
#include "chain.h"
#include "check_thin.h"
#include "packs.h"
#include "shard_thin.h"
#include "shards.h"
#include "state.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pack or a file that items name. */
struct place {
    struct id id; /* of a file */
    uint64_t where;
    uint64_t size; /* a file has so many bytes, a pack at least */
    bool in_pack;
};

struct checking {
    struct state *p;
    struct shard *shard;
    struct disk *disk; /* its files */
    uint16_t archive;
    uint32_t lineage;
    const struct archive_check_ask *ask;
    struct archive_check_result *r;
    struct map64 packs; /* number of a pack -> index + 1 in `v` */
    struct map64 files; /* likewise, of files */
    struct place *v;
    size_t count, room;
    struct check_thin thin;
    uint8_t sum[SHA256_LEN]; /* of the segment before */
    struct segment_pos before;
    bool apart;       /* the segment before may be given up: there is no link to look at */
    bool lost;        /* what was before could not be read: a segment, or the end of an epoch */
    uint64_t without; /* items of the segment whose content is lost */
};

static void found(struct checking *c, const char *what, const char *sentence)
{
    c->r->found++;
    c->ask->found(what, sentence, c->ask->ctx);
}

/* ---- what segments name ---- */

static int note_place(struct checking *c, const struct segment_content *content)
{
    struct map64 *known = content->in_pack ? &c->packs : &c->files;
    uint64_t end = content->in_pack ? content->offset + pack_record_size((uint32_t)content->size)
                                    : content->size;
    uint64_t at;
    int err;

    if (map64_get(known, content->where, &at)) {
        if (c->v[at - 1].size < end && content->in_pack)
            c->v[at - 1].size = end;
        return 0;
    }
    err = ARRAY_RESERVE(c->v, c->room, c->count + 1);
    if (err == 0)
        err = map64_put(known, content->where, c->count + 1);
    if (err < 0)
        return err;
    c->v[c->count++] = (struct place){
        .id = content->id, .where = content->where, .size = end, .in_pack = content->in_pack};
    return 0;
}

static int take_item(const struct segment_item *i, void *ctx)
{
    struct checking *c = ctx;

    c->r->items++;
    if (!i->has_content)
        return 0;
    if (!segment_content_is_lost(&i->content)) {
        int err = check_thin_note(&c->thin, &i->content);

        return err < 0 ? err : note_place(c, &i->content);
    }
    c->without++;
    return 0;
}

/* Says what the store could not give. */
static void say_lost(struct checking *c, const char *key)
{
    char sentence[120];

    if (c->without == 0)
        return;
    snprintf(sentence, sizeof sentence,
             "%llu of its items have no content, which the store could not read then",
             (unsigned long long)c->without);
    c->ask->found(key, sentence, c->ask->ctx);
    c->r->lost += c->without;
}

static void segment_key(const struct checking *c, struct segment_pos at,
                        char out[ARCHIVE_NAME_MAX + 1])
{
    archive_segment_name(c->lineage, at, out);
}

/* Does the segment name the one before it? */
static void check_link(struct checking *c, const struct archive_segment *g, const char *key)
{
    const struct front_head *h = &g->front.head;

    if (segment_pos_compare(h->before, c->before) != 0 ||
        memcmp(h->before_sum, c->sum, sizeof c->sum) != 0)
        found(c, key, "it does not follow the segment before it");
}

static int check_items(struct checking *c, const struct archive_segment *g, const char *key)
{
    for (uint32_t i = 0; i < g->front.head.sections; i++) {
        int err = archive_items(c->shard, g, &g->front.sections[i], take_item, c);

        if (err == -EUCLEAN)
            found(c, key, "its items are damaged or missing");
        if (err == -EUCLEAN)
            return 0;
        if (err < 0)
            return err;
    }
    c->r->bodies += g->front.head.has_body;
    return 0;
}

static int check_segment(struct checking *c, struct segment_pos at)
{
    char key[ARCHIVE_NAME_MAX + 1];
    struct archive_segment g;
    int err = archive_read(c->shard, c->lineage, at, &g);

    segment_key(c, at, key);
    if (err == -EUCLEAN || err == -EPROTO) {
        found(c, key, err == -EPROTO ? "a newer version wrote it" : "it is damaged");
        c->lost = true;
        return 0;
    }
    if (err < 0)
        return err;
    if (!c->lost && !c->apart)
        check_link(c, &g, key);
    c->lost = c->apart = false;
    c->without = 0;
    err = check_items(c, &g, key);
    say_lost(c, key);
    memcpy(c->sum, g.sum, sizeof c->sum);
    c->before = at;
    c->r->segments++;
    archive_segment_release(&g);
    if (err == 0 && c->ask->progress)
        err = c->ask->progress(c->r->segments, c->ask->ctx);
    return err;
}

static void say_missing(struct checking *c, struct segment_pos at)
{
    char key[ARCHIVE_NAME_MAX + 1];

    segment_key(c, at, key);
    found(c, key, "it is missing, and so is the way to what follows");
}

/* The segments behind `at` to the last one that there is now. A terminator that cannot be read
 * hides where its epoch ends: the check goes on with the next epoch. */
static int check_segments(struct checking *c, struct segment_pos at, struct segment_pos last)
{
    int err = 0;

    while (err == 0 && segment_pos_compare(at, last) < 0) {
        char key[ARCHIVE_NAME_MAX + 1];
        struct segment_pos is = at;
        void *bytes = NULL;
        ssize_t n = chain_next(c->shard, c->lineage, &is, &bytes);

        if (n > 0) {
            free(bytes);
            at = is;
            err = check_segment(c, at);
        } else if (n == -ENOENT && c->lost && is.epoch < last.epoch) {
            at = (struct segment_pos){is.epoch + 1, 0};
        } else if (n == -ENOENT) {
            say_missing(c, (struct segment_pos){is.epoch, is.serial + 1});
            return 0;
        } else if (n == -EUCLEAN || n == -EPROTO) {
            at = (struct segment_pos){is.epoch ? is.epoch : 1, is.serial + 1};
            segment_key(c, at, key);
            found(c, key, "it is damaged");
            c->lost = true;
        } else {
            err = (int)n;
        }
    }
    return err;
}

/* The segments before the begin of the catalogue that it keeps. */
static int check_kept(struct checking *c, const struct catalogue *kept)
{
    char key[ARCHIVE_NAME_MAX + 1];
    int err = 0;

    for (uint32_t i = 0; i < kept->kept_count; i++)
        for (struct segment_pos at = {kept->kept[i].epoch, kept->kept[i].first};
             err == 0 && at.serial <= kept->kept[i].last; at.serial++) {
            c->apart = true;
            err = check_segment(c, at);
            if (err != -ENOENT)
                continue;
            segment_key(c, at, key);
            found(c, key, "it is missing");
            err = 0;
        }
    return err;
}

/* ---- what they name is there ---- */

static struct entry entry_of(const struct checking *c, const struct place *at)
{
    return (struct entry){.kind = at->in_pack ? ENTRY_PACK : ENTRY_FILE,
                          .id = at->id,
                          .size = at->in_pack ? 0 : at->size,
                          .where = at->where,
                          .shard = c->archive};
}

static int add_record(const struct id *id, const struct pack_place *place, const void *data,
                      uint32_t len, void *ctx)
{
    (void)id;
    (void)place;
    (void)data;
    *(uint64_t *)ctx += pack_record_size(len);
    return 0;
}

/* Are all bytes of a pack those of sound records? 0, -EUCLEAN, or an error of reading it. */
static int read_pack(struct checking *c, const struct place *at, const char *key, uint64_t size)
{
    uint8_t *buf = malloc(PACK_RECORD_MAX);
    uint64_t sound = PACK_FILE_HEAD;
    struct disk_file *file;
    int err = buf ? disk_open(c->disk, key, DISK_READ, &file) : -ENOMEM;

    if (err == 0) {
        err = packs_check_head(file, at->where);
        if (err == 0)
            err = packs_scan(file, at->where, buf, add_record, &sound);
        disk_file_close(file);
    }
    free(buf);
    if (err == 0 && sound != size) { /* of a pack that was thinned only the parts are there */
        struct thin_part *parts = NULL;
        struct thin_head h;

        err = shard_thin_head(c->shard, key, &h, &parts);
        err = err == -ENOENT || (err == 0 && sound != h.bytes) ? -EUCLEAN : err;
        free(parts);
    }
    return err;
}

/* Reads a place, and compares it with its checksums; a file also with its id. */
static int read_place(struct checking *c, const struct place *at, const char *key, uint64_t size)
{
    const struct entry e = entry_of(c, at);
    int err = at->in_pack ? read_pack(c, at, key, size) : objects_verify_there(c->p->objects, &e);

    c->r->read++;
    if (err == -EUCLEAN)
        found(c, key, "its bytes are damaged");
    return err == -EUCLEAN ? 0 : err;
}

/* Is what segments name among what is left of the pack? */
static int check_left(struct checking *c, const struct place *at, const char *key)
{
    char sentence[80];
    uint64_t missing = 0;
    int err = at->in_pack ? check_thin_missing(&c->thin, c->shard, at->where, &missing) : 0;

    snprintf(sentence, sizeof sentence, "%llu of its contents that segments name are missing",
             (unsigned long long)missing);
    if (err == 0 && missing)
        found(c, key, sentence);
    return err;
}

static int check_content(struct checking *c, const struct place *at, const char *key, uint64_t size,
                         bool reads)
{
    int err = check_left(c, at, key);

    return err == 0 && reads ? read_place(c, at, key, size) : err;
}

static int check_place(struct checking *c, const struct place *at, bool reads)
{
    const struct entry e = entry_of(c, at);
    char key[DISK_NAME_MAX + 1];
    uint64_t size = 0;
    int err;

    objects_file_name(&e, at->where, key);
    err = shard_stat(c->shard, key, &size);
    if (at->in_pack && (err == -EUCLEAN || err == -EPROTO)) { /* the head of thin/P */
        found(c, key, err == -EPROTO ? "a newer version has thinned it" : "it is damaged");
        return 0;
    }
    if (err == -ENOENT)
        found(c, key, "it is missing");
    else if (err == 0 && (at->in_pack ? size < at->size : size != at->size))
        found(c, key, "it has not as many bytes as it should have");
    else if (err == 0)
        return check_content(c, at, key, size, reads);
    return err == -ENOENT ? 0 : err;
}

static int check_places(struct checking *c)
{
    int err = 0;

    for (size_t i = 0; i < c->count && err == 0; i++) {
        err = check_place(c, &c->v[i], i % 100 < c->ask->read);
        if (err == 0 && c->ask->progress && i % 64 == 0)
            err = c->ask->progress(c->r->segments, c->ask->ctx);
    }
    c->r->places = c->count;
    return err;
}

static int check(struct checking *c)
{
    struct segment_pos at = {0}, last = {0};
    struct catalogue kept;
    int err = archive_last_catalogue(c->shard, c->lineage, 0, &kept);

    if (err == -EUCLEAN || err == -EPROTO) {
        found(c, "kept", "the last catalogue of what is kept cannot be read");
        return 0;
    }
    if (err == 0 && kept.number) {
        err = check_kept(c, &kept);
        at = (struct segment_pos){kept.begin.at.epoch, kept.begin.at.serial - 1};
        c->apart = true;
        c->lost = false; /* of these no terminator is looked for */
    }
    if (err == 0)
        err = chain_last(c->shard, c->lineage, kept.begin.at, &last);
    if (err == 0 && segment_pos_compare(last, kept.begin.at) < 0)
        say_missing(c, kept.begin.at);
    catalogue_release(&kept);
    if (err == 0)
        err = check_segments(c, at, last);
    return err < 0 ? err : check_places(c);
}

int archive_check(struct state *p, uint16_t archive, const struct archive_check_ask *ask,
                  struct archive_check_result *ret)
{
    struct checking c = {.p = p, .archive = archive, .ask = ask, .r = ret};
    struct shards_info info;
    int err = shards_info_get(p->shards, archive, &info);

    *ret = (struct archive_check_result){0};
    if (err == 0)
        err = shards_get(p->shards, archive, SHARDS_READ, &c.shard, &c.disk);
    if (err < 0)
        return err;
    c.lineage = info.lineage;
    err = check_thin_begin(&c.thin, c.shard);
    if (err == 0) {
        err = check(&c);
        check_thin_release(&c.thin);
    }
    err = shards_said(p->shards, archive, err);
    shards_put_back(p->shards, archive);
    map64_release(&c.packs);
    map64_release(&c.files);
    free(c.v);
    return err;
}
