// SPDX-License-Identifier: Apache-2.0
/*
 * lists: a row of the table below says how the lines of one reply become a table. Each column is a
 * template (sentence.h) that is filled for each line. A line that has a key which no column knows
 * is printed as it is, below the table.
 */
#include "lists.h"

#include "array.h"
#include "fields.h"
#include "sentence.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS 9

struct column {
    struct table_column as;
    const char *text; /* a template */
};

struct list {
    const char *verb;
    const char *form;     /* the keyword of the call; NULL: none */
    const char *none;     /* the sentence if there is no line */
    struct sentence head; /* of the first line of the reply, below the table; NULL: none */
    const char *sort;     /* a key of which the largest number comes first; NULL: as they come */
    const char *without;  /* keys of lines that are left out */
    const char *note;     /* a template: what is said below the table of a line; NULL: nothing */
    struct column columns[COLUMNS]; /* the end has no title */
};

#define LEFT(title, text)                                                                          \
    {                                                                                              \
        {title, false, false, false}, text                                                         \
    }
#define NAME(title, text)                                                                          \
    {                                                                                              \
        {title, false, true, false}, text                                                          \
    }
#define TEXT(title, text)                                                                          \
    {                                                                                              \
        {title, false, false, true}, text                                                          \
    }
#define RIGHT(title, text)                                                                         \
    {                                                                                              \
        {title, true, false, false}, text                                                          \
    }
#define OPERATION                                                                                  \
    "{op}[ of change {of}][ ({did})][ {ns}][ from {from}][ to {to}][ with {with}]"                 \
    "[ snapshot {snapshot}][, which was {was}]"

static const struct list lists[] = {
    {"du",
     NULL,
     "There are no namespaces.",
     {"[The trash gives back {trash_frees:bytes} when the disk gets full.]", "namespaces"},
     "frees",
     NULL,
     NULL,
     {NAME("NAMESPACE", "{ns}"), RIGHT("FILES", "{logical:bytes}"),
      RIGHT("SHARED", "{shared:bytes}"), RIGHT("ALONE", "{frees:bytes}"),
      RIGHT("ITS TREE", "{tree:bytes}"), RIGHT("COMPRESSED AWAY", "{saved:bytes}"),
      RIGHT("ELSEWHERE", "{elsewhere:bytes}"), RIGHT("PIECES", "{pieces:count}"),
      LEFT("", "[scattered{scattered:if}]")}},
    {"shard",
     "list",
     "There are no other shards: all objects are at home.",
     {"", "shards"},
     NULL,
     "lineage puts gets stats deletes lists sent received",
     "[Shard {shard}: {why}.]",
     {RIGHT("SHARD", "{shard}"), LEFT("STATE", "{state}"), RIGHT("OBJECTS", "{objects:count}"),
      RIGHT("SIZE", "{bytes:bytes}"), RIGHT("FREE", "{avail:bytes}"), RIGHT("OF", "{disk:bytes}"),
      NAME("PLACE", "{url}"),
      LEFT("NOTE", "[an archive{archive:if}][being drained{draining:if}]")}},
    {"archive",
     "status",
     "The store has no archive: nothing is shipped.",
     {"[The last change of the store is {seq}.]", "archives"},
     NULL,
     "lineage segment segments sections objects bytes",
     "[Archive {archive} lacks contents{lost:if}: the store could not read {lost:n entry|entries}. "
     "]"
     "[{held:bytes} are kept here for archive {archive}. ][Archive {archive}: {why}.]",
     {RIGHT("NO", "{archive}"), LEFT("STATE", "{state}"),
      RIGHT("CHANGE", "[{seq:if}{seq}][unknown{seq:not}]"),
      LEFT("AS OF", "[{time:ago}][unknown{time:not}]"), RIGHT("BEHIND", "[{behind:if}{lag_ms:ms}]"),
      LEFT("OLDEST", "{oldest:ago}"), LEFT("DRILLED", "{drill:ago}"), NAME("PLACE", "{url}")}},
    {"archive",
     "status",
     NULL,
     {"[The last change of the store is {seq}.]", "archives"},
     NULL,
     "lineage segments entries afresh asked",
     "[{why}. ][The history has ended: {ended}.]",
     {RIGHT("FOLLOWS", "{following}"), LEFT("STATE", "{state}"), RIGHT("HAS CHANGE", "{from_seq}"),
      LEFT("OF", "{time:ago}"), RIGHT("BEHIND", "[{lag_ms:ms}]"), LEFT("SEGMENT", "{applied}"),
      NAME("PLACE", "{url}")}},
    {"archive",
     "pins",
     "Nothing is pinned in the archive.",
     {"", "archive pins"},
     NULL,
     NULL,
     NULL,
     {LEFT("PIN", "{pin}"), RIGHT("LINEAGE", "{lineage}"), LEFT("SEGMENT", "{segment}"),
      LEFT("SINCE", "{time:ago}"), NAME("WHO", "{who}")}},
    {"trash",
     "list",
     "The trash is empty.",
     {"In the trash: {dropped:n namespace}. Kept as well: {bases:n base} of branches.[ The trash "
      "gives back "
      "{trash_frees:bytes} when the disk gets full.]",
      "weighed"},
     NULL,
     "seq",
     NULL,
     {NAME("NAME", "{word}"), LEFT("SINCE", "{since:ago}"), LEFT("UNTIL", "{until:ago}"),
      RIGHT("GIVES BACK", "{frees:bytes}"),
      RIGHT("PATHS ONLY HERE", "[{only_here:count}][at least {only_here_at_least:count}]")}},
    {"snapshot",
     "list",
     "There are no snapshots.",
     {"", "snapshots"},
     NULL,
     NULL,
     NULL,
     {NAME("SNAPSHOT", "{word}"), RIGHT("CHANGE", "{seq}"), LEFT("SINCE", "{since:ago}"),
      LEFT("UNTIL", "{until:ago}"), RIGHT("GIVES BACK", "{frees:bytes}"),
      LEFT("", "[held{held:if}]")}},
    {"history",
     NULL,
     "Nothing was done to namespaces yet.",
     {"", "operations"},
     NULL,
     "uid",
     NULL,
     {RIGHT("CHANGE", "{seq}"), LEFT("TIME", "{time:moment}"), LEFT("STATE", "{state}"),
      LEFT("BY", "{by}"), TEXT("WHAT", OPERATION)}},
    {"growth",
     NULL,
     "Nothing is remembered yet: the first commit takes a sample.",
     {"", "samples"},
     NULL,
     NULL,
     NULL,
     {LEFT("TIME", "{time:moment}"), RIGHT("INODES", "{inodes:count}"),
      RIGHT("FILES", "{logical:bytes}"), RIGHT("STORED", "{stored:bytes}"),
      RIGHT("CONTENTS", "{objects:count}"), RIGHT("NAMESPACES", "{namespaces:count}"),
      RIGHT("FREE", "{disk_free:bytes}")}},
    {"node",
     "list",
     "There are no nodes.",
     {"", "nodes"},
     NULL,
     "serial ack age_seconds",
     NULL,
     {RIGHT("NODE", "{node}"), LEFT("STATE", "{state}"), LEFT("LAST REPORT", "{reported:ago}"),
      LEFT("", "[this store{own:if}]")}},
    {"durable",
     NULL,
     "",
     {"The last change is number {seq}; on disk is what was changed up to number {durable}.", NULL},
     NULL,
     "lineage",
     "[Archive {archive}: {why}.]",
     {RIGHT("ARCHIVE", "{archive}"), RIGHT("HAS CHANGE", "{seq}"),
      LEFT("", "[not all{behind:if}][not shipped there{off:if}]"), LEFT("AS OF", "{time:ago}"),
      LEFT("SEGMENT", "{segment}"), NAME("PLACE", "{url}")}},
    {"why",
     NULL,
     "",
     {"It has {refs:n reference}, in {namespaces:n namespace}.", NULL},
     NULL,
     NULL,
     NULL,
     {NAME("NAMESPACE", "{namespace}"), RIGHT("REFERENCES", "{items:count}"),
      NAME("INODES", "{inodes}")}},
    {"get",
     NULL,
     "There are no settings.",
     {"", ""},
     NULL,
     "min max differs",
     NULL,
     {LEFT("SETTING", "{setting}"), RIGHT("VALUE", "{value}"),
      RIGHT("DEFAULT", "[{differs:if}{default}]"), TEXT("MEANING", "{rest}")}},
    {LISTS_CONFLICTS,
     NULL,
     "",
     {"", ""},
     NULL,
     NULL,
     NULL,
     {NAME("PATH", "{path}"), TEXT("CONFLICT", "{" FIELD_WORD "}")}},
    {"log",
     "list",
     "The log has no change of it.",
     {"Shown: {shown:n change} of {frames:count} that the log has.", NULL},
     NULL,
     "segment offset",
     NULL,
     {RIGHT("CHANGE", "{seq}"), LEFT("TIME", "{time:moment}"), TEXT("WHAT", "{rest}")}},
};
#define LISTS (sizeof(lists) / sizeof(*lists))

/* ---- lines ---- */

struct lines {
    json_t **v;
    size_t count, room;
    struct strbuf others; /* what is shown as it is */
};

static size_t columns_of(const struct list *l)
{
    size_t n = 0;
    while (n < COLUMNS && l->columns[n].as.title) {
        n++;
    }
    return n;
}

static bool knows_key(const struct list *l, const char *key)
{
    if (l->note && sentence_has(&(struct sentence){l->note, NULL}, key)) {
        return true;
    }
    for (size_t i = 0; i < columns_of(l); i++) {
        if (sentence_has(&(struct sentence){l->columns[i].text, l->without}, key)) {
            return true;
        }
    }
    return false;
}

static bool knows_all(const struct list *l, const json_t *fields)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fields, key, value)
    {
        if (!knows_key(l, key)) {
            return false;
        }
    }
    return json_object_size(fields) > 0;
}

/* A setting has its name as a key: it becomes two fields. */
static json_t *setting_of(json_t *fields)
{
    json_t *setting = json_object();
    const char *key, *standard = fields_get(fields, "default");
    json_t *value;
    json_object_foreach(fields, key, value)
    {
        if (json_object_size(setting) == 0) {
            json_object_set_new(setting, "setting", json_string(key));
            json_object_set(setting, "value", value);
            const bool differs = standard && strcmp(standard, json_string_value(value)) != 0;
            json_object_set_new(setting, "differs", json_string(differs ? "1" : "0"));
        } else {
            json_object_set(setting, key, value);
        }
    }
    json_decref(fields);
    return setting;
}

/* The reason of a conflict becomes words. One that is not known stays. */
static void explain_conflict(json_t *fields)
{
    static const char *const why[][2] = {
        {"name", "the name leads to two different files"},
        {"content", "both changed the content"},
        {"attributes", "both changed mode, owner, or extended attributes"},
        {"removed", "one side removed what the other changed"},
        {"parents", "the directory would be in two directories"},
        {"cycle", "the directory would be below itself"},
        {"filled", "the directory was removed there, and has files here that stay"},
        {"no-parent", "its directory was removed here"},
        {"open", "the file is open for writing"}};
    const char *word = fields_get(fields, FIELD_WORD);
    for (size_t i = 0; word && i < sizeof(why) / sizeof(*why); i++) {
        if (strcmp(word, why[i][0]) == 0) {
            json_object_set_new(fields, FIELD_WORD, json_string(why[i][1]));
            return;
        }
    }
}

/* Reads the lines. Those that do not fit to the list are others. */
static int read_lines(const struct list *l, const char *body, struct lines *to)
{
    for (const char *p = body; *p;) {
        const size_t len = strcspn(p, "\n");
        json_t *fields = fields_of_line(p, len);
        if (fields && strcmp(l->verb, "get") == 0) {
            fields = setting_of(fields);
        } else if (fields && strcmp(l->verb, LISTS_CONFLICTS) == 0) {
            explain_conflict(fields);
        }
        if (fields && knows_all(l, fields) && ARRAY_RESERVE(to->v, to->room, to->count + 1) == 0) {
            to->v[to->count++] = fields;
        } else {
            json_decref(fields);
            strbuf_add(&to->others, p, len);
            strbuf_adds(&to->others, "\n");
        }
        p += len + (p[len] == '\n');
    }
    return strbuf_error(&to->others);
}

static void release_lines(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++) {
        json_decref(l->v[i]);
    }
    free(l->v);
    strbuf_release(&l->others);
}

static double number_of(const json_t *fields, const char *key)
{
    const char *text = fields_get(fields, key);
    return text ? strtod(text, NULL) : 0;
}

/* A line, its number, and where it was. */
struct ranked {
    double number;
    size_t at;
    json_t *line;
};

static int largest_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->number != y->number) {
        return x->number < y->number ? 1 : -1;
    }
    return x->at < y->at ? -1 : 1;
}

/* Puts the largest first, and leaves equal ones in their order. Without memory all stay. */
static void sort_lines(struct lines *l, const char *key)
{
    struct ranked *v = key && l->count ? calloc(l->count, sizeof(*v)) : NULL;
    if (!v) {
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        v[i] = (struct ranked){number_of(l->v[i], key), i, l->v[i]};
    }
    qsort(v, l->count, sizeof(*v), largest_first);
    for (size_t i = 0; i < l->count; i++) {
        l->v[i] = v[i].line;
    }
    free(v);
}

/* ---- the table ---- */

static void add_row(const struct list *l, const struct sentence_of *of, struct table *t)
{
    struct strbuf cells[COLUMNS];
    const char *texts[COLUMNS];
    for (size_t i = 0; i < t->count; i++) {
        cells[i] = (struct strbuf)STRBUF_INIT;
        if (!sentence_fill(l->columns[i].text, of, &cells[i])) {
            strbuf_clear(&cells[i]);
        }
        texts[i] = cells[i].s + strspn(cells[i].s, " ");
        t->failed |= cells[i].failed;
    }
    table_add(t, texts);
    for (size_t i = 0; i < t->count; i++) {
        strbuf_release(&cells[i]);
    }
}

static void add_table(const struct list *l, const struct people_call *c, const struct lines *lines,
                      struct strbuf *out)
{
    struct table_column columns[COLUMNS];
    struct table t;
    const size_t count = columns_of(l);
    for (size_t i = 0; i < count; i++) {
        columns[i] = l->columns[i].as;
    }
    table_init(&t, columns, count);
    for (size_t i = 0; i < lines->count; i++) {
        add_row(l, &(struct sentence_of){lines->v[i], c->args, c->nargs, c->now, c->bytes}, &t);
    }
    table_print(&t, c->width, out);
    table_release(&t);
}

/* Adds what is said of single lines, below the table. */
static void add_notes(const struct list *l, const struct people_call *c, const struct lines *lines,
                      struct strbuf *out)
{
    for (size_t i = 0; l->note && i < lines->count; i++) {
        CLEANUP_STRBUF struct strbuf note = STRBUF_INIT;
        const struct sentence_of of = {lines->v[i], c->args, c->nargs, c->now, c->bytes};
        if (sentence_fill(l->note, &of, &note) && note.len) {
            strbuf_addf(out, "%s\n", note.s);
        }
    }
}

/* Adds all parts of the reply. False: the first line does not fit. */
static bool add_list(const struct list *l, const struct people_call *c, const json_t *head,
                     struct lines *lines, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf sentence = STRBUF_INIT;
    const struct sentence_of of = {head, c->args, c->nargs, c->now, c->bytes};
    if (!sentence_add(&l->head, &of, &sentence) || (lines->count == 0 && !l->none)) {
        return false;
    }
    sort_lines(lines, l->sort);
    add_table(l, c, lines, out);
    add_notes(l, c, lines, out);
    strbuf_add(out, lines->others.s, lines->others.len);
    if (lines->count == 0 && lines->others.len == 0 && *l->none) {
        strbuf_addf(out, "%s\n", l->none);
    }
    if (sentence.len) {
        strbuf_addf(out, "%s\n", sentence.s);
    }
    return true;
}

/* Tries one list. The figures of one namespace that was named are in the first line of `du`: then
 * that is the only line of the list. `strict`: a list that knows none of the lines does not fit. */
static bool try_list(const struct list *l, const struct people_call *c, const char *head,
                     const char *body, bool strict, struct strbuf *out)
{
    const bool is_line = !*body && strcmp(l->verb, "du") == 0 && strncmp(head, "ns=", 3) == 0;
    struct lines lines = {.others = STRBUF_INIT};
    json_t *fields = is_line ? json_object() : fields_of(head, strlen(head));
    bool added = false;
    if (fields && read_lines(l, is_line ? head : body, &lines) == 0 &&
        !(strict && lines.count == 0 && lines.others.len > 0)) {
        added = add_list(l, c, fields, &lines, out);
    }
    json_decref(fields);
    release_lines(&lines);
    return added;
}

bool lists_add(const struct people_call *c, const char *head, const char *body, struct strbuf *out)
{
    for (size_t i = 0; i < 2 * LISTS; i++) {
        const struct list *l = &lists[i % LISTS];
        const bool form = !l->form || (c->nargs > 0 && strcmp(c->args[0], l->form) == 0);
        if (strcmp(l->verb, c->verb) == 0 && form && try_list(l, c, head, body, i < LISTS, out)) {
            return true;
        }
    }
    return false;
}
