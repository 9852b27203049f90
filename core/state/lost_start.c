// SPDX-License-Identifier: Apache-2.0
/* lost_start: see the header. */
#include "lost_start.h"
#include "bytes.h"
#include "lost.h"
#include "state.h"
#include "report.h"
#include <errno.h>

#define U(x) ((unsigned long long)(x))

/* ---- packs ---- */

struct unknown {
    struct state *p;
    uint64_t next;
    struct map64 packs;
};

/* Notes a pack file that the table does not have. Packs from `next` on were never committed. */
static int add_unknown(const char *name, void *ctx)
{
    struct unknown *u = ctx;
    uint8_t key[8], val[PACK_ENTRY_LEN];
    uint64_t number;
    size_t len;
    int err;

    if (pack_parse_name(name, &number) < 0 || number >= u->next)
        return 0;
    put_be64(key, number);
    err = kv_get(u->p->config.kv, TABLE_PACKS, key, sizeof key, val, sizeof val, &len);
    return err == -ENOENT ? map64_put(&u->packs, number, 1) : 0;
}

/* Puts one pack back into the table, with the counts that its entries give. */
static int put_back(struct state *p, struct kv_txn *t, uint64_t number, uint64_t records,
                    uint64_t bytes)
{
    struct pack_entry e = {.live_records = (uint32_t)records, .live_bytes = bytes};
    uint8_t key[8], val[PACK_ENTRY_LEN];
    char name[DISK_NAME_MAX + 1];
    struct disk_stat st;
    int err;

    pack_name(number, name);
    err = disk_stat(p->config.disk, name, &st);
    if (err < 0)
        return err;
    /* if the file is too short, readers will find that out */
    e.file_bytes = st.size > e.live_bytes ? st.size : e.live_bytes;
    report(REPORT_ALARM,
           "the table of packs did not have pack %llu, which %llu objects are in: it is put back",
           U(number), U(records));
    put_be64(key, number);
    pack_entry_encode(&e, val);
    return kv_put(t, TABLE_PACKS, key, sizeof key, val, sizeof val);
}

/* Puts back the unknown packs that entries name, in one transaction. */
static int put_named(struct unknown *u, const struct lost_packs *named)
{
    uint64_t number, records, bytes, none;
    bool any = false;
    struct kv_txn *t;
    size_t at = 0;
    int err = kv_txn_begin(u->p->config.kv, &t);

    if (err < 0)
        return err;
    while (err == 0 && map64_next(&named->records, &at, &number, &records)) {
        if (records == 0 || !map64_get(&u->packs, number, &none))
            continue;
        bytes = 0;
        (void)map64_get(&named->bytes, number, &bytes);
        err = put_back(u->p, t, number, records, bytes);
        any = true;
    }
    if (err == 0 && any)
        return kv_commit(t);
    kv_abort(t);
    return err;
}

/* Counts what entries name in each pack, in the last commit. */
static int find_named(struct state *p, struct lost_packs *ret)
{
    struct kv_snap *snap;
    int err = kv_snap_begin(p->config.kv, &snap);

    if (err < 0)
        return err;
    err = lost_count_packs(snap, ret);
    kv_snap_end(snap);
    return err;
}

int lost_start_packs(struct state *p, uint64_t next)
{
    struct unknown u = {.p = p, .next = next, .packs = MAP64_INIT};
    struct lost_packs named = {.records = MAP64_INIT, .bytes = MAP64_INIT};
    int err = p->shared ? 0 : disk_list(p->config.disk, "packs", add_unknown, &u);

    if (err == 0 && u.packs.count)
        err = find_named(p, &named);
    if (err == 0 && u.packs.count)
        err = put_named(&u, &named);
    map64_release(&u.packs);
    lost_packs_release(&named);
    return err == -ENOENT ? 0 : err;
}

/* ---- slots and object files ---- */

bool lost_start_keep(void *ctx)
{
    struct state *p = ctx;

    if (!p->met.asked) {
        p->met.asked = true;
        p->met.keep = lost_guard(p->config.kv, NULL, NULL) < 0;
    }
    return p->met.keep;
}
