// SPDX-License-Identifier: Apache-2.0
/*
 * chain_model_world: the store of chain_model, in the place of core/shard, and the answers of
 * actors. Names and bytes are kept as numbers of texts, of which there are few.
 */
#include "chain_model.h"

#include "chain_find.h"
#include "id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run run;

/* ---- texts ---- */

#define TEXTS_MAX 255
#define BUCKETS 4096

static struct {
    char bytes[ARCHIVE_TEXT_MAX];
    size_t len;
    struct sort sort; /* of a name: as if it were a segment */
    bool is_end;
} text[TEXTS_MAX];
static unsigned texts;
static uint16_t bucket[BUCKETS]; /* number of a text, from 1; open addressing */

/* The numbers of a name are read once: this is much of what a step does. */
static struct sort sort_of_name(const char *name)
{
    unsigned long long epoch, serial = 0;

    if (sscanf(name, "l/00000001/epoch/%llx", &epoch) == 1)
        return (struct sort){IS_CLAIM, {epoch, 0}};
    if (sscanf(name, "l/00000001/log/%llx-%llx", &epoch, &serial) == 2)
        return (struct sort){IS_SEGMENT, {epoch, serial}};
    return (struct sort){IS_OTHER, {0, 0}};
}

static unsigned text_add_new(const void *bytes, size_t len)
{
    if (texts == TEXTS_MAX || len >= ARCHIVE_TEXT_MAX)
        fail("there are too many texts");
    memcpy(text[texts].bytes, bytes, len);
    text[texts].len = len;
    text[texts].sort = sort_of_name(text[texts].bytes);
    text[texts].is_end =
        strncmp(text[texts].bytes, ARCHIVE_TERMINATOR_BEGINS, strlen(ARCHIVE_TERMINATOR_BEGINS)) == 0;
    return ++texts;
}

static uint8_t text_number_of(const void *bytes, size_t len)
{
    uint64_t i = id_checksum(bytes, len, 0) % BUCKETS;

    for (; bucket[i]; i = (i + 1) % BUCKETS)
        if (text[bucket[i] - 1].len == len && memcmp(text[bucket[i] - 1].bytes, bytes, len) == 0)
            return (uint8_t)(bucket[i] - 1);
    bucket[i] = (uint16_t)text_add_new(bytes, len);
    return (uint8_t)(bucket[i] - 1);
}

struct sort sort_of(struct thing t)
{
    struct sort s = text[t.name].sort;

    if (s.is == IS_OTHER)
        fail("a name is of nothing that there is");
    if (s.is == IS_SEGMENT && text[t.bytes].is_end)
        s.is = IS_END;
    return s;
}

/* ---- the store ---- */

static struct thing *find(struct world *w, uint8_t name)
{
    for (unsigned i = 0; i < w->things; i++)
        if (w->thing[i].name == name)
            return &w->thing[i];
    return NULL;
}

static void insert(struct world *w, struct thing t)
{
    unsigned i = w->things++;

    if (i == THINGS_MAX)
        fail("there are too many things");
    for (; i > 0 && w->thing[i - 1].name > t.name; i--)
        w->thing[i] = w->thing[i - 1];
    w->thing[i] = t;
}

/* Is it a terminator that a claimant forgets, by the rule that is off? */
static bool is_forgotten(struct thing t)
{
    struct sort s = sort_of(t);

    return rule_off && s.is == IS_END &&
           (strcmp(rule_off, "ends") == 0 ||
            (strcmp(rule_off, "empty-ends") == 0 && s.pos.serial == 1));
}

static int put(struct world *w, struct thing t)
{
    struct thing *there = find(w, t.name);

    if (is_forgotten(t))
        return 0;
    if (there && rule_off && strcmp(rule_off, "put-if-absent") == 0) {
        *there = t;
        return 0;
    }
    if (there)
        return -EEXIST;
    check_put(w, t);
    insert(w, t);
    return 0;
}

void do_late(struct world *w, unsigned i)
{
    struct thing t = w->late[i];
    int err;

    w->late[i] = w->late[--w->lates];
    err = put(w, t);
    tell(0, "put", text[t.name].bytes, err < 0 ? strerrorname_np(-err) : "done");
}

void drop_lates(struct world *w)
{
    bool replaces = rule_off && strcmp(rule_off, "put-if-absent") == 0;

    for (unsigned i = w->lates; i-- > 0 && !replaces;)
        if (find(w, w->late[i].name))
            w->late[i] = w->late[--w->lates];
}

void put_claim_of(struct world *w, uint64_t epoch, const struct archive_claim *who)
{
    char name[ARCHIVE_NAME_MAX + 1], claim[ARCHIVE_TEXT_MAX];

    archive_epoch_name(LINEAGE, epoch, name);
    size_t len = chain_claim_encode(LINEAGE, epoch, who, claim);

    insert(w, (struct thing){text_number_of(name, strlen(name)), text_number_of(claim, len)});
}

/* ---- requests ---- */

void run_begin(struct world *w, unsigned actor, enum fault_kind fault)
{
    run = (struct run){.world = w, .actor = actor, .fault = fault};
    w->actor[actor].acks = 0;
}

void know(const struct chain *c, bool ended)
{
    run.world->actor[run.actor].known = (struct known){.answers = (uint8_t)run.at,
                                                       .epoch = (uint8_t)c->epoch,
                                                       .serial = (uint8_t)c->serial,
                                                       .claimed = c->claimed,
                                                       .ready = c->ready,
                                                       .unknown = c->unknown,
                                                       .ended = ended};
}

void acknowledge(unsigned actor, struct segment_pos pos, const char *bytes, size_t len)
{
    struct actor *a = &run.world->actor[actor];
    char name[ARCHIVE_NAME_MAX + 1];

    archive_segment_name(LINEAGE, pos, name);
    if (a->acks == sizeof a->ack / sizeof *a->ack)
        fail("there are too many segments");
    a->ack[a->acks++] =
        (struct thing){text_number_of(name, strlen(name)), text_number_of(bytes, len)};
}

static struct answer do_put(struct world *w, struct thing t, enum fault_kind fault)
{
    if (fault == FAULT_UNREAD || (fault == FAULT_LATE && w->lates == LATES_MAX)) {
        run.refused = run.stopped = true;
        return (struct answer){-ECANCELED, 0};
    }
    if (fault == FAULT_LATE) {
        w->late[w->lates++] = t;
        return (struct answer){-EHOSTUNREACH, 0};
    }
    int err = put(w, t);

    if (fault == FAULT_REPEATED && err < 0) /* as without the fault */
        run.refused = true;
    return (struct answer){(int8_t)(fault == FAULT_REPEATED ? -EEXIST : err), 0};
}

static struct answer do_read(struct world *w, uint8_t name, enum fault_kind fault)
{
    const struct thing *there = find(w, name);

    run.refused = fault == FAULT_LATE || fault == FAULT_REPEATED;
    if (fault == FAULT_UNREAD)
        return (struct answer){-EHOSTUNREACH, 0};
    return there ? (struct answer){0, there->bytes} : (struct answer){-ENOENT, 0};
}

/* Does the new request of the step. */
static struct answer do_request(const char *call, struct thing t, bool puts)
{
    struct actor *me = &run.world->actor[run.actor];

    run.asked = true;
    tell(run.actor + 1, call, text[t.name].bytes, "");
    struct answer a =
        puts ? do_put(run.world, t, run.fault) : do_read(run.world, t.name, run.fault);

    tell(run.actor + 1, call, text[t.name].bytes,
         a.err < 0 ? strerrorname_np(-a.err)
         : puts    ? "done"
                   : text[a.bytes].bytes);
    if (me->answers == ANSWERS_MAX)
        fail("there are too many answers");
    me->answer[me->answers++] = a;
    run.at++;
    return a;
}

/* Answers a request of whoever runs. */
static struct answer answer(const char *call, const char *name, const void *bytes, size_t len,
                            bool puts)
{
    struct thing t = {text_number_of(name, strlen(name)), 0};

    if (run.quiet)
        fail("a writer that was fenced asks");
    if (run.looks)
        return do_read(run.world, t.name, FAULT_NONE);
    if (run.at < run.world->actor[run.actor].answers && !run.asked)
        return run.world->actor[run.actor].answer[run.at++];
    if (run.asked) {
        run.stopped = true;
        return (struct answer){-ECANCELED, 0};
    }
    if (puts)
        t.bytes = text_number_of(bytes, len);
    return do_request(call, t, puts);
}

int __wrap_shard_put_if_absent(struct shard *s, const char *name, const void *data, size_t len);
int __wrap_shard_put_if_absent(struct shard *s, const char *name, const void *data, size_t len)
{
    (void)s;
    return answer("put", name, data, len, true).err;
}

int __wrap_shard_stat(struct shard *s, const char *name, uint64_t *ret_size);
int __wrap_shard_stat(struct shard *s, const char *name, uint64_t *ret_size)
{
    struct answer a = answer("stat", name, NULL, 0, false);

    (void)s;
    if (a.err == 0)
        *ret_size = text[a.bytes].len;
    return a.err;
}

ssize_t __wrap_shard_get(struct shard *s, const char *name, void *buf, size_t cap);
ssize_t __wrap_shard_get(struct shard *s, const char *name, void *buf, size_t cap)
{
    struct answer a = answer("get", name, NULL, 0, false);

    (void)s;
    if (a.err < 0)
        return a.err;
    if (text[a.bytes].len > cap)
        return -EFBIG;
    memcpy(buf, text[a.bytes].bytes, text[a.bytes].len);
    return (ssize_t)text[a.bytes].len;
}

/* `off` is 0, and texts are short: what is there is there wholly. */
ssize_t __wrap_shard_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off);
ssize_t __wrap_shard_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off)
{
    (void)off;
    return __wrap_shard_get(s, name, buf, len);
}

ssize_t __wrap_shard_range_alloc(struct shard *s, const char *name, size_t len, uint64_t off,
                                 void **ret_data);
ssize_t __wrap_shard_range_alloc(struct shard *s, const char *name, size_t len, uint64_t off,
                                 void **ret_data)
{
    char there[ARCHIVE_TEXT_MAX];
    ssize_t n = __wrap_shard_get(s, name, there, sizeof there);

    (void)len, (void)off;
    if (n < 0)
        return n;
    *ret_data = malloc((size_t)n + 1);
    if (!*ret_data)
        return -ENOMEM;
    memcpy(*ret_data, there, (size_t)n);
    return n;
}
