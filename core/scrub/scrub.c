// SPDX-License-Identifier: Apache-2.0
/*
 * scrub: see the header. `at` is the current position. `safe` is the last position at which all
 * damage had been reported with its paths: only `safe` is saved.
 *
 * Values of pages are copied out by kv_get, not read in place from a snapshot: a sector that the
 * disk cannot read is an error then, and does not end the process (kv.h).
 */
#include "scrub.h"
#include "damage_live.h"
#include "durability.h"
#include "job.h"
#include "lost.h"
#include "rate.h"
#include "rebuild.h"
#include "report.h"
#include "scrub_impl.h"
#include "scrub_record.h"
#include "scrub_values.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))
#define SAVE_EVERY (60 * NSEC_PER_SEC) /* monotonic ns */
#define MOVES_MAX 8                    /* how often an object may move while it is verified */

/* One scrub, while its job runs. */
struct scrub {
    struct state *p;
    struct job *j;
    struct rate rate;
    struct scrub_record at, safe;
    int64_t saved; /* monotonic ns */
    uint64_t total, bytes_total;
    uint64_t met; /* mark of the damage that readers had met before the scrub began */
    bool resumed;
    struct damage damage;
    struct entry asked;  /* the ghost whose pack or file its shard was asked to verify last */
    bool sound;          /* what it said */
    struct strbuf lines; /* what was reported of damage, at most SCRUB_LINES bytes */
    uint8_t *buf;        /* SUMS_BLOCK bytes */
};

/* ---- continuing, and stopping ---- */

/* Show the position to others (scrub_get). */
static void publish(struct scrub *s)
{
    MUTEX_GUARD(&s->p->scrub->lock);
    s->p->scrub->record = s->at;
}

/* Show the progress of the job, and the position. */
static void show_progress(struct scrub *s)
{
    job_progress_bytes(s->p, s->j, s->at.now.bytes, s->bytes_total);
    job_progress(s->p, s->j, s->at.seen, s->total);
    publish(s);
}

/* Account `bytes` that were read, and rest as the rate asks. */
static int spend(uint64_t bytes, void *ctx)
{
    struct scrub *s = ctx;

    s->at.now.bytes += bytes;
    show_progress(s);
    return job_pay(s->p, s->j, &s->rate, bytes, SET_SCRUB_RATE);
}

/* 0: the scrub may continue; -ECANCELED or -ESHUTDOWN: it must stop. */
static int go_on(void *ctx)
{
    struct scrub *s = ctx;

    return job_pause(s->p, s->j, 0);
}

/* Save a position. A failure does no harm but that the next scrub begins further back; -EIO makes
 * the store read-only. */
static void save(struct scrub *s, const struct scrub_record *r)
{
    int err;

    s->saved = ticks(s->p);
    if (atomic_load(&s->p->readonly))
        return;
    err = scrub_record_save(s->p->config.kv, r);
    if (err == -EIO)
        state_turn_readonly(s->p, "remembering how far a scrub is", err);
    else if (err < 0)
        report(REPORT_NOTE, "scrub: how far it is cannot be remembered (%s)", strerror(-err));
}

/* ---- damage ---- */

/* Raise an alarm, and keep its text for the lines of the job, as far as there is room. */
static void say(const char *line, void *ctx)
{
    struct scrub *s = ctx;

    damage_alarm("scrub", line);
    if (s->lines.len + strlen(line) < SCRUB_LINES)
        strbuf_addf(&s->lines, "%s\n", line);
}

/* Report the paths that use what was damaged. Then the current position is safe. */
static int report_damage(struct scrub *s)
{
    int err = damage_tell(s->p, &s->damage, say, go_on, s);

    if (err == 0)
        s->safe = s->at;
    return err;
}

/* Report something damaged, and remember it until its paths are reported. */
static int found(struct scrub *s, enum damage_kind kind, uint64_t number, const char *name,
                 const char *why)
{
    char line[320];
    int err = damage_add(&s->damage, kind, number, name);

    if (err < 0)
        return err;
    s->at.now.damaged++;
    snprintf(line, sizeof line, "%s is damaged: %s", name, why);
    say(line, s);
    return 0;
}

/* Is the error of a read damage: bytes that cannot be read, or are not those that were written? */
static bool is_damage(int err)
{
    return err == -EUCLEAN || err == -EIO || err == -ENODATA || err == -EILSEQ;
}

/* The reason of damage, for a finding. */
static const char *why_of(int err)
{
    return err == -EUCLEAN ? "its bytes are not those that were written"
                           : "the disk cannot read it";
}

/* ---- pages ---- */

/* Read and verify a page. 0: it is sound, or was freed meanwhile. */
static int read_page(struct scrub *s, uint64_t no, const char **ret_why)
{
    uint8_t key[8];
    size_t len;
    int err;

    put_be64(key, no);
    err = kv_get(s->p->config.kv, TABLE_PAGES, key, sizeof key, s->buf, PAGE_SIZE_BYTES, &len);
    if (err == -ENOENT)
        return 0;
    *ret_why = err == -ERANGE || (err == 0 && len != PAGE_SIZE_BYTES) ? "its length is wrong"
                                                                      : why_of(err);
    if (err == -ERANGE || (err == 0 && len != PAGE_SIZE_BYTES))
        return -EUCLEAN;
    return err < 0 ? err : page_check(s->buf, no, ret_why);
}

/* Verify one page, and report damage. */
static int scrub_page(struct scrub *s, uint64_t no)
{
    char name[56];
    const char *why = "";
    int err = read_page(s, no, &why);

    if (err < 0 && !is_damage(err))
        return err;
    if (err < 0) {
        snprintf(name, sizeof name, "page %llu", U(no));
        err = found(s, DAMAGE_PAGE, no, name, why);
    }
    s->at.now.pages++;
    return err < 0 ? err : spend(PAGE_SIZE_BYTES, s);
}

/* ---- objects ---- */

/* Read an unsealed content up to the length that it has at first: it may grow faster than it is
 * read. -EUCLEAN: it was sealed or deleted meanwhile, so the caller looks it up again. */
static int verify_unsealed(struct scrub *s, uint64_t number)
{
    uint64_t off = 0, end = 0;
    ssize_t n;

    do {
        struct content *c = content_find(s->p, number);
        int err;
        if (!c)
            return -EUCLEAN;
        if (off == 0)
            end = content_length(c);
        content_unref(c);
        n = content_read(s->p, number, s->buf, SUMS_BLOCK, off, &(struct reader){.remote = NULL});
        if (n < 0)
            return (int)n;
        off += (uint64_t)n;
        err = spend((uint64_t)n, s);
        if (err < 0)
            return err;
    } while (n > 0 && off < end);
    return 0;
}

/* The file, or the table, that has the bytes. */
static void file_of(const struct entry *e, uint64_t number, char file[DISK_NAME_MAX + 1])
{
    if (e->kind == ENTRY_HELD)
        snprintf(file, DISK_NAME_MAX + 1, "the table unsealed");
    else
        objects_file_name(e, number, file);
}

/* Words for a finding: `name` is the object, `where` its place. */
static void describe(const struct entry *e, uint64_t number, char name[56], char where[100])
{
    char file[DISK_NAME_MAX + 1], hex[ID_HEX + 1], shard[16] = "";

    id_to_hex(&e->id, hex);
    file_of(e, number, file);
    if (!entry_is_sealed(e))
        snprintf(name, 56, "unsealed content %llu", U(number));
    else
        snprintf(name, 56, "object %s", hex);
    if (entry_is_ghost(e))
        snprintf(shard, sizeof shard, "shard %u: ", (unsigned)e->shard);
    if (e->kind == ENTRY_PACK)
        snprintf(where, 100, "%s%.68s at %u", shard, file, e->offset);
    else
        snprintf(where, 100, "%s%.78s", shard, file);
}

/* Is the object's file missing? Not asked for a ghost (its shard has answered) and for bytes in a
 * table. */
static bool is_gone(struct scrub *s, uint64_t number, const struct entry *e)
{
    char file[DISK_NAME_MAX + 1];
    struct disk_stat st;

    objects_file_name(e, number, file);
    return !entry_is_ghost(e) && e->kind != ENTRY_HELD &&
           disk_stat(s->p->config.disk, file, &st) == -ENOENT;
}

/* Report an object whose bytes are damaged. */
static int found_object(struct scrub *s, uint64_t number, const struct entry *e, int reason)
{
    char name[56], where[100], why[160];
    bool gone = is_gone(s, number, e);

    describe(e, number, name, where);
    snprintf(why, sizeof why, "%s (%s)", gone ? "its file is gone" : why_of(reason), where);
    return found(s, DAMAGE_OBJECT, number, name, why);
}

/* Has the ghost's shard itself found all of its pack or file to be sound? The records of a pack
 * mostly come one after the other, so the shard is asked once for them. */
static bool is_sound_there(struct scrub *s, const struct entry *e)
{
    if (!entry_is_ghost(e))
        return false;
    if (e->kind != ENTRY_PACK || e->shard != s->asked.shard || e->where != s->asked.where) {
        s->asked = *e;
        s->sound = objects_sound_there(s->p->objects, e);
    }
    return s->sound;
}

/* Read all bytes of an entry and verify them, unless its shard has done that. */
static int verify(struct scrub *s, uint64_t number, const struct entry *e)
{
    if (is_sound_there(s, e))
        return 0;
    return !entry_is_sealed(e) ? verify_unsealed(s, number)
                               : objects_verify_slowly(s->p->objects, e,
                                                       &(struct blob_pace){spend, s});
}

static void say_unreadable(struct scrub *s, const struct entry *e)
{
    char hex[ID_HEX + 1], line[128];

    id_to_hex(&e->id, hex);
    snprintf(line, sizeof line, "object %s was not checked: it is " OBJECTS_COMPRESSED, hex);
    say(line, s);
}

/* Verify an object that the caller holds. If its bytes are damaged, look it up again: it may have
 * been moved to a place where they are sound, or deleted. */
static int look_at_object(struct scrub *s, uint64_t number)
{
    struct entry e, before = {.kind = ENTRY_NONE};
    int err, bad = 0;

    for (unsigned moves = 0;; moves++) {
        err = refs_entry(s->p->refs, number, false, NULL, &e);
        if (err == -ENOENT || (err == 0 && !entry_has_place(&e)))
            return 0;
        if (err < 0)
            return err;
        if (moves && (entry_same_place(&e, &before) || moves > MOVES_MAX))
            return found_object(s, number, &e, bad);
        err = verify(s, number, &e);
        if (err == 0)
            s->at.now.objects++;
        if (err == -EPROTO)
            say_unreadable(s, &e);
        if (err == -EHOSTUNREACH || err == -EPROTO) {
            s->at.now.unasked++;
            return 0;
        }
        if (!is_damage(err))
            return err;
        bad = err;
        before = e;
    }
}

/* Verify one object. It is held, so that it is not deleted meanwhile. An object that is damaged
 * counts as looked at, too. */
static int scrub_object(struct scrub *s, uint64_t number)
{
    char name[56];
    uint64_t damaged = s->at.now.damaged;
    int err = refs_hold(s->p->refs, number);

    if (err < 0)
        return err;
    err = look_at_object(s, number);
    refs_unhold(s->p->refs, number);
    if (is_damage(err)) { /* the entry is damaged, not the object's bytes */
        snprintf(name, sizeof name, "entry of object number %llu", U(number));
        err = found(s, DAMAGE_OBJECT, number, name, why_of(err));
    }
    s->at.now.objects += s->at.now.damaged - damaged;
    return err;
}

/* ---- a table ---- */

/* Keys from one snapshot of a table. */
struct keys {
    uint64_t v[SCRUB_KEYS];
    size_t count;
};

/* Report damage and save the position, if SAVE_EVERY is over or as much damage waits as is
 * reported at once. */
static int keep(struct scrub *s)
{
    int err = 0;

    if (s->damage.count == 0)
        s->safe = s->at;
    if (s->damage.count >= DAMAGE_AT_ONCE || ticks(s->p) - s->saved >= SAVE_EVERY) {
        err = report_damage(s);
        if (err == 0)
            save(s, &s->safe);
    }
    return err;
}

/* Verify what these keys name, and move the position. */
static int scrub_keys(struct scrub *s, const struct keys *keys)
{
    int err = 0;

    for (size_t i = 0; i < keys->count && err == 0; i++) {
        err = go_on(s);
        if (err == 0)
            err = s->at.phase == SCRUB_PAGES ? scrub_page(s, keys->v[i])
                                             : scrub_object(s, keys->v[i]);
        if (err < 0)
            return err;
        s->at.next = keys->v[i] + 1;
        s->at.seen++;
        err = keep(s);
    }
    show_progress(s);
    return err;
}

/* The rest of this table cannot be read. Report that; the scrub continues with the other table. */
static int hidden_table(struct scrub *s)
{
    char line[128];

    snprintf(line, sizeof line, "the table of %s cannot be read from number %llu on",
             s->at.phase == SCRUB_PAGES ? "pages" : "objects", U(s->at.next));
    s->at.now.damaged++;
    say(line, s);
    return 0;
}

/* Scrub a table from the position on, SCRUB_KEYS keys at a time. */
static int scrub_table(struct scrub *s)
{
    unsigned table = s->at.phase == SCRUB_PAGES ? TABLE_PAGES : TABLE_OBJECTS;
    struct keys keys;
    int err;

    do {
        err = kv_get_numbers(s->p->config.kv, table, s->at.next, keys.v, SCRUB_KEYS, &keys.count);
        if (is_damage(err))
            return hidden_table(s);
        if (err == 0)
            err = scrub_keys(s, &keys);
    } while (err == 0 && keys.count > 0);
    return err;
}

/* ---- what the other tables say ---- */

/* Report a damaged value of another table. No file depends on it, so there are no paths to
 * report. */
static int found_value(const char *what, const char *why, void *ctx)
{
    struct scrub *s = ctx;
    char line[320];

    s->at.now.damaged++;
    snprintf(line, sizeof line, "%s is damaged: %s", what, why);
    say(line, s);
    return 0;
}

/* ---- rows that are gone, and counts ---- */

/* Called for each number that is named and has no entry with bytes. */
static int found_lost(uint64_t number, uint64_t refs, void *ctx)
{
    struct scrub *s = ctx;
    char name[56], why[128];

    snprintf(name, sizeof name, "object number %llu", U(number));
    snprintf(why, sizeof why,
             "%llu references exist, but the table of objects does not say where its bytes are; "
             "`rebuild` looks for them",
             U(refs));
    if (s->damage.count >= DAMAGE_AT_ONCE) {
        int err = report_damage(s);
        if (err < 0)
            return err;
    }
    return found(s, DAMAGE_OBJECT, number, name, why);
}

/* Called during a recount; true ends it. */
static bool stop_recount(uint64_t pages, void *ctx)
{
    struct scrub *s = ctx;

    (void)pages;
    return job_pause(s->p, s->j, 0) < 0;
}

/* Look for missing rows and wrong counts. Not limited by the rate, since the pages were read just
 * before. */
static int scrub_rows(struct scrub *s)
{
    struct lost_look o = {.lost = found_lost,
                          .wrong = found_value,
                          .step = stop_recount,
                          .pool = s->p->shared,
                          .ctx = s};
    int err = atomic_load(&s->p->readonly) ? 0 : flush_now(s->p); /* so that the recount sees what
                                                                   * a reader or a writer has
                                                                   * repaired */

    if (err == 0 || err == -EROFS)
        err = lost_look(s->p->config.kv, &o);
    if (err == 0 && !atomic_load(&s->p->readonly))
        err = rebuild_first_usage(s->p, s->j);
    return err == -ECANCELED ? go_on(s) : err;
}

/* Verify the values of the other tables, and at the end look for missing rows. */
static int scrub_values(struct scrub *s)
{
    uint64_t bytes;
    struct scrub_values at = {.table = (unsigned)s->at.next};
    int err;

    while ((err = scrub_values_step(s->p->config.kv, &at, found_value, s, &bytes)) == 0) {
        s->at.next = at.table;
        err = keep(s);
        if (err == 0)
            err = job_pay(s->p, s->j, &s->rate, bytes, SET_SCRUB_RATE);
        if (err < 0)
            return err;
    }
    return err == -ENOENT ? scrub_rows(s) : err;
}

/* ---- one scrub ---- */

/* Add the rows of a table to the total, for the progress. */
static int count_table(struct scrub *s, unsigned table)
{
    struct kv_snap *snap;
    uint64_t count = 0;
    int err = kv_snap_begin(s->p->config.kv, &snap);

    if (err < 0)
        return err;
    err = kv_snap_count(snap, table, &count);
    kv_snap_end(snap);
    s->total += count;
    if (table == TABLE_PAGES)
        s->bytes_total += count * PAGE_SIZE_BYTES;
    return err;
}

/* Add up the bytes to be read, by the table of objects, a few of its entries at a time. */
static int count_bytes(struct scrub *s)
{
    struct keys keys;
    uint64_t next = 0;
    int err;

    do {
        err = kv_get_numbers(s->p->config.kv, TABLE_OBJECTS, next, keys.v, SCRUB_KEYS, &keys.count);
        for (size_t i = 0; err == 0 && i < keys.count; i++) {
            struct entry e;
            if (refs_entry(s->p->refs, keys.v[i], false, NULL, &e) == 0 && entry_has_place(&e))
                s->bytes_total += e.size;
            next = keys.v[i] + 1;
        }
        if (err == 0)
            err = go_on(s);
    } while (err == 0 && keys.count > 0);
    return err;
}

/* Begin a scrub, or continue the saved one, and save that it is running. */
static int begin_scrub(struct scrub *s)
{
    int err = count_table(s, TABLE_PAGES);

    s->met = met_mark(s->p);
    if (err == 0)
        err = count_table(s, TABLE_OBJECTS);
    if (err == 0)
        err = count_bytes(s);
    if (err < 0)
        return err;
    s->resumed = s->at.phase != SCRUB_NONE;
    if (!s->resumed) {
        s->at.phase = SCRUB_PAGES;
        s->at.next = s->at.seen = 0;
        s->at.started = now(s->p);
        s->at.now = (struct scrub_counts){0};
    }
    s->at.running = true;
    s->safe = s->at;
    save(s, &s->safe);
    show_progress(s);
    return 0;
}

/* All phases from the position on. */
static int run_scrub(struct scrub *s)
{
    int err = begin_scrub(s);

    job_goes_on_from(s->p, s->j, s->at.now.bytes);
    while (err == 0 && s->at.phase != SCRUB_NONE) {
        err = s->at.phase == SCRUB_VALUES_OF_TABLES ? scrub_values(s) : scrub_table(s);
        if (err < 0)
            break;
        s->at.phase = s->at.phase == SCRUB_PAGES     ? SCRUB_OBJECTS
                      : s->at.phase == SCRUB_OBJECTS ? SCRUB_VALUES_OF_TABLES
                                                     : SCRUB_NONE;
        s->at.next = 0;
    }
    return err == 0 ? report_damage(s) : err;
}

/* The scrub is complete (err 0), or it stops at the last safe position. */
static void end(struct scrub *s, int err)
{
    if (err == 0) {
        s->safe = s->at;
        s->safe.ended = now(s->p);
        s->safe.last = s->at.now;
        if (!s->resumed)
            met_forget(s->p, s->met, false); /* a complete scrub has found all damage that readers
                                              * had met */
    }
    s->safe.running = err == -ESHUTDOWN;
    s->at = s->safe;
    save(s, &s->safe);
}

/* Set the words of the reply. */
static void say_result(struct scrub *s, const struct scrub_counts *c)
{
    char text[200];

    int n = snprintf(text, sizeof text, "objects=%llu pages=%llu bytes=%llu damaged=%llu",
                     U(c->objects), U(c->pages), U(c->bytes), U(c->damaged));
    if (c->unasked)
        n += snprintf(text + n, sizeof text - (size_t)n, " unasked=%llu", U(c->unasked));
    if (s->resumed)
        snprintf(text + n, sizeof text - (size_t)n, " resumed=1");
    job_result(s->p, s->j, text);
}

/* The work of the job. */
static int scrub_job(struct state *p, struct job *j, void *arg)
{
    struct scrub *s = calloc(1, sizeof *s);
    int err = s && (s->buf = malloc(SUMS_BLOCK)) ? 0 : -ENOMEM;

    (void)arg;
    if (err == 0) {
        s->p = p;
        s->j = j;
        s->lines = (struct strbuf)STRBUF_INIT;
        rate_init(&s->rate, p->clock);
        scrub_get(p, &s->at, NULL);
        s->safe = s->at;
        err = run_scrub(s);
        say_result(s, &s->at.now);
        if (s->lines.len && strbuf_error(&s->lines) == 0)
            job_lines(p, j, strbuf_detach(&s->lines, NULL));
        end(s, err);
        strbuf_release(&s->lines);
        damage_release(&s->damage);
    }
    {
        MUTEX_GUARD(&p->scrub->lock);
        p->scrub->job = 0;
        if (s && s->buf)
            p->scrub->record = s->at;
    }
    if (s)
        free(s->buf);
    free(s);
    return err;
}

/* ---- the beginning ---- */

/* Make `job` the one that scrubs. -EBUSY: there is one. */
static int claim(struct state *p, uint64_t job, uint64_t *ret_job)
{
    MUTEX_GUARD(&p->scrub->lock);
    if (p->scrub->job) {
        *ret_job = p->scrub->job;
        return -EBUSY;
    }
    p->scrub->job = job;
    return 0;
}

/* The job is dropped before it began. If the store is being closed the record says that the scrub
 * is to continue, as for one that had begun. */
static void unclaim(struct state *p, void *arg, int err)
{
    struct scrub s = {.p = p};
    bool before;

    (void)arg;
    scrub_get(p, &s.safe, NULL);
    before = s.safe.running;
    s.safe.running = err == -ESHUTDOWN || (before && err != -ECANCELED);
    if (s.safe.running != before)
        save(&s, &s.safe);
    MUTEX_GUARD(&p->scrub->lock);
    p->scrub->record.running = s.safe.running;
    p->scrub->job = 0;
}

int scrub_start(struct state *p, const _Atomic bool *interrupted, uint64_t *ret_job)
{
    struct job *j;
    struct scrub_record r;
    uint64_t number;
    int err;

    scrub_get(p, &r, NULL);
    err = job_start(p, "scrub", r.phase == SCRUB_NONE ? "" : "resumed", &j);
    if (err < 0)
        return err;
    number = j->number;
    err = claim(p, number, ret_job);
    if (err < 0) {
        job_withdraw(p, j, err);
        return err;
    }
    err = job_run(p, j, &(struct job_work){.fn = scrub_job, .dropped = unclaim}, -1, interrupted);
    if (err < 0)
        return err;
    *ret_job = number;
    return 0;
}

void scrub_get(struct state *p, struct scrub_record *ret, bool *ret_running)
{
    MUTEX_GUARD(&p->scrub->lock);
    *ret = p->scrub->record;
    if (ret_running)
        *ret_running = p->scrub->job != 0;
}

bool scrub_found_damage(struct state *p)
{
    MUTEX_GUARD(&p->scrub->lock);
    const struct scrub_record *r = &p->scrub->record;

    return r->last.damaged || (r->phase != SCRUB_NONE && r->now.damaged);
}

void scrub_open(struct state *p)
{
    uint64_t job;
    int err = scrub_record_load(p->config.kv, &p->scrub->record);

    if (err < 0)
        report(REPORT_WARN,
               "what was remembered of the last scrub is lost (%s): the next one begins anew",
               err == -EUCLEAN ? "it is damaged" : strerror(-err));
    else if (p->scrub->record.running)
        err = scrub_start(p, NULL, &job);
    if (err < 0 && p->scrub->record.running)
        report(REPORT_NOTE, "scrub: it does not go on by itself (%s)", strerror(-err));
}
