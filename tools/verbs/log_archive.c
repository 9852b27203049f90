// SPDX-License-Identifier: Apache-2.0
/*
 * log_archive: the history of a namespace as an archive has it: which segments have changes of it,
 * which one has a moment, and what is in one. It only reads, and needs no store.
 */
#include "log_archive.h"

#include "log_archive_impl.h"

#include "archive_catalogue.h"
#include "archive_read.h"
#include "clone.h"
#include "command.h"
#include "ctl.h"
#include "form.h"
#include "json_text.h"
#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_BACK 1000 /* segments without a change of the namespace, in a row */

/* ---- lines ---- */

struct line log_line_begin(const struct asking *a)
{
    return (struct line){.json = a->json, .object = json_object(), .text = STRBUF_INIT};
}

void log_add_number(struct line *l, const char *key, uint64_t n)
{
    strbuf_addf(&l->text, "%s%s=%llu", l->text.len ? " " : "", key, (unsigned long long)n);
    json_object_set_new(l->object, key, json_integer((json_int_t)n));
}

void log_add_text(struct line *l, const char *key, const char *text)
{
    strbuf_addf(&l->text, "%s%s=", l->text.len ? " " : "", key);
    command_add_word(&l->text, text);
    json_object_set_new(l->object, key, json_text(text));
}

static void add_time(struct line *l, int64_t time)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_add_time(&text, time);
    log_add_text(l, "time", text.s ? text.s : "");
}

/* Prints a line for people: what each value is, and commas between them. The lines come one after
 * the other while an archive is read, so they are no table. */
static void print_human(const json_t *object)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        strbuf_addf(&text, "%s%s ", text.len ? ", " : "", key);
        if (json_is_string(value)) {
            strbuf_adds(&text, json_string_value(value));
        } else {
            strbuf_addf(&text, "%lld", (long long)json_integer_value(value));
        }
    }
    strbuf_adds(&text, "\n");
    tally_print(text.s, text.len);
}

int log_line_end(struct line *l)
{
    if (l->json) {
        tally_print_json(l->object, JSON_COMPACT);
    } else if (form_is_human()) {
        print_human(l->object);
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
    log_add_text(l, "key", key);
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
    struct line l = log_line_begin(a);
    add_place(&l, g->front.head.lineage, g->front.head.at);
    log_add_number(&l, "seq", s->is.seq);
    add_time(&l, g->front.head.time);
    log_add_number(&l, "from_seq", s->from.seq);
    log_add_number(&l, "entries", s->items);
    log_add_number(&l, "bytes", s->len);
    log_add_text(&l, "ns", s->name);
    return log_line_end(&l);
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
static int find_moment(struct asking *a, struct restore_ask *ask, struct restore_plan *ret)
{
    ask->kept = &a->kept;
    return restore_find(a->shard, (uint32_t)a->lineage, ask, ret, &a->why);
}

/* Does the segment say where the state of the namespace is? *ret_over: it says that there is none.
 */
static bool says_state(const struct archive_segment *g, const struct segment_instant *of,
                       struct segment_pos *ret, bool *ret_over)
{
    const struct segment_front *f = &g->front;
    if (find_section(g, of)) {
        *ret = f->head.at;
        return true;
    }
    for (uint32_t i = 0; i < f->head.names; i++) {
        if (f->names[i].ns == of->ns && f->names[i].generation == of->generation) {
            *ret = f->names[i].at;
            return true;
        }
    }
    *ret_over = f->head.has_names;
    for (uint32_t i = 0; i < f->head.sections; i++) {
        *ret_over |= f->sections[i].kind == SECTION_GONE && f->sections[i].is.ns == of->ns;
    }
    return false;
}

/* Finds which segment has the state of the namespace that there was at `at`. None: {0, 0}. */
static int find_state(struct asking *a, const struct segment_instant *of, struct segment_pos at,
                      unsigned *without, struct segment_pos *ret)
{
    bool over = false;
    int err = 0;
    *ret = (struct segment_pos){0};
    while (err == 0 && at.epoch && !over && !ret->epoch && (*without)++ < LOOK_BACK) {
        struct archive_segment g;
        err = archive_read(a->shard, (uint32_t)a->lineage, at, &g);
        if (err == 0) {
            over |= says_state(&g, of, ret, &over);
            at = g.front.head.before;
            archive_segment_release(&g);
        }
    }
    return err;
}

/* Before the begin of the catalogue: the states that are kept, the newest first, up to `most`. */
static int list_kept(struct asking *a, const struct segment_instant *of, struct segment_pos most,
                     unsigned *without)
{
    const struct catalogue *c = &a->kept;
    int err = 0;
    for (uint32_t i = 0; i <= c->state_count && err == 0 && *without < LOOK_BACK; i++) {
        struct segment_pos at, next;
        at = i == 0 ? c->begin.at : c->states[c->state_count - i].at;
        err = find_state(a, of, at, without, &at);
        if (err == 0 && at.epoch && segment_pos_compare(at, most) <= 0) {
            next = at;
            err = list_one(a, of, &next, without);
            most = (struct segment_pos){at.epoch, at.serial - 1};
        }
    }
    return err;
}

static int list(struct asking *a)
{
    struct restore_ask ask = {
        .name = a->args[0], .when = a->has_until ? RESTORE_SEQ : RESTORE_LAST, .seq = a->until};
    struct restore_plan plan;
    unsigned without = 0;
    int err = find_moment(a, &ask, &plan);
    if (err == 0) {
        const struct segment_instant of = plan.steps[0].section.is;
        struct segment_pos at = plan.at;
        while (err == 0 && at.epoch && segment_pos_compare(at, a->kept.begin.at) >= 0 &&
               without < LOOK_BACK) {
            err = list_one(a, &of, &at, &without);
        }
        if (err == 0 && at.epoch && a->kept.number) {
            err = list_kept(a, &of, at, &without);
        }
    }
    restore_plan_release(&plan);
    return err;
}

/* ---- find ---- */

/* How many of the kept states before the begin are not behind the moment. */
static uint32_t count_until(const struct catalogue *c, const struct restore_ask *ask)
{
    uint32_t i = c->state_count;
    while (i > 0 && (ask->when == RESTORE_SEQ ? c->states[i - 1].seq > ask->seq
                                              : c->states[i - 1].time > ask->time)) {
        i--;
    }
    return i;
}

/* Says so if states between the one that was found and the moment may be given up. */
static int say_nearest(struct asking *a, const struct restore_ask *ask,
                       const struct restore_plan *plan)
{
    const struct catalogue *c = &a->kept;
    if (!c->number ||
        (ask->when == RESTORE_SEQ ? ask->seq >= c->begin.seq : ask->time >= c->begin.time)) {
        return 0;
    }
    const uint32_t i = count_until(c, ask);
    const struct kept_state *behind = i < c->state_count ? &c->states[i] : &c->begin;
    const struct kept_state *before = i > 0 ? &c->states[i - 1] : NULL;
    if (!before || segment_pos_compare(plan->at, before->at) > 0 ||
        (ask->when == RESTORE_SEQ && ask->seq == before->seq)) {
        return 0; /* it is the very state */
    }
    struct archive_segment g;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const int err = archive_read(a->shard, (uint32_t)a->lineage, behind->at, &g);
    if (err < 0) {
        return err;
    }
    if (segment_pos_compare(g.front.head.before, before->at) != 0) {
        strbuf_addf(&text, "what was shipped between change %llu, of ",
                    (unsigned long long)before->seq);
        strbuf_add_time(&text, before->time);
        strbuf_addf(&text, ", and change %llu, of ", (unsigned long long)behind->seq);
        strbuf_add_time(&text, behind->time);
        tally_warn("%s, is given up", text.s ? text.s : "");
    }
    archive_segment_release(&g);
    return 0;
}

static int find(struct asking *a)
{
    struct restore_ask ask;
    struct restore_plan plan;
    const char *moment = a->args[1] + (*a->args[1] == '@');
    if (restore_moment(moment, clock_now(clock_real()), &ask) < 0) {
        strbuf_addf(&a->why, "%s is not " RESTORE_MOMENTS, moment);
        return -EINVAL;
    }
    ask = (struct restore_ask){
        .name = a->args[0], .when = ask.when, .seq = ask.seq, .time = ask.time};
    int err = find_moment(a, &ask, &plan);
    if (err == 0) {
        struct line l = log_line_begin(a);
        add_place(&l, plan.lineage, plan.at);
        log_add_number(&l, "seq", plan.seq);
        add_time(&l, plan.time);
        err = log_line_end(&l);
    }
    if (err == 0) {
        err = say_nearest(a, &ask, &plan);
    }
    restore_plan_release(&plan);
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
    while (err == 0 && (o = form_getopt(argc, argv, "C:", options)) >= 0) {
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
        err = log_fetch(a);
    } else {
        a->lineage = source.lineage.number;
        err = archive_last_catalogue(a->shard, (uint32_t)a->lineage, 0, &a->kept);
        if (err < 0) {
            strbuf_adds(&a->why, "the catalogue of what is kept there cannot be read");
        } else {
            err = strcmp(a->verb, "find") == 0 ? find(a) : list(a);
        }
    }
    catalogue_release(&a->kept);
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
