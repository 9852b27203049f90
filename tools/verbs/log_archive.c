// SPDX-License-Identifier: Apache-2.0
/*
 * log_archive: the history of a namespace as an archive has it: which segments have changes of it,
 * which one has a moment, and what is in one. It only reads, and needs no store.
 */
#include "log_archive.h"

#include "archive_read.h"
#include "clone.h"
#include "command.h"
#include "ctl.h"
#include "json_text.h"
#include "say.h"
#include "sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_BACK 1000          /* segments without a change of the namespace, in a row */
#define PIECE ((size_t)1 << 20) /* bytes of a body that are read at once */

struct asking {
    const char *url, *verb;                /* list, find, fetch */
    const char *lineage_word, *until_word; /* as they were given; NULL: they were not */
    uint64_t lineage, until;
    bool json, index, data, has_until;
    char **args;
    int nargs;
    struct shard *shard;
    struct strbuf why;
};

/* ---- lines ---- */

/* A line of words, or with --json an object. */
struct line {
    bool json;
    json_t *object;
    struct strbuf text;
};

static struct line line_begin(const struct asking *a)
{
    return (struct line){.json = a->json, .object = json_object(), .text = STRBUF_INIT};
}

static void add_number(struct line *l, const char *key, uint64_t n)
{
    strbuf_addf(&l->text, "%s%s=%llu", l->text.len ? " " : "", key, (unsigned long long)n);
    json_object_set_new(l->object, key, json_integer((json_int_t)n));
}

static void add_text(struct line *l, const char *key, const char *text)
{
    strbuf_addf(&l->text, "%s%s=", l->text.len ? " " : "", key);
    command_add_word(&l->text, text);
    json_object_set_new(l->object, key, json_text(text));
}

static void add_time(struct line *l, int64_t time)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_add_time(&text, time);
    add_text(l, "time", text.s ? text.s : "");
}

/* Prints the line, and releases it. */
static int line_end(struct line *l)
{
    if (l->json) {
        tally_print_json(l->object, JSON_COMPACT);
    } else {
        strbuf_adds(&l->text, "\n");
        tally_print(l->text.s, l->text.len);
    }
    json_decref(l->object);
    strbuf_release(&l->text);
    return ferror(stdout) ? -EIO : 0;
}

static void add_place(struct line *l, uint32_t lineage, struct segment_pos at)
{
    char key[ARCHIVE_NAME_MAX + 1];
    archive_segment_name(lineage, at, key);
    add_text(l, "key", key);
}

/* ---- list ---- */

/* The section of the namespace that leads least far back. NULL: there is none. */
static const struct segment_section *find_section(const struct archive_segment *g,
                                                  const struct segment_instant *of)
{
    const struct segment_section *best = NULL;
    for (uint32_t i = 0; i < g->front.head.sections; i++) {
        const struct segment_section *s = &g->front.sections[i];
        if (s->kind == SECTION_CHANGE && s->is.ns == of->ns && s->is.generation == of->generation &&
            (!best || segment_pos_compare(s->from_at, best->from_at) > 0)) {
            best = s;
        }
    }
    return best;
}

static int print_state(const struct asking *a, const struct archive_segment *g,
                       const struct segment_section *s)
{
    struct line l = line_begin(a);
    add_place(&l, g->front.head.lineage, g->front.head.at);
    add_number(&l, "seq", s->is.seq);
    add_time(&l, g->front.head.time);
    add_number(&l, "from_seq", s->from.seq);
    add_number(&l, "entries", s->items);
    add_number(&l, "bytes", s->len);
    add_text(&l, "ns", s->name);
    return line_end(&l);
}

/* Prints the state that a segment has of the namespace, if it has one. *ret_at: where to go on. */
static int list_one(struct asking *a, const struct segment_instant *of, struct segment_pos *at,
                    unsigned *without)
{
    struct archive_segment g;
    int err = archive_read(a->shard, (uint32_t)a->lineage, *at, &g);
    if (err < 0) {
        return err;
    }
    const struct segment_section *s = find_section(&g, of);
    *at = g.front.head.before;
    *without = s ? 0 : *without + 1;
    if (s) {
        err = print_state(a, &g, s);
        if (s->from.ns == of->ns && s->from.generation == of->generation) {
            *at = s->from_at;
        }
    }
    archive_segment_release(&g);
    return err;
}

/* Finds which segment has the moment. */
static int find_moment(struct asking *a, const struct restore_ask *ask, struct restore_plan *ret)
{
    return restore_find(a->shard, (uint32_t)a->lineage, ask, ret, &a->why);
}

static int list(struct asking *a)
{
    const struct restore_ask ask = {
        .name = a->args[0], .when = a->has_until ? RESTORE_SEQ : RESTORE_LAST, .seq = a->until};
    struct restore_plan plan;
    unsigned without = 0;
    int err = find_moment(a, &ask, &plan);
    if (err == 0) {
        const struct segment_instant of = plan.steps[0].section.is;
        struct segment_pos at = plan.at;
        while (err == 0 && at.epoch && without < LOOK_BACK) {
            err = list_one(a, &of, &at, &without);
        }
    }
    restore_plan_release(&plan);
    return err;
}

/* ---- find ---- */

static int find(struct asking *a)
{
    struct restore_ask ask;
    struct restore_plan plan;
    const char *moment = a->args[1] + (*a->args[1] == '@');
    if (restore_moment(moment, &ask) < 0) {
        strbuf_addf(&a->why, "%s is neither a sequence number nor a time as 2026-01-31T23:59:59Z",
                    moment);
        return -EINVAL;
    }
    ask = (struct restore_ask){
        .name = a->args[0], .when = ask.when, .seq = ask.seq, .time = ask.time};
    int err = find_moment(a, &ask, &plan);
    if (err == 0) {
        struct line l = line_begin(a);
        add_place(&l, plan.lineage, plan.at);
        add_number(&l, "seq", plan.seq);
        add_time(&l, plan.time);
        err = line_end(&l);
    }
    restore_plan_release(&plan);
    return err;
}

/* ---- fetch ---- */

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
    add_text(l, "object", id);
    add_number(l, "size", c->size);
    add_number(l, c->in_pack ? "pack" : "file", c->where);
    if (c->in_pack) {
        add_number(l, "at", c->offset);
    }
}

static int print_item(const struct segment_item *i, void *ctx)
{
    struct listing *at = ctx;
    struct line l = line_begin(at->a);
    uint8_t bytes[SEGMENT_ITEM_MAX];
    char name[ITEM_NAME_MAX + 1] = "";
    const size_t len = segment_item_encode(i, bytes);
    add_number(&l, "ino", i->ino);
    add_text(&l, "type", type_name(i->type));
    if (i->name) {
        memcpy(name, i->name, i->name_len);
        add_text(&l, "name", name);
    } else {
        add_number(&l, "rest", i->rest);
    }
    add_number(&l, "offset", at->at);
    add_number(&l, "bytes", len);
    if (i->gone) {
        add_number(&l, "gone", 1);
    }
    if (i->has_content) {
        add_content(&l, &i->content);
    }
    at->at += len;
    return line_end(&l);
}

static int print_section(struct asking *a, const struct archive_segment *g,
                         const struct segment_section *s)
{
    struct listing at = {a, s->offset};
    struct line l = line_begin(a);
    add_text(&l, "section", s->kind == SECTION_CHANGE ? "change" : "gone");
    add_text(&l, "ns", s->name);
    add_number(&l, "number", s->is.ns);
    add_number(&l, "generation", s->is.generation);
    add_number(&l, "seq", s->is.seq);
    add_number(&l, "from_seq", s->from.seq);
    add_number(&l, "entries", s->items);
    add_number(&l, "offset", s->offset);
    add_number(&l, "bytes", s->len);
    const int err = line_end(&l);
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

static int fetch(struct asking *a)
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
    int err = archive_read(a->shard, lineage, at, &g);
    if (err == -ENOENT) {
        strbuf_addf(&a->why, "the archive has no %s", again);
    }
    if (err < 0) {
        return err;
    }
    err = a->index ? print_index(a, &g) : write_data(a, &g);
    archive_segment_release(&g);
    return err;
}

/* ---- the command line ---- */

bool log_archive_is_asked(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--archive") == 0 || strncmp(argv[i], "--archive=", 10) == 0 ||
            (i == 1 && strcmp(argv[i], "fetch") == 0)) {
            return true;
        }
    }
    return false;
}

static int take_number(const char *text, const char *what, uint64_t *ret)
{
    if (command_number(text, ret) < 0) {
        tally_warn("'%s' is not the number of a %s", text, what);
        return -EINVAL;
    }
    return 0;
}

static int take_option(struct asking *a, int o)
{
    switch (o) {
    case 'a':
        a->url = optarg;
        return 0;
    case 'j':
        a->json = true;
        return 0;
    case 'i':
        a->index = true;
        return 0;
    case 'd':
        a->data = true;
        return 0;
    case 'C':
        return 0; /* it needs no mount */
    case 'l':
        a->lineage_word = optarg;
        return 0;
    case 'u':
        a->until_word = optarg;
        return 0;
    default:
        return -EINVAL;
    }
}

/* Takes the words: which verb it is, and its arguments. */
static int take_words(struct asking *a, int argc, char **argv)
{
    a->verb = optind < argc ? argv[optind] : "";
    a->args = argv + optind + 1;
    a->nargs = argc - optind - 1;
    const bool fetches = strcmp(a->verb, "fetch") == 0;
    const int wanted = strcmp(a->verb, "find") == 0 ? 2 : 1;
    if (!fetches && wanted == 1 && strcmp(a->verb, "list") != 0) {
        tally_warn("it is list, find or fetch, with --archive");
        return -EINVAL;
    }
    if (!a->url || a->nargs < wanted) {
        tally_warn(a->url ? "an argument is missing" : "it needs --archive URL");
        return -EINVAL;
    }
    if (a->nargs > wanted) {
        tally_warn("one argument too many: '%s'", a->args[wanted]);
        return -EINVAL;
    }
    if (fetches && a->index == a->data) {
        tally_warn("it is either --index or --data");
        return -EINVAL;
    }
    return 0;
}

static int parse(struct asking *a, int argc, char **argv)
{
    static const struct option options[] = {{"archive", required_argument, NULL, 'a'},
                                            {"lineage", required_argument, NULL, 'l'},
                                            {"until", required_argument, NULL, 'u'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"index", no_argument, NULL, 'i'},
                                            {"data", no_argument, NULL, 'd'},
                                            {NULL, 0, NULL, 0}};
    int o, err = 0;
    while (err == 0 && (o = tally_getopt(argc, argv, "C:", options)) >= 0) {
        err = take_option(a, o);
    }
    a->has_until = a->until_word;
    if (err == 0 && a->lineage_word) {
        err = take_number(a->lineage_word, "lineage", &a->lineage);
    }
    if (err == 0 && a->until_word) {
        err = take_number(a->until_word, "change", &a->until);
    }
    return err < 0 ? err : take_words(a, argc, argv);
}

/* Opens the archive, and finds the lineage, if the command is about one. */
static int run(struct asking *a, const char *url)
{
    char reason[SHARD_WHY] = "";
    struct clone_source source;
    int err =
        strcmp(a->verb, "fetch") == 0 ? 0 : clone_look(url, (uint32_t)a->lineage, &source, &a->why);
    if (err < 0) {
        return err;
    }
    err = shard_open(url, SHARD_READONLY, &a->shard, reason);
    if (err < 0) {
        strbuf_adds(&a->why, reason);
        return err;
    }
    if (strcmp(a->verb, "fetch") == 0) {
        err = fetch(a);
    } else {
        a->lineage = source.lineage.number;
        err = strcmp(a->verb, "find") == 0 ? find(a) : list(a);
    }
    shard_close(a->shard);
    return err;
}

int log_archive_run(int argc, char **argv)
{
    CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
    struct asking a = {.why = STRBUF_INIT};
    if (parse(&a, argc, argv) < 0) {
        return verbs_misuse();
    }
    const int err = run(&a, ctl_absolute_url(a.url, &url));
    if (err < 0) {
        tally_warn("%s: %s", a.url, a.why.len ? a.why.s : strerror(-err));
    }
    strbuf_release(&a.why);
    return err < 0;
}
