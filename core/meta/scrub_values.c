// SPDX-License-Identifier: Apache-2.0
/* scrub_values: see the header. */
#include "scrub_values.h"
#include "bytes.h"
#include "flush_names.h"
#include "gc_record.h"
#include "identity.h"
#include "log_promise.h"
#include "node.h"
#include "ns_record.h"
#include "record.h"
#include "shard_format.h"
#include "stored_record.h"
#include "sweep_record.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHAT 200

static bool is_key(const void *key, size_t klen, const char *name)
{
    return klen == strlen(name) && memcmp(key, name, klen) == 0;
}

/* Has the record a checksum with that seed in front? */
static bool has_sum(const void *val, size_t len, uint64_t seed)
{
    const uint8_t *v = val;

    return len >= 8 && get_le64(v) == id_checksum(v + 8, len - 8, seed);
}

/* Checks a value of `meta` by its own checksum. A key that is not known here counts as sound. So
 * does the progress of scrubs: a scrub that finds it damaged begins anew. */
static bool meta_is_sound(const void *key, size_t klen, const void *val, size_t len)
{
    struct identity identity;
    struct store_record state;

    uint64_t epoch;

    if (is_key(key, klen, "log"))
        return log_promise_decode(val, len, &epoch);
    if (is_key(key, klen, "sweep"))
        return has_sum(val, len, SWEEP_RECORD_SEED);
    if (is_key(key, klen, "flushes"))
        return has_sum(val, len, FLUSH_NAMES_SEED);
    if (is_key(key, klen, "stored"))
        return has_sum(val, len, STORED_RECORD_SEED);
    if (is_key(key, klen, "identity"))
        return identity_decode(val, len, &identity) == 0;
    return !is_key(key, klen, "state") || store_record_decode(val, len, &state) == 0;
}

/* Row 0 of the table is the floor of incarnations; the others are shards. */
static bool shard_is_sound(const void *key, size_t klen, const void *val, size_t len)
{
    const uint8_t *k = key;
    uint16_t number = (uint16_t)(klen == 2 ? k[0] << 8 | k[1] : 0);
    struct shard_record record;
    uint32_t incarnation;

    if (klen != 2)
        return false;
    return number ? shard_record_decode(val, len, number, &record) == 0
                  : shard_floor_decode(val, len, &incarnation) == 0;
}

/* Is the value as it was written? kv has checked the tables that do not check themselves, and says
 * KV_DAMAGED. */
static bool is_sound(unsigned table, const void *key, size_t klen, const void *val, size_t len)
{
    if (len == KV_DAMAGED)
        return false;
    switch (table) {
    case TABLE_META:
        return meta_is_sound(key, klen, val, len);
    case TABLE_NAMESPACES:
        return klen == 8 && get_be64(key) <= VFS_NS_MAX &&
               ns_record_check((uint32_t)get_be64(key), val, len) == 0;
    case TABLE_SHARDS:
        return shard_is_sound(key, klen, val, len);
    case TABLE_GC:
        return gc_record_is_sound(key, klen, val, len);
    default:
        return true;
    }
}

/* Makes the name of an entry for people: keys that are names as they are, numbers in decimal, all
 * others in hexadecimal. */
static void describe(const struct scrub_values *at, char out[WHAT])
{
    char key[2 * KV_KEY_MAX + 1] = "";

    if (at->table == TABLE_META || at->table == TABLE_SETTINGS)
        (void)snprintf(key, sizeof key, "%.*s", (int)at->klen, (const char *)at->key);
    else if (at->klen == 8)
        (void)snprintf(key, sizeof key, "%llu", (unsigned long long)get_be64(at->key));
    else
        for (size_t i = 0; i < at->klen; i++)
            (void)snprintf(key + 2 * i, 3, "%02x", at->key[i]);
    (void)snprintf(out, WHAT, "entry %s of the table %s", key, store_tables[at->table].name);
}

/* Tables that a scrub reads itself. */
static bool is_elsewhere(unsigned table)
{
    return table == TABLE_PAGES || table == TABLE_OBJECTS;
}

/* Goes on with the next table. A table that breaks off, because the disk cannot read it or its tree
 * is damaged, is reported: nothing can be said of its rest. */
static int end_table(struct scrub_values *at, int err, scrub_values_fn *fn, void *ctx)
{
    char what[WHAT];

    if (err < 0 && err != -EUCLEAN && err != -EIO)
        return err;
    (void)snprintf(what, sizeof what, "the table %s", store_tables[at->table].name);
    at->table++;
    at->klen = 0;
    return err == 0 ? 0 : fn(what, "it cannot be read to its end", ctx);
}

/* Checks the next entry of the table, or ends the table behind its last entry. */
static int look_at_table(struct kv_snap *snap, struct scrub_values *at, scrub_values_fn *fn,
                         void *ctx, uint64_t *bytes)
{
    struct kv_each e = {
        .snap = snap, .table = at->table, .key = at->key, .klen = at->klen, .after = at->klen > 0};
    char what[WHAT];

    if (!kv_next(&e))
        return end_table(at, e.err, fn, ctx);
    memcpy(at->key, e.key, e.klen);
    at->klen = e.klen;
    *bytes += e.klen + (e.len == KV_DAMAGED ? 0 : e.len);
    if (is_sound(at->table, e.key, e.klen, e.val, e.len))
        return 0;
    describe(at, what);
    return fn(what, "it is not what was written", ctx);
}

int scrub_values_step(struct kv *kv, struct scrub_values *at, scrub_values_fn *fn, void *ctx,
                      uint64_t *ret_bytes)
{
    struct kv_snap *snap;
    uint64_t bytes = 0;
    int err = kv_snap_begin(kv, &snap);

    if (err < 0)
        return err;
    for (unsigned i = 0; i < SCRUB_VALUES && err == 0; i++) {
        while (at->table < TABLE_COUNT && is_elsewhere(at->table))
            at->table++;
        err = at->table < TABLE_COUNT ? look_at_table(snap, at, fn, ctx, &bytes) : -ENOENT;
    }
    kv_snap_end(snap);
    *ret_bytes = bytes;
    return err;
}
