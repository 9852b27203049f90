// SPDX-License-Identifier: Apache-2.0
/* archive_text: see archive_text.h, and text.h for the form of a text. */
#include "archive_text.h"

#include "strbuf.h"
#include "text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINEAGE_MAX 0xffffu
#define EPOCH_MAX 0xffffffu
#define BEGIN_FORMAT "tallyfs archive "
#define BEGIN_LINEAGE "tallyfs archive lineage "
#define BEGIN_CLAIM "tallyfs archive claim "
#define BEGIN_PIN "tallyfs archive pin "

static const char *const why_words[ARCHIVE_WHY_END] = {
    [ARCHIVE_INIT] = "init",   [ARCHIVE_RESTORE] = "restore", [ARCHIVE_FORK] = "fork",
    [ARCHIVE_CLONE] = "clone", [ARCHIVE_PROMOTE] = "promote",
};

/* ---- names ---- */

void archive_lineage_name(uint32_t lineage, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, ARCHIVE_LINEAGES "/%08" PRIx32, lineage);
}

void archive_epoch_name(uint32_t lineage, uint64_t epoch, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, "l/%08" PRIx32 "/epoch/%08" PRIx64, lineage, epoch);
}

void archive_segment_name(uint32_t lineage, struct segment_pos at, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, "l/%08" PRIx32 "/log/%08" PRIx64 "-%08" PRIx64, lineage,
             at.epoch, at.serial);
}

void archive_body_name(uint32_t lineage, struct segment_pos at, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, "l/%08" PRIx32 "/body/%08" PRIx64 "-%08" PRIx64, lineage,
             at.epoch, at.serial);
}

void archive_bodies_dir(uint32_t lineage, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, "l/%08" PRIx32 "/body", lineage);
}

int archive_body_parse(const char *name, uint32_t lineage, struct segment_pos *ret)
{
    char again[ARCHIVE_NAME_MAX + 1];
    const char *serial = strrchr(name, '-');
    struct segment_pos at;

    archive_bodies_dir(lineage, again);
    if (!serial || strncmp(name, again, strlen(again)) != 0 || name[strlen(again)] != '/')
        return -EINVAL;
    at.epoch = strtoull(name + strlen(again) + 1, NULL, 16);
    at.serial = strtoull(serial + 1, NULL, 16);
    archive_body_name(lineage, at, again);
    if (strcmp(name, again) != 0)
        return -EINVAL;
    *ret = at;
    return 0;
}

void archive_pin_name(const uint8_t token[ARCHIVE_TOKEN_LEN], char out[ARCHIVE_NAME_MAX + 1])
{
    int n = snprintf(out, ARCHIVE_NAME_MAX + 1, ARCHIVE_PINS "/");

    for (size_t i = 0; i < ARCHIVE_TOKEN_LEN; i++)
        n += snprintf(out + n, ARCHIVE_NAME_MAX + 1 - (size_t)n, "%02x", token[i]);
}

void archive_pin_end_name(const uint8_t token[ARCHIVE_TOKEN_LEN], char out[ARCHIVE_NAME_MAX + 1])
{
    size_t len;

    archive_pin_name(token, out);
    len = strlen(out);
    snprintf(out + len, ARCHIVE_NAME_MAX + 1 - len, ARCHIVE_PIN_END);
}

void archive_kept_name(uint32_t lineage, uint32_t number, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, "l/%08" PRIx32 "/kept/%08" PRIx32, lineage, number);
}

void archive_begun_name(uint32_t lineage, uint32_t number, char out[ARCHIVE_NAME_MAX + 1])
{
    snprintf(out, ARCHIVE_NAME_MAX + 1, "l/%08" PRIx32 "/kept/%08" PRIx32 ".begun", lineage,
             number);
}

uint64_t archive_prefix(uint32_t lineage, uint64_t epoch)
{
    if (lineage == 0 || lineage > LINEAGE_MAX || epoch == 0 || epoch > EPOCH_MAX)
        return 0;
    return (uint64_t)lineage << 48 | epoch << 24;
}

/* ---- fields ---- */

/* Reads the next line NAME=VALUE into a string of `room` bytes. A longer value is cut, and then
 * text_is_same finds the difference. */
static void take_string(const char **at, const char *name, char *out, size_t room)
{
    const char *value = text_value(at, name);

    snprintf(out, room, "%.*s", (int)strcspn(value, "\n"), value);
}

static int64_t take_time(const char **at)
{
    return strtoll(text_value(at, "time"), NULL, 10);
}

/* ARCHIVE_WHY_END: it is no word for that. */
static enum archive_why take_why(const char **at)
{
    char word[16];
    unsigned why = 0;

    take_string(at, "why", word, sizeof word);
    while (why < ARCHIVE_WHY_END && strcmp(word, why_words[why]) != 0)
        why++;
    return (enum archive_why)why;
}

static struct segment_pos take_pos(const char **at)
{
    struct segment_pos p;

    p.epoch = text_number(at, "epoch");
    p.serial = text_number(at, "serial");
    return p;
}

static void add_pos(struct text_writer *w, struct segment_pos p)
{
    text_add(w, "epoch=%" PRIu64 "\nserial=%" PRIu64 "\n", p.epoch, p.serial);
}

/* ---- the archive ---- */

size_t archive_format_encode(const struct archive_format *f, char out[ARCHIVE_TEXT_MAX])
{
    struct text_writer w = {out, ARCHIVE_TEXT_MAX, 0};

    text_add(&w, BEGIN_FORMAT TEXT_VERSION "\n");
    text_add_hex(&w, "id", f->id, sizeof f->id);
    return text_end(&w, 0);
}

int archive_format_decode(const char *text, size_t len, struct archive_format *ret)
{
    char copy[ARCHIVE_TEXT_MAX], again[ARCHIVE_TEXT_MAX];
    struct archive_format f = {0};
    const char *at;
    int err = text_begin(text, len, BEGIN_FORMAT, 0, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    text_bytes(&at, "id", f.id, sizeof f.id);
    if (!text_is_same(again, archive_format_encode(&f, again), text, len))
        return -EUCLEAN;
    *ret = f;
    return 0;
}

/* ---- a lineage ---- */

size_t archive_lineage_encode(const struct archive_lineage *l, char out[ARCHIVE_TEXT_MAX])
{
    struct text_writer w = {out, ARCHIVE_TEXT_MAX, 0};

    text_add(&w, BEGIN_LINEAGE TEXT_VERSION "\nlineage=%" PRIu32 "\n", l->number);
    text_add_hex(&w, "store", l->store, sizeof l->store);
    text_add_hex(&w, "secret", l->key.secret, sizeof l->key.secret);
    if (l->key.veiled)
        text_add_hex(&w, "veil", l->key.veil.b, sizeof l->key.veil.b);
    text_add(&w, "label=%s\nwhy=%s\nparent=%" PRIu32 "\n", l->label, why_words[l->why], l->parent);
    add_pos(&w, l->parent_at);
    text_add(&w, "seq=%" PRIu64 "\ntime=%" PRId64 "\n", l->parent_seq, l->time);
    return text_end(&w, l->number);
}

static bool lineage_is_sound(const struct archive_lineage *l)
{
    const bool has_place = l->parent_at.epoch > 0;

    if (l->number == 0 || l->parent >= l->number || l->why >= ARCHIVE_WHY_END ||
        !text_is_printable(l->label))
        return false;
    if (has_place != (l->parent_at.serial > 0) || (!has_place && l->parent_seq > 0))
        return false;
    return l->parent > 0 ? l->why != ARCHIVE_INIT : !has_place;
}

int archive_lineage_decode(const char *text, size_t len, uint32_t number,
                           struct archive_lineage *ret)
{
    char copy[ARCHIVE_TEXT_MAX], again[ARCHIVE_TEXT_MAX];
    struct archive_lineage l = {.number = number};
    const char *at;
    int err = text_begin(text, len, BEGIN_LINEAGE, number, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    text_bytes(&at, "store", l.store, sizeof l.store);
    text_bytes(&at, "secret", l.key.secret, sizeof l.key.secret);
    l.key.veiled = strstr(at, "\nveil=");
    if (l.key.veiled)
        text_bytes(&at, "veil", l.key.veil.b, sizeof l.key.veil.b);
    take_string(&at, "label", l.label, sizeof l.label);
    l.why = take_why(&at);
    l.parent = (uint32_t)text_number(&at, "parent");
    l.parent_at = take_pos(&at);
    l.parent_seq = text_number(&at, "seq");
    l.time = take_time(&at);
    if (!lineage_is_sound(&l) || !text_is_same(again, archive_lineage_encode(&l, again), text, len))
        return -EUCLEAN;
    *ret = l;
    return 0;
}

/* ---- a claim ---- */

size_t archive_claim_encode(const struct archive_claim *c, char out[ARCHIVE_TEXT_MAX])
{
    struct text_writer w = {out, ARCHIVE_TEXT_MAX, 0};

    text_add(&w, BEGIN_CLAIM TEXT_VERSION "\nlineage=%" PRIu32 "\nepoch=%" PRIu64 "\n", c->lineage,
             c->epoch);
    text_add_hex(&w, "token", c->token, sizeof c->token);
    text_add(&w, "host=%s\nboot=%s\ntime=%" PRId64 "\n", c->host, c->boot, c->time);
    return text_end(&w, c->lineage);
}

int archive_claim_decode(const char *text, size_t len, uint32_t lineage, uint64_t epoch,
                         struct archive_claim *ret)
{
    char copy[ARCHIVE_TEXT_MAX], again[ARCHIVE_TEXT_MAX];
    struct archive_claim c = {.lineage = lineage, .epoch = epoch};
    const char *at;
    int err = text_begin(text, len, BEGIN_CLAIM, lineage, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    text_bytes(&at, "token", c.token, sizeof c.token);
    take_string(&at, "host", c.host, sizeof c.host);
    take_string(&at, "boot", c.boot, sizeof c.boot);
    c.time = take_time(&at);
    if (lineage == 0 || epoch == 0 || !text_is_printable(c.host) || !text_is_printable(c.boot) ||
        !text_is_same(again, archive_claim_encode(&c, again), text, len))
        return -EUCLEAN;
    *ret = c;
    return 0;
}

/* ---- a terminator ---- */

size_t archive_terminator_encode(const struct archive_terminator *t, char out[ARCHIVE_TEXT_MAX])
{
    struct text_writer w = {out, ARCHIVE_TEXT_MAX, 0};

    text_add(&w, ARCHIVE_TERMINATOR_BEGINS TEXT_VERSION "\nlineage=%" PRIu32 "\n", t->lineage);
    add_pos(&w, t->at);
    text_add(&w, "next=%" PRIu64 "\n", t->next);
    return text_end(&w, t->lineage);
}

int archive_terminator_decode(const char *text, size_t len, uint32_t lineage, struct segment_pos at,
                              struct archive_terminator *ret)
{
    char copy[ARCHIVE_TEXT_MAX], again[ARCHIVE_TEXT_MAX];
    const struct archive_terminator t = {lineage, at, at.epoch + 1};
    const char *behind;
    int err = text_begin(text, len, ARCHIVE_TERMINATOR_BEGINS, lineage, copy, sizeof copy, &behind);

    if (err < 0)
        return err;
    if (lineage == 0 || at.epoch == 0 || at.serial == 0 || t.next == 0 ||
        !text_is_same(again, archive_terminator_encode(&t, again), text, len))
        return -EUCLEAN;
    *ret = t;
    return 0;
}

/* ---- a pin ---- */

static bool pos_is_sound(struct segment_pos p)
{
    return (p.epoch > 0) == (p.serial > 0);
}

size_t archive_pin_encode(const struct archive_pin *p, char out[ARCHIVE_TEXT_MAX])
{
    struct text_writer w = {out, ARCHIVE_TEXT_MAX, 0};

    text_add(&w, BEGIN_PIN TEXT_VERSION "\n");
    text_add_hex(&w, "token", p->token, sizeof p->token);
    text_add(&w, "lineage=%" PRIu32 "\n", p->lineage);
    text_add_hex(&w, "store", p->store, sizeof p->store);
    add_pos(&w, p->at);
    add_pos(&w, p->behind);
    text_add(&w, "who=%s\ntime=%" PRId64 "\n", p->who, p->time);
    return text_end(&w, 0);
}

int archive_pin_decode(const char *text, size_t len, const uint8_t token[ARCHIVE_TOKEN_LEN],
                       struct archive_pin *ret)
{
    char copy[ARCHIVE_TEXT_MAX], again[ARCHIVE_TEXT_MAX];
    struct archive_pin p = {0};
    const char *at;
    int err = text_begin(text, len, BEGIN_PIN, 0, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    memcpy(p.token, token, sizeof p.token);
    p.lineage = (uint32_t)text_number(&at, "lineage");
    text_bytes(&at, "store", p.store, sizeof p.store);
    p.at = take_pos(&at);
    p.behind = take_pos(&at);
    take_string(&at, "who", p.who, sizeof p.who);
    p.time = take_time(&at);
    if (p.lineage == 0 || !pos_is_sound(p.at) || !pos_is_sound(p.behind) ||
        !text_is_printable(p.who) || !text_is_same(again, archive_pin_encode(&p, again), text, len))
        return -EUCLEAN;
    *ret = p;
    return 0;
}
