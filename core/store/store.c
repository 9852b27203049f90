// SPDX-License-Identifier: Apache-2.0
/*
 * store: makes, opens and closes a store. The meta records (FORMAT.md, "Meta"):
 *
 *   "identity"  version, label, time, keys        identity.h
 *   "state"     next numbers, sequence, orphans   in every commit
 */
#include "cache.h"
#include "kept.h"
#include "latency.h"
#include "member_hooks.h"
#include "move.h"
#include "pool_format.h"
#include "pool_node.h"
#include "profile.h"
#include "lost_start.h"
#include "log_promise.h"
#include "shards_thread.h"
#include "stored_record.h"
#include "store_impl.h"
#include "report.h"
#include "schedule.h"
#include "scrub.h"
#include "shards.h"
#include "sweep.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- making one ---- */

#define FORMAT_LOG (1u << 20) /* bytes of a segment of the log while a store is made */

/* Writes the two meta records of an empty store in one transaction: a store that has the identity
 * has both. */
static int put_identity(struct kv *kv, const struct identity *identity)
{
    struct store_record s = {.epoch = 1,
                             .next_page = 1,
                             .next_number = 1,
                             .next_pack = 1,
                             .next_ns = 1,
                             .orphan_next = 1,
                             .next_ino = NS_ROOT_INO + 1};
    uint8_t id[IDENTITY_LEN], state[STORE_RECORD_LEN];
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    if (err < 0)
        return err;
    identity_encode(identity, id);
    store_record_encode(&s, state);
    err = kv_put(t, TABLE_META, "identity", 8, id, sizeof id);
    if (err == 0)
        err = kv_put(t, TABLE_META, "state", 5, state, sizeof state);
    return kv_end(t, err);
}

/* Makes the namespace "main". */
static int make_main(struct state *p, const struct vfs_cred *cred)
{
    TXN(t);
    int err = txn_begin(p, 0, &t);

    return err < 0 ? err : ns_create(&t, "main", 0755, cred);
}

/* Makes the directories and records, and then opens the store to make "main" by an ordinary
 * change. */
static int format(struct disk *disk, struct kv *kv, const struct clock *clock,
                  struct identity *identity, const struct vfs_cred *cred)
{
    struct state_config config = {
        .disk = disk, .kv = kv, .clock = clock, .threads = 1, .log_segment = FORMAT_LOG};
    struct state *p;
    uint8_t none[1];
    size_t len;
    int err = kv_get(kv, TABLE_META, "identity", 8, none, sizeof none, &len);

    if (err != -ENOENT)
        return err == 0 || err == -ERANGE ? -EEXIST : err;
    err = blob_init(disk);
    if (err == 0)
        err = disk_mkdir(disk, "packs");
    if (err == 0)
        err = disk_sync_dir(disk, "");
    if (err == 0)
        err = put_identity(kv, identity);
    if (err == 0)
        err = store_open(&config, &p);
    if (err < 0)
        return err;
    err = make_main(p, cred);
    if (err == 0)
        return store_close(p);
    store_abandon(p);
    return err;
}

int store_format(struct disk *disk, struct kv *kv, const struct clock *clock, const char *label,
                 uint32_t uid, uint32_t gid, const struct id_key *key)
{
    struct identity identity;
    int err = identity_make(label, clock_now(clock), key, &identity);

    if (err < 0)
        return err;
    return format(disk, kv, clock, &identity, &(struct vfs_cred){.uid = uid, .gid = gid});
}

/* ---- what rooms do for those below ---- */

static int locate_job(struct state *p, struct job *j, void *arg)
{
    (void)j;
    (void)arg;
    return met_tell(p);
}

/* The job "locate" was cancelled before it began. The next damage that is met begins another
 * one. */
static void not_located(struct state *p, void *arg, int err)
{
    (void)arg;
    (void)err;
    MUTEX_GUARD(&p->met.lock);
    p->met.telling = false;
}

static int locate_damage(struct state *p)
{
    return job_try(p, "locate", "", &(struct job_work){.fn = locate_job, .dropped = not_located});
}

static const struct state_hooks state_hooks = {
    .flush = flush_now,
    .kick = flush_kick,
    .kick_drops = flush_kick_drops,
    .locate_damage = locate_damage,
    .has_damage = scrub_found_damage,
};

static const struct member_hooks member_hooks = {.looked = compact_look_at_pool};

static void release_ghosts(struct state *p)
{
    uint64_t left;

    (void)release_pass(p, 0, &left);
}

static uint64_t ghosts_released(struct state *p)
{
    return atomic_load(&p->releasing->released);
}

static int expire_job(struct state *p, struct job *j, void *arg)
{
    (void)j;
    (void)arg;
    schedule_run(p);
    kept_expire(p);
    kept_weigh(p);
    return 0;
}

/* What namespaces do by the clock is done in a job, and so is letting go what is kept for a while,
 * since both may wait for a flush. */
static void flushed(struct state *p)
{
    compact_if_due(p);
    if (!atomic_load(&p->closing) && !atomic_load(&p->readonly) &&
        (kept_is_due(p) || schedule_is_due(p) || kept_weigh_is_due(p)))
        (void)job_try(p, "expire", "", &(struct job_work){.fn = expire_job, .alone = true});
}

static const struct flush_hooks flush_hooks = {
    .drops_done = jobs_drops_done,
    .drained = pool_node_drained,
    .refresh_pool = pool_node_refresh,
    .give_back = kept_give_back,
    .flushed = flushed,
    .release_ghosts = release_ghosts,
    .ghosts_released = ghosts_released,
    .dead_ghosts = shards_thread_kick,
    .ghost_purged = sweep_note_purged,
};

/* ---- opening ---- */

/* Reads both meta records. A store whose key differs from that of its pool is not a member of it:
 * -EXDEV. */
static int read_meta(struct state *p, struct store_record *ret_state)
{
    uint8_t buf[STORE_RECORD_LEN];
    struct identity id;
    size_t len;
    int err = identity_load(p->config.kv, &id);

    if (err < 0)
        return err;
    p->created = id.created;
    memcpy(p->label, id.label, sizeof p->label);
    p->id_key = id.key;
    p->id_key.fold = p->config.fold;
    p->name_key = id.names;
    p->cookie_key = id.cookies;
    if (p->shared && !id_key_equal(&id.key, &p->shared->key))
        return -EXDEV;
    err = kv_get(p->config.kv, TABLE_META, "state", 5, buf, sizeof buf, &len);
    if (err == 0)
        err = store_record_decode(buf, len, ret_state);
    return err == -ENOENT || err == -ERANGE ? -EUCLEAN : err;
}

/* The next number of a pack. In a pool numbers begin anew with each incarnation, so that they are
 * never given twice. */
static uint64_t next_pack(const struct state *p, const struct store_record *s)
{
    return p->shared ? pool_number(p->shared->node, p->shared->incarnation, 1) : s->next_pack;
}

static void shard_cache_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    cache_set_limit(p->cache, (uint64_t)value);
}

/* Opens the cache of shards, if the store has a place for it. */
static int open_cache(struct state *p)
{
    struct cache_config config = {.disk = p->config.cache,
                                  .clock = p->clock,
                                  .limit = (uint64_t)settings_get(&p->settings, SET_SHARD_CACHE)};
    int err = config.disk ? cache_open(&config, &p->cache) : 0;

    if (err == 0 && p->cache)
        settings_watch(&p->settings, SET_SHARD_CACHE, shard_cache_set, p);
    return err;
}

/* Opens the shards. A damaged record of one shard means that this shard cannot be asked; the others
 * can, so that is no error. */
static int open_shards(struct state *p)
{
    struct shards_config config = {.kv = p->config.kv,
                                   .table = TABLE_SHARDS,
                                   .clock = p->clock,
                                   .cache = p->cache,
                                   .foreign = disk_is_foreign(p->config.disk)};
    int err;

    store_id_of(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, config.store);
    err = shards_open(&config, &p->shards);
    return err == -EUCLEAN && p->shards ? 0 : err;
}

/* Opens the objects. In a pool they ask the node where the pool has bytes, and number their files
 * within this incarnation. */
static int open_objects(struct state *p)
{
    struct objects_config config = {.disk = p->config.disk,
                                    .packs = p->packs,
                                    .shards = p->shards,
                                    .clock = p->clock,
                                    .refs = p->refs,
                                    .key = &p->id_key};
    struct objects_pool pool = {.find = pool_node_find, .ctx = p};

    if (p->shared) {
        pool.prefix = pool_number(p->shared->node, p->shared->incarnation, 0);
        config.pool = &pool;
    }
    return objects_open(&config, &p->objects);
}

static void page_cache_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    pages_set_cache(p->pages, (size_t)value);
}

static void pack_size_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    packs_set_size(p->packs, (uint64_t)value);
}

/* Tells refs how many bytes the last commit has stored. An older version, and a repair, do not say
 * it. */
static int begin_stored(struct state *p)
{
    struct stored_record s;
    struct refs_sums sums;
    int err = stored_record_load(p->config.kv, &s);

    if (err < 0)
        return err == -ENOENT ? refs_begin_stored(p->refs, NULL) : err;
    sums = (struct refs_sums){.stored = s.bytes, .saved = s.saved};
    return refs_begin_stored(p->refs, &sums);
}

/* Opens the tables of pages, refs, packs, shards, objects and drops, each after those that it
 * stands on. */
static int open_floors(struct state *p, const struct store_record *s)
{
    static const struct refs_tables tables = {TABLE_OBJECTS, TABLE_IDS, TABLE_DYING, TABLE_PINS,
                                              TABLE_GHOSTS};
    struct kv *kv = p->config.kv;
    size_t cache = (size_t)settings_get(&p->settings, SET_PAGE_CACHE);
    int err = pages_open(kv, TABLE_PAGES, TABLE_PAGE_COUNTS, s->next_page, cache, &p->pages);

    if (err == 0)
        err = refs_open(kv, &tables, &p->id_key, s->next_number, &p->refs);
    if (err == 0)
        err = begin_stored(p);
    if (err == 0)
        err = archived_open(kv, TABLE_ARCHIVED, &p->archived);
    if (err == 0)
        err = lost_start_packs(p, next_pack(p, s));
    if (err == 0)
        err = packs_open(p->config.disk, kv, TABLE_PACKS, TABLE_SHARD_PACKS, next_pack(p, s),
                         lost_start_keep, p, &p->packs);
    if (err == 0)
        err = open_cache(p);
    if (err == 0)
        err = open_shards(p);
    if (err < 0)
        return err;
    packs_set_size(p->packs, (uint64_t)settings_get(&p->settings, SET_PACK_SIZE));
    settings_watch(&p->settings, SET_PAGE_CACHE, page_cache_set, p);
    settings_watch(&p->settings, SET_PACK_SIZE, pack_size_set, p);
    err = open_objects(p);
    if (err == 0)
        atomic_store(&p->has_ghosts, refs_ghosts(p->refs) > 0 || disk_is_whole(p->config.disk));
    if (err == 0)
        err = drops_open(kv, TABLE_DROPS, p->pages, p->refs, &p->drops);
    return err;
}

/* A job failed with an error that nothing can handle: the store turns read-only. */
static void on_fatal_job(void *ctx, const char *name, int err)
{
    state_turn_readonly(ctx, name, err);
}

#define JOBS_AT_LEAST 4 /* threads for jobs where the setting is 0 */

/* The number of threads for a setting. It is one more than may be in flight: for short work one is
 * kept for urgent work, and for long work one for drains. 0 means one per CPU. That is too few for
 * jobs on a machine with few CPUs: a scrub that takes days would keep the others waiting. So it is
 * `at_least`. */
static unsigned workers(int64_t setting, int64_t at_least)
{
    int64_t n = setting ? setting : sysconf(_SC_NPROCESSORS_ONLN);

    if (setting == 0 && n < at_least)
        n = at_least;
    return n > 255 ? 256 : (unsigned)n + 1;
}

/* Reports that a setting could not be changed. */
static void say_kept(const char *setting, int err)
{
    if (err < 0)
        report(REPORT_WARN, "%s stays as it is until the next mount (%s)", setting, strerror(-err));
}

static void in_flight_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    say_kept("max_in_flight_jobs",
             workers_set_threads(p->workers, workers(value, 1), workers(value, JOBS_AT_LEAST)));
}

static void enqueued_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    say_kept("max_enqueued_jobs", workers_set_queue(p->workers, (size_t)value));
}

/* Starts the workers. A number of threads in the configuration (tests) overrules the setting. */
static int open_workers(struct state *p)
{
    int64_t jobs = p->config.threads;
    struct workers_config config = {
        .queue = (size_t)settings_get(&p->settings, SET_MAX_ENQUEUED_JOBS),
        .fatal = on_fatal_job,
        .ctx = p,
        .clock = p->clock,
    };

    settings_watch(&p->settings, SET_MAX_ENQUEUED_JOBS, enqueued_set, p);
    if (jobs == 0) {
        jobs = settings_get(&p->settings, SET_MAX_IN_FLIGHT_JOBS);
        settings_watch(&p->settings, SET_MAX_IN_FLIGHT_JOBS, in_flight_set, p);
    }
    config.threads = workers(jobs, 1);
    config.long_threads = workers(jobs, JOBS_AT_LEAST);
    return workers_open(&config, &p->workers);
}

/* Initialises all locks and lists of a store, before anything else of it is used. The names are
 * those of the lock table (state.h). */
static void init_locks(struct state *p)
{
    rwlock_init(&p->freeze_lock, "freeze");
    rwlock_init(&p->names.lock, "names");
    history_init(&p->history);
    growth_init(&p->growth);
    rwlock_init(&p->orphans.lock, "orphans");
    mutex_init(&p->vnodes.lock, "inodes");
    passthrough_table_init(p);
    flush_know_limits(p);
    mutex_init(&p->forgotten.lock, "forgotten attrs");
    mutex_init(&p->contents.lock, "contents");
    TAILQ_INIT(&p->contents.dirty);
    mutex_init(&p->settings_lock, "settings");
    mutex_init(&p->events_lock, "events");
    mutex_init(&p->compression_lock, "compression");
    cond_init(&p->events_left);
    mutex_init(&p->control->last_reply_lock, "last reply");
    parked_init(p->imports);
    durable_init(p);
    mutex_init(&p->flush->lock, "flush");
    mutex_init(&p->flush->run, "flush run");
    mutex_init(&p->flush->reclaim_dead, "reclaim dead");
    mutex_init(&p->flush->seal, "seal");
    cond_init(&p->flush->wake);
    cond_init(&p->flush->done);
    mutex_init(&p->jobs->lock, "jobs");
    mutex_init(&p->scrub->lock, "scrub");
    mutex_init(&p->moving->lock, "move");
    cond_init(&p->moving->changed);
    mutex_init(&p->releasing->lock, "release");
    mutex_init(&p->shards_thread->lock, "shards thread");
    cond_init(&p->shards_thread->wake);
    cond_init(&p->shards_thread->look);
    cond_init(&p->shards_thread->looked);
    mutex_init(&p->blames.lock, "blame");
    mutex_init(&p->lastuse.lock, "lastuse");
    mutex_init(&p->sweep->lock, "sweep");
    mutex_init(&p->ship->change, "ship change");
    rwlock_init(&p->ship->lock, "ship list");
    mutex_init(&p->follow->lock, "follow");
    mutex_init(&p->follow->stats_lock, "follow stats");
    cond_init(&p->follow->wake);
    aheads_init(p->aheads);
    mutex_init(&p->met.lock, "met");
    cond_init(&p->jobs->changed);
    p->jobs->next = 1;
}

/* Allocates a store with its parts. The state is its first member, so freeing the state frees
 * all. */
static struct state *alloc(void)
{
    struct store *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->state.flush = &s->flush;
    s->state.durable = &s->durable;
    s->state.slots_left = &s->slots_left;
    s->state.jobs = &s->jobs;
    s->state.scrub = &s->scrub;
    s->state.gc = &s->gc;
    s->state.compacting = &s->compacting;
    s->state.moving = &s->moving;
    s->state.releasing = &s->releasing;
    s->state.shards_thread = &s->shards_thread;
    s->state.sweep = &s->sweep;
    s->state.aheads = &s->aheads;
    s->state.imports = &s->imports;
    s->state.control = &s->control;
    s->state.ship = &s->ship;
    s->state.follow = &s->follow;
    return &s->state;
}

static int open_latency(struct state *p)
{
    p->latency = latency_new();
    p->profile = profile_new(p->clock);
    return p->latency && p->profile ? 0 : -ENOMEM;
}

/* The order is that of dependencies: tables, workers and flush, the committed state, the log, and
 * only then threads. recover_settle commits what was replayed before any thread may change
 * something. */
int store_open(const struct state_config *config, struct state **ret_p)
{
    struct state *p = alloc();
    struct store_record s;
    int err;

    if (!p)
        return -ENOMEM;
    p->config = *config;
    if (config->pool) {
        p->shared_pool = *config->pool;
        p->config.pool = p->shared = &p->shared_pool;
    }
    p->clock = config->clock;
    atomic_store(&p->atime, config->atime);
    atomic_store(&p->compresses, config->compression.on);
    p->hooks = &state_hooks;
    p->member_hooks = &member_hooks;
    p->flush->hooks = &flush_hooks;
    p->opened = ticks(p);
    init_locks(p);
    err = open_latency(p);
    if (err == 0)
        err = read_meta(p, &s);
    if (err == 0)
        err = settings_load(p);
    if (err == 0)
        err = pool_node_open(p);
    if (err == 0)
        err = open_floors(p, &s);
    if (err == 0)
        err = open_workers(p);
    if (err == 0)
        err = flush_open(p);
    if (err == 0) {
        atomic_store(&p->seq, s.seq);
        p->flush->durable_seq = s.seq;
        p->names.next = (uint32_t)s.next_ns;
        atomic_store(&p->next_ino, s.next_ino > NS_ROOT_INO ? s.next_ino : NS_ROOT_INO + 1);
        err = ns_table_load(p);
    }
    if (err == 0)
        err = history_load(&p->history, p->config.kv);
    if (err == 0)
        err = growth_load(&p->growth, p->config.kv);
    if (err == 0)
        err = recover_state(p, &s);
    if (err == 0)
        err = gc_store_open(p);
    if (err == 0)
        err = sweep_open(p);
    if (err == 0)
        err = ship_open(p);
    if (err == 0)
        err = follow_open(p);
    if (err == 0)
        jobs_resume(p);
    if (err == 0) {
        compact_watch(p);
        shards_thread_watch(p);
    }
    if (err == 0 && config->background)
        err = flush_start_threads(p);
    if (err == 0)
        recover_settle(p);
    if (err == 0 && config->background)
        err = pool_node_start(p);
    if (err == 0 && config->background)
        err = shards_thread_start(p);
    if (err == 0 && config->background)
        err = ship_start(p);
    if (err == 0 && config->background && config->follow && atomic_load(&p->follows))
        err = follow_start(p);
    if (err < 0) {
        store_abandon(p);
        return err;
    }
    scrub_open(p);
    *ret_p = p;
    return 0;
}

/* ---- closing ---- */

/* Stops all threads before it frees anything that they use, and frees higher parts before lower
 * ones. */
void store_abandon(struct state *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    shards_hurry(p);
    follow_stop(p);
    ship_stop(p, false);
    shards_thread_stop(p);
    pool_node_stop(p);
    aheads_stop(p);
    flush_stop_threads(p);
    jobs_release(p);
    pool_node_close(p);
    gc_destroy(p->gc->gc);
    workers_destroy(p->workers);
    follow_close(p);
    ship_close(p);
    flush_release(p);
    contents_release(p);
    replay_slots_release(&p->slots_left->slots);
    passthrough_table_release(p);
    forgotten_attrs_release(p);
    ns_table_release(p);
    history_release(&p->history);
    growth_release(&p->growth);
    drops_close(p->drops);
    log_close(p->log);
    objects_close(p->objects);
    shards_close(p->shards);
    cache_close(p->cache);
    map64_release(&p->releasing->told);
    map64_release(&p->compacting->damaged);
    shard_set_patience(settings_get(&p->settings, SET_SHARD_PATIENCE));
    packs_close(p->packs);
    archived_close(p->archived);
    refs_close(p->refs);
    pages_close(p->pages);
    map64_release(&p->settings_changed);
    lastuse_release(p);
    met_release(p);
    free(p->control->last_reply);
    free(atomic_load(&p->spare));
    profile_free(p->profile);
    latency_free(p->latency);
    free(p);
}

int store_close(struct state *p)
{
    return store_close_told(p, NULL);
}

/* The last flush failed: says what it lacks. */
static void tell_unflushed(struct state *p, int err, struct strbuf *why)
{
    strbuf_adds(why, "the last flush failed, so its changes are in the log at most: ");
    blame_describe(p, err, why);
}

/* Removes the log, as the last commit has everything. */
static int remove_log(struct state *p, struct strbuf *why)
{
    int err;

    log_close(p->log);
    p->log = NULL;
    err = atomic_load(&p->promised) ? log_promise_clear(p->config.kv) : 0;
    if (err == 0)
        err = log_remove(p->config.disk);
    if (err < 0 && why)
        strbuf_addf(why,
                    "everything is committed, but the log could not be removed (%s): the next "
                    "mount reads it",
                    strerror(-err));
    return err;
}

int store_close_told(struct state *p, struct strbuf *why)
{
    int err;

    if (!p)
        return 0;
    shards_hurry(p);
    follow_stop(p);
    ship_stop(p, true); /* while changes can be made: points are changes */
    atomic_store(&p->closing, true);
    shards_thread_stop(p);
    pool_node_stop(p);
    jobs_release(p);
    flush_stop_threads(p);
    err = flush_drain(p, false, -1, NULL);
    if (err < 0 && why)
        tell_unflushed(p, err, why);
    if (err == 0) {
        pool_node_leave(p);
        sweep_close(p);
        err = remove_log(p, why);
    }
    store_abandon(p);
    return err;
}
