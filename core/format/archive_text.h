// SPDX-License-Identifier: Apache-2.0
/*
 * archive_text: what is in an archive beside segments and contents: its names, and the texts by
 * which an archive, a lineage, a claim, a terminator and a pin are recognised (FORMAT.md, section
 * 19). Pure codecs that check all bounds.
 *
 * An archive has *lineages*: each is what one store shipped, one segment after the other. Who ships
 * has *claimed* an epoch of its lineage. The next one puts a *terminator* where the next segment of
 * the older epoch would be, so that the older one ends there. A *pin* keeps what a reader needs
 * from being removed.
 *
 * Texts are those of text.h. Decoders return 0, -EUCLEAN (damaged, or the text of another place) or
 * -EPROTO (written by a newer version), and leave their output untouched after an error. Encoders
 * return the length of the text; `out` has a NUL behind it. They write what they are given: a text
 * that has something out of its range is refused when it is read.
 */
#pragma once

#include "id.h"
#include "segment.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_ID_LEN 16
#define ARCHIVE_TOKEN_LEN SEGMENT_TOKEN_LEN

/* ---- names in an archive ---- */

#define ARCHIVE_FORMAT "format" /* it is put first: without it the place is no archive */
#define ARCHIVE_LINEAGES "lineage"
#define ARCHIVE_PINS "pins"
#define ARCHIVE_NAME_MAX 63 /* bytes of a name, at most */

/* "lineage/N": the text of the lineage with that number. */
void archive_lineage_name(uint32_t lineage, char out[ARCHIVE_NAME_MAX + 1]);
/* "l/N/epoch/E": the text of a claim. */
void archive_epoch_name(uint32_t lineage, uint64_t epoch, char out[ARCHIVE_NAME_MAX + 1]);
/* "l/N/log/E-S": a segment, or a terminator in its place. */
void archive_segment_name(uint32_t lineage, struct segment_pos at, char out[ARCHIVE_NAME_MAX + 1]);
/* "l/N/body/E-S": the items of that segment, if they have a body of their own. */
void archive_body_name(uint32_t lineage, struct segment_pos at, char out[ARCHIVE_NAME_MAX + 1]);
/* "l/N/kept/K": a catalogue (catalogue.h). */
void archive_kept_name(uint32_t lineage, uint32_t number, char out[ARCHIVE_NAME_MAX + 1]);
/* "l/N/kept/K.begun": what that catalogue has given up may have been deleted. */
void archive_begun_name(uint32_t lineage, uint32_t number, char out[ARCHIVE_NAME_MAX + 1]);
/* "pins/T": the text of the pin with that token. */
void archive_pin_name(const uint8_t token[ARCHIVE_TOKEN_LEN], char out[ARCHIVE_NAME_MAX + 1]);
/* "pins/T.end": it has ended. */
void archive_pin_end_name(const uint8_t token[ARCHIVE_TOKEN_LEN], char out[ARCHIVE_NAME_MAX + 1]);
#define ARCHIVE_PIN_END ".end"

/* ---- numbers of packs and object files: lineage 16 bits, epoch 24, sequence 24 ---- */

#define ARCHIVE_SEQUENCE_MAX ((UINT64_C(1) << 24) - 1)
/* An epoch of a lineage gives its packs and files the numbers archive_prefix + 1 up to
 * archive_prefix + ARCHIVE_SEQUENCE_MAX. 0: it has no numbers, since the lineage or the epoch is 0
 * or too high. */
uint64_t archive_prefix(uint32_t lineage, uint64_t epoch);

/* ---- texts ---- */

#define ARCHIVE_TEXT_MAX 1024
#define ARCHIVE_LABEL_MAX 200
#define ARCHIVE_HOST_MAX 255
#define ARCHIVE_BOOT_MAX 63
#define ARCHIVE_WHO_MAX 255

/* Strings are printable (text_is_printable), and may be empty. Times are ns since the epoch. */

struct archive_format {
    uint8_t id[ARCHIVE_ID_LEN]; /* of the archive */
};

enum archive_why {
    ARCHIVE_INIT,    /* a store began to ship; it has no parent */
    ARCHIVE_RESTORE, /* a store was made of what the archive has */
    ARCHIVE_FORK,    /* another store went on in the parent */
    ARCHIVE_CLONE,   /* the store is a copy of one that ships, too */
    ARCHIVE_PROMOTE, /* a follower took over from the store that shipped the parent */
    ARCHIVE_WHY_END,
};

struct archive_lineage {
    uint32_t number;                   /* from 1 */
    uint8_t store[16];                 /* id of the store (FORMAT.md, section 16) */
    struct id_key key;                 /* of the ids of its contents; `fold` is not kept */
    char label[ARCHIVE_LABEL_MAX + 1]; /* of the store */
    enum archive_why why;
    uint32_t parent; /* the lineage that it goes on from, below `number`; 0: none */
    /* the segment of the parent, and the number of the last change there; none and 0: nothing of
     * the parent is in it, or there is no parent */
    struct segment_pos parent_at;
    uint64_t parent_seq;
    int64_t time; /* when it began */
};

struct archive_claim {
    uint32_t lineage;                 /* from 1 */
    uint64_t epoch;                   /* from 1 */
    uint8_t token[ARCHIVE_TOKEN_LEN]; /* of the mount that claimed it */
    char host[ARCHIVE_HOST_MAX + 1];  /* name of its machine */
    char boot[ARCHIVE_BOOT_MAX + 1];  /* id of that machine's boot, as Linux writes it */
    int64_t time;
};

struct archive_terminator {
    uint32_t lineage;      /* from 1 */
    struct segment_pos at; /* where it stands, in place of a segment */
    uint64_t next;         /* the next epoch: at.epoch + 1 */
};

struct archive_pin {
    uint8_t token[ARCHIVE_TOKEN_LEN]; /* it is in the name of the pin, too */
    uint32_t lineage;                 /* whose segments are kept; from 1 */
    uint8_t store[16];                /* id of the store that needs them */
    /* What the segment `at` says is kept, and what `behind` says, each with all that it needs.
     * None: the other one is enough. Both none: all of the lineage is kept. */
    struct segment_pos at, behind;
    char who[ARCHIVE_WHO_MAX + 1]; /* for people: who put it */
    int64_t time;
};

/* The folder of the bodies of a lineage, and which segment one of these names is of. -EINVAL: it is
 * no such name. */
void archive_bodies_dir(uint32_t lineage, char out[ARCHIVE_NAME_MAX + 1]);
int archive_body_parse(const char *name, uint32_t lineage, struct segment_pos *ret);

size_t archive_format_encode(const struct archive_format *f, char out[ARCHIVE_TEXT_MAX]);
int archive_format_decode(const char *text, size_t len, struct archive_format *ret);
/* The decoders below are told what the name of a text says. -EUCLEAN, too, if the text says that it
 * is of another place. */
size_t archive_lineage_encode(const struct archive_lineage *l, char out[ARCHIVE_TEXT_MAX]);
int archive_lineage_decode(const char *text, size_t len, uint32_t number,
                           struct archive_lineage *ret);
size_t archive_claim_encode(const struct archive_claim *c, char out[ARCHIVE_TEXT_MAX]);
int archive_claim_decode(const char *text, size_t len, uint32_t lineage, uint64_t epoch,
                         struct archive_claim *ret);
size_t archive_terminator_encode(const struct archive_terminator *t, char out[ARCHIVE_TEXT_MAX]);
int archive_terminator_decode(const char *text, size_t len, uint32_t lineage, struct segment_pos at,
                              struct archive_terminator *ret);
/* A terminator of any version begins with this, and no segment does. */
#define ARCHIVE_TERMINATOR_BEGINS "tallyfs archive terminator "
size_t archive_pin_encode(const struct archive_pin *p, char out[ARCHIVE_TEXT_MAX]);
int archive_pin_decode(const char *text, size_t len, const uint8_t token[ARCHIVE_TOKEN_LEN],
                       struct archive_pin *ret);
