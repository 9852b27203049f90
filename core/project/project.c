// SPDX-License-Identifier: Apache-2.0
/*
 * project: making, opening and closing one; the meta records (FORMAT.md, "Meta"):
 *
 *   "identity"  version, label, time, keys        identity.h
 *   "state"     next numbers, sequence, orphans   in every commit
 */
#include "move.h"
#include "pool_format.h"
#include "pool_node.h"
#include "lost_start.h"
#include "log_promise.h"
#include "project_impl.h"
#include "report.h"
#include "scrub.h"
#include "shard_packs.h"
#include "shards.h"
#include "sweep.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* Those that check themselves: FORMAT.md has a Sum in each of their values. */
const struct kv_table project_tables[TABLE_COUNT] = {
    [TABLE_META] = {.name = "meta", .checks_itself = true},
    [TABLE_PAGES] = {.name = "pages", .checks_itself = true},
    [TABLE_PAGE_COUNTS] = {.name = "page_counts"},
    [TABLE_OBJECTS] = {.name = "objects"},
    [TABLE_IDS] = {.name = "ids"},
    [TABLE_DYING] = {.name = "dying"},
    [TABLE_PACKS] = {.name = "packs"},
    [TABLE_NAMESPACES] = {.name = "namespaces", .checks_itself = true},
    [TABLE_PINS] = {.name = "pins"},
    [TABLE_DROPS] = {.name = "drops"},
    [TABLE_SETTINGS] = {.name = "settings"},
    [TABLE_GC] = {.name = "gc", .checks_itself = true},
    [TABLE_GHOSTS] = {.name = "ghosts"},
    [TABLE_SHARDS] = {.name = "shards", .checks_itself = true},
    [TABLE_SHARD_PACKS] = {.name = "shard_packs"},
};
const unsigned project_table_count = TABLE_COUNT;

int project_changed(struct project *p, struct ns *ns)
{
    uint64_t seq;
    int err = capture_emit(p, ns ? ns->number : 0, &seq);

    if (err == 0 && ns) {
        ns->seq = seq;
        ns->dirty = true;
    }
    return err;
}

int project_writable(struct project *p)
{
    if (atomic_load_explicit(&p->closing, memory_order_relaxed))
        return -ESHUTDOWN;
    return atomic_load_explicit(&p->readonly, memory_order_relaxed) ||
                   atomic_load_explicit(&p->unsettled, memory_order_relaxed)
               ? -EROFS
               : 0;
}

uint64_t project_seq(struct project *p)
{
    return atomic_load(&p->seq);
}
const char *project_label(struct project *p)
{
    return p->label;
}

void project_set_events(struct project *p, const struct project_events *events)
{
    if (events)
        p->events = *events;
    p->has_events = events != NULL;
}

void event_stale(struct project *p, uint64_t nodeid)
{
    if (p->has_events && p->events.stale)
        p->events.stale(p->events.ctx, nodeid);
}

void event_rights(struct project *p, uint64_t nodeid)
{
    if (p->has_events && p->events.rights)
        p->events.rights(p->events.ctx, nodeid);
}

void event_write_back(struct project *p, uint64_t nodeid)
{
    if (p->has_events && p->events.write_back)
        p->events.write_back(p->events.ctx, nodeid);
}

bool event_describe(struct project *p, struct view_edge *ret)
{
    if (!p->has_events || !p->events.describe)
        return false;
    p->events.describe(p->events.ctx, ret);
    return true;
}

void event_stop(struct project *p)
{
    if (p->has_events && p->events.stop)
        p->events.stop(p->events.ctx);
}

/* ---- the meta records ---- */

void state_encode(const struct state *s, uint8_t out[STATE_LEN])
{
    const uint64_t f[] = {s->seq,         s->next_page,   s->next_number, s->next_pack,
                          s->next_ns,     s->orphan_root, s->orphan_next, s->epoch,
                          s->log_segment, s->log_offset};

    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        put_le64(out + 8 + i * 8, f[i]);
    put_le64(out, id_checksum(out + 8, STATE_LEN - 8, 1));
}

int state_decode(const void *val, size_t len, struct state *ret)
{
    const uint8_t *v = val;

    if (len != STATE_LEN || get_le64(v) != id_checksum(v + 8, STATE_LEN - 8, 1))
        return -EUCLEAN;
    *ret = (struct state){get_le64(v + 8),  get_le64(v + 16), get_le64(v + 24), get_le64(v + 32),
                          get_le64(v + 40), get_le64(v + 48), get_le64(v + 56), get_le64(v + 64),
                          get_le64(v + 72), get_le64(v + 80)};
    return 0;
}

void state_freeze(struct project *p, const struct log_pos *pos, uint8_t out[STATE_LEN])
{
    struct state s = {.seq = atomic_load(&p->seq),
                      .epoch = p->epoch,
                      .log_segment = pos->segment,
                      .log_offset = pos->offset,
                      .next_page = pages_next(p->pages),
                      .next_number = refs_next(p->refs),
                      .next_pack = packs_next(p->packs),
                      .next_ns = p->names.next,
                      .orphan_root = p->orphans.tree.root,
                      .orphan_next = p->orphans.next_ino};

    rwlock_held_write(&p->gate);
    state_encode(&s, out);
}

/* ---- settings ---- */

int settings_set(struct project *p, enum setting which, int64_t value)
{
    CHANGE_ROOM(room);
    int err = change_room(p, 0, &room);

    if (err < 0)
        return err;
    CHANGE_GUARD(p);
    MUTEX_GUARD(&p->settings_lock);
    err = map64_put(&p->settings_changed, (uint64_t)which + 1, (uint64_t)value);
    if (err < 0)
        return err;
    capture_op(p, &(struct op){.kind = OP_SETTING,
                               .a = (uint64_t)value,
                               .data = setting_infos[which].key,
                               .len = strlen(setting_infos[which].key)});
    err = project_changed(p, NULL);
    settings_put(&p->settings, which, value);
    return err;
}

/* What the log names is where the pin stands, so that replaying it does not depend on what was an
 * alias then. The names lock keeps the frames of two of these in order. */
int project_pin(struct project *p, uint64_t number, bool pin)
{
    CHANGE_ROOM(room);
    struct op op = {.kind = pin ? OP_PIN : OP_UNPIN};
    int err = change_room(p, 0, &room);

    if (err < 0)
        return err;
    CHANGE_GUARD(p);
    WRITE_GUARD(&p->names.lock);
    op.number = refs_pin_place(p->refs, number);
    err = pin ? refs_pin(p->refs, number) : refs_unpin(p->refs, number);
    if (err < 0)
        return err;
    capture_op(p, &op);
    return project_changed(p, NULL);
}

/* All that was ever set in this life goes into each commit: a handful of records. */
int settings_write(struct project *p, struct kv_txn *t)
{
    uint64_t which, value;
    size_t at = 0;
    int err = 0;
    MUTEX_GUARD(&p->settings_lock);

    while (err == 0 && map64_next(&p->settings_changed, &at, &which, &value)) {
        const char *key = setting_infos[which - 1].key;
        uint8_t buf[8];
        put_le64(buf, value);
        err = kv_put(t, TABLE_SETTINGS, key, strlen(key), buf, sizeof buf);
    }
    return err;
}

static int setting_of(const char *key, size_t len)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strlen(setting_infos[i].key) == len && memcmp(setting_infos[i].key, key, len) == 0)
            return i;
    return -EUCLEAN;
}

int settings_restore(struct project *p, const char *key, size_t len, int64_t value)
{
    int which = setting_of(key, len);
    int err = which < 0 ? which
              : value >= setting_infos[which].min && value <= setting_infos[which].max ? 0
                                                                                       : -EUCLEAN;
    MUTEX_GUARD(&p->settings_lock);

    if (err == 0)
        err = map64_put(&p->settings_changed, (uint64_t)which + 1, (uint64_t)value);
    if (err == 0)
        settings_put(&p->settings, (enum setting)which, value);
    return err;
}

int settings_load(struct project *p)
{
    settings_init(&p->settings);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *info = &setting_infos[i];
        uint8_t buf[8];
        size_t len;
        int64_t value;
        int err = kv_get(p->config.kv, TABLE_SETTINGS, info->key, strlen(info->key), buf, 8, &len);
        if (err == -ENOENT)
            continue;
        if (err < 0 && err != -ERANGE && err != -EUCLEAN)
            return err;
        value = err == 0 && len == 8 ? (int64_t)get_le64(buf) : info->min - 1;
        if (value < info->min || value > info->max) {
            report(REPORT_WARN, "setting %s is stored damaged: using its default", info->key);
            continue;
        }
        settings_put(&p->settings, (enum setting)i, value);
    }
    return 0;
}

/* ---- making one ---- */

#define FORMAT_LOG (1u << 20) /* bytes of the log's segment while a project is made */

static int put_identity(struct kv *kv, const struct identity *identity)
{
    struct state s = {.epoch = 1,
                      .next_page = 1,
                      .next_number = 1,
                      .next_pack = 1,
                      .next_ns = 1,
                      .orphan_next = 1};
    uint8_t id[IDENTITY_LEN], state[STATE_LEN];
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    if (err < 0)
        return err;
    identity_encode(identity, id);
    state_encode(&s, state);
    err = kv_put(t, TABLE_META, "identity", 8, id, sizeof id);
    if (err == 0)
        err = kv_put(t, TABLE_META, "state", 5, state, sizeof state);
    if (err < 0) {
        kv_abort(t);
        return err;
    }
    return kv_commit(t);
}

static int make_main(struct project *p, const struct vfs_cred *cred)
{
    CHANGE_ROOM(room);
    int err = change_room(p, 0, &room);

    if (err < 0)
        return err;
    CHANGE_GUARD(p);
    return ns_create(p, "main", 0755, cred);
}

static int format(struct disk *disk, struct kv *kv, const struct clock *clock,
                  struct identity *identity, const struct vfs_cred *cred)
{
    struct project_config config = {
        .disk = disk, .kv = kv, .clock = clock, .threads = 1, .log_segment = FORMAT_LOG};
    struct project *p;
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
        err = project_open(&config, &p);
    if (err < 0)
        return err;
    err = make_main(p, cred);
    if (err == 0)
        return project_close(p);
    project_abandon(p);
    return err;
}

int project_format_node(struct disk *disk, struct kv *kv, const struct clock *clock,
                        const char *label, uint32_t uid, uint32_t gid, const struct id_key *key)
{
    struct identity identity;
    int err = identity_make(label, clock_now(clock), key, &identity);

    if (err < 0)
        return err;
    return format(disk, kv, clock, &identity, &(struct vfs_cred){.uid = uid, .gid = gid});
}

int project_format(struct disk *disk, struct kv *kv, const struct clock *clock, const char *label,
                   uint32_t uid, uint32_t gid)
{
    return project_format_node(disk, kv, clock, label, uid, gid, NULL);
}

/* ---- opening ---- */

static int read_meta(struct project *p, struct state *ret_state)
{
    uint8_t buf[STATE_LEN];
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
        err = state_decode(buf, len, ret_state);
    return err == -ENOENT || err == -ERANGE ? -EUCLEAN : err;
}

/* Numbers of packs, too, are given in a life of the store's own. */
static uint64_t next_pack(const struct project *p, const struct state *s)
{
    return p->shared ? pool_number(p->shared->node, p->shared->life, 1) : s->next_pack;
}

void project_store_id(const uint8_t secret[ID_SECRET_LEN], int64_t created, unsigned node,
                      uint8_t ret[16])
{
    uint8_t text[ID_SECRET_LEN + 16] = {0};

    memcpy(text, secret, ID_SECRET_LEN);
    put_le64(text + ID_SECRET_LEN, (uint64_t)created);
    put_le64(text + ID_SECRET_LEN + 8, node);
    put_le64(ret, id_checksum(text, sizeof text, 2));
    put_le64(ret + 8, id_checksum(text, sizeof text, 3));
}

/* A damaged record is one shard that cannot be asked; the others can. */
static int open_shards(struct project *p)
{
    struct shards_config config = {
        .kv = p->config.kv, .table = TABLE_SHARDS, .clock = p->clock,
        .foreign = disk_is_foreign(p->config.disk)};
    int err;

    project_store_id(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, config.store);
    err = shards_open(&config, &p->shards);
    return err == -EUCLEAN && p->shards ? 0 : err;
}

static int open_objects(struct project *p)
{
    struct objects_config config = {.disk = p->config.disk,
                                    .packs = p->packs,
                                    .shards = p->shards,
                                    .shard_packs = p->shard_packs,
                                    .clock = p->clock,
                                    .refs = p->refs,
                                    .key = &p->id_key};
    struct objects_pool pool = {.find = pool_node_find, .ctx = p};

    if (p->shared) {
        pool.prefix = pool_number(p->shared->node, p->shared->life, 0);
        config.pool = &pool;
    }
    return objects_open(&config, &p->objects);
}

static void page_cache_set(void *ctx, int64_t value)
{
    struct project *p = ctx;

    pages_set_cache(p->pages, (size_t)value);
}

static void pack_size_set(void *ctx, int64_t value)
{
    struct project *p = ctx;

    packs_set_size(p->packs, (uint64_t)value);
}

static int open_floors(struct project *p, const struct state *s)
{
    static const struct refs_tables tables = {TABLE_OBJECTS, TABLE_IDS, TABLE_DYING, TABLE_PINS,
                                               TABLE_GHOSTS};
    struct kv *kv = p->config.kv;
    size_t cache = (size_t)settings_get(&p->settings, SET_PAGE_CACHE);
    int err = pages_open(kv, TABLE_PAGES, TABLE_PAGE_COUNTS, s->next_page, cache, &p->pages);

    if (err == 0)
        err = refs_open(kv, &tables, &p->id_key, s->next_number, &p->refs);
    if (err == 0)
        err = lost_start_packs(p, next_pack(p, s));
    if (err == 0)
        err = packs_open(p->config.disk, kv, TABLE_PACKS, next_pack(p, s), &p->packs);
    if (err == 0)
        err = shard_packs_open(kv, TABLE_SHARD_PACKS, &p->shard_packs);
    if (err == 0)
        err = open_shards(p);
    if (err < 0)
        return err;
    packs_set_size(p->packs, (uint64_t)settings_get(&p->settings, SET_PACK_SIZE));
    settings_watch(&p->settings, SET_PAGE_CACHE, page_cache_set, p);
    settings_watch(&p->settings, SET_PACK_SIZE, pack_size_set, p);
    err = open_objects(p);
    if (err == 0)
        atomic_store(&p->moving.any, refs_ghosts(p->refs) > 0);
    if (err == 0)
        err = drops_open(kv, TABLE_DROPS, p->pages, p->refs, &p->drops);
    return err;
}

/* A job failed and nobody could handle it. */
static void on_fatal_job(void *ctx, const char *name, int err)
{
    project_turn_readonly(ctx, name, err);
}

/* One worker more than there may be jobs in flight: the pool keeps it for urgent ones. */
static unsigned workers(int64_t jobs)
{
    if (jobs == 0)
        jobs = sysconf(_SC_NPROCESSORS_ONLN);
    return jobs < 1 ? 2 : jobs > 255 ? 256 : (unsigned)jobs + 1;
}

static void say_kept(const char *setting, int err)
{
    if (err < 0)
        report(REPORT_WARN, "%s stays as it is until the next mount (%s)", setting, strerror(-err));
}

static void in_flight_set(void *ctx, int64_t value)
{
    struct project *p = ctx;

    say_kept("max_in_flight_jobs", pool_set_threads(p->pool, workers(value)));
}

static void enqueued_set(void *ctx, int64_t value)
{
    struct project *p = ctx;

    say_kept("max_enqueued_jobs", pool_set_queue(p->pool, (size_t)value));
}

static int open_pool(struct project *p)
{
    int64_t jobs = p->config.threads;
    struct pool_config config = {
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
    config.threads = workers(jobs);
    return pool_open(&config, &p->pool);
}

static void init_locks(struct project *p)
{
    rwlock_init(&p->gate, "gate");
    rwlock_init(&p->names.lock, "names");
    rwlock_init(&p->orphans.lock, "orphans");
    mutex_init(&p->vnodes.lock, "inodes");
    natives_init(p);
    flush_know_limits(p);
    mutex_init(&p->gone.lock, "gone");
    mutex_init(&p->contents.lock, "contents");
    TAILQ_INIT(&p->contents.dirty);
    mutex_init(&p->settings_lock, "settings");
    mutex_init(&p->last_reply_lock, "last reply");
    durable_init(p);
    mutex_init(&p->flush.lock, "flush");
    mutex_init(&p->flush.run, "flush run");
    mutex_init(&p->flush.bury, "bury");
    mutex_init(&p->flush.seal, "seal");
    cond_init(&p->flush.wake);
    cond_init(&p->flush.done);
    stuck_init(p);
    mutex_init(&p->jobs.lock, "jobs");
    mutex_init(&p->scrub.lock, "scrub");
    mutex_init(&p->moving.lock, "move");
    cond_init(&p->moving.changed);
    mutex_init(&p->releasing.lock, "release");
    mutex_init(&p->shards_thread.lock, "shards thread");
    cond_init(&p->shards_thread.wake);
    cond_init(&p->shards_thread.look);
    cond_init(&p->shards_thread.looked);
    mutex_init(&p->touches.lock, "touches");
    mutex_init(&p->sweep.lock, "sweep");
    mutex_init(&p->met.lock, "met");
    cond_init(&p->jobs.changed);
    p->jobs.next = 1;
    p->scrub.lines = (struct strbuf)STRBUF_INIT;
}

int project_open(const struct project_config *config, struct project **ret_p)
{
    struct project *p = calloc(1, sizeof *p);
    struct state s;
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
    p->opened = ticks(p);
    init_locks(p);
    err = read_meta(p, &s);
    if (err == 0)
        err = settings_load(p);
    if (err == 0)
        err = pool_node_open(p);
    if (err == 0)
        err = open_floors(p, &s);
    if (err == 0)
        err = open_pool(p);
    if (err == 0)
        err = flush_open(p);
    if (err == 0) {
        atomic_store(&p->seq, s.seq);
        p->flush.durable_seq = s.seq;
        p->names.next = (uint32_t)s.next_ns;
        err = ns_table_load(p);
    }
    if (err == 0)
        err = project_recover(p, &s);
    if (err == 0)
        err = project_gc_open(p);
    if (err == 0)
        err = sweep_open(p);
    if (err == 0)
        jobs_resume(p);
    if (err == 0) {
        compact_watch(p);
        shards_thread_watch(p);
    }
    if (err == 0 && config->background)
        err = flush_start_threads(p);
    if (err == 0)
        project_settle(p);
    if (err == 0 && config->background)
        err = pool_node_start(p);
    if (err == 0 && config->background)
        err = shards_thread_start(p);
    if (err < 0) {
        project_abandon(p);
        return err;
    }
    scrub_open(p);
    *ret_p = p;
    return 0;
}

/* ---- closing ---- */

void project_abandon(struct project *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    shards_thread_stop(p);
    pool_node_stop(p);
    flush_stop_threads(p);
    jobs_release(p);
    pool_node_close(p);
    gc_destroy(p->gc.gc);
    pool_destroy(p->pool);
    flush_release(p);
    contents_release(p);
    natives_release(p);
    gone_release(p);
    ns_table_release(p);
    drops_close(p->drops);
    log_close(p->log);
    objects_close(p->objects);
    shards_close(p->shards);
    shard_packs_close(p->shard_packs);
    packs_close(p->packs);
    refs_close(p->refs);
    pages_close(p->pages);
    map64_release(&p->settings_changed);
    touches_release(p);
    stuck_release(p);
    strbuf_release(&p->scrub.lines);
    met_release(p);
    free(p->last_reply);
    free(p);
}

int project_close(struct project *p)
{
    return project_close_told(p, NULL);
}

int project_close_told(struct project *p, struct strbuf *why)
{
    int err;

    if (!p)
        return 0;
    atomic_store(&p->closing, true);
    shards_thread_stop(p);
    pool_node_stop(p);
    jobs_release(p);
    flush_stop_threads(p);
    err = project_drain(p, false, -1, NULL);
    if (err < 0 && why)
        project_describe_failure(p, err, why);
    if (err == 0) { /* the commit has all of it */
        pool_node_leave(p);
        sweep_close(p);
        log_close(p->log);
        p->log = NULL;
        err = atomic_load(&p->promised) ? log_promise_clear(p->config.kv) : 0;
        if (err == 0)
            err = log_remove(p->config.disk);
    }
    project_abandon(p);
    return err;
}
