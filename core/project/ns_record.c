// SPDX-License-Identifier: Apache-2.0
/*
 * ns_record: namespaces as records of the kv table (FORMAT.md, "Namespaces"): reading them when a
 * project is opened, and collecting what changed for a commit.
 */
#include "project_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

/* ---- records: FORMAT.md, "Namespaces" ---- */

#define HEAD_1 56 /* of version 1, which says nothing of flushes */
#define RECORD_HEAD 72
#define RECORD_VERSION 2

size_t ns_record_encode(const struct ns *ns, uint64_t root, uint8_t *out)
{
    size_t name = strlen(ns->name), target = ns->target ? strlen(ns->target) : 0;

    memset(out, 0, RECORD_HEAD);
    out[8] = RECORD_VERSION;
    out[9] = (uint8_t)(ns->frozen | (ns->target ? 2 : 0) | (ns->verify ? 4 : 0) |
                       (ns->branched ? 8 : 0));
    put_le16(out + 10, (uint16_t)name);
    put_le32(out + 12, ns->generation);
    put_le64(out + 16, root);
    put_le64(out + 24, ns->next_ino);
    put_le64(out + 32, ns->seq);
    put_le64(out + 40, (uint64_t)ns->time);
    put_le32(out + 48, ns->uid);
    put_le32(out + 52, ns->gid);
    put_le64(out + 56, atomic_load(&ns->flushes));
    put_le64(out + 64, (uint64_t)atomic_load(&ns->flushed));
    memcpy(out + RECORD_HEAD, ns->name, name);
    if (target)
        memcpy(out + RECORD_HEAD + name, ns->target, target);
    put_le64(out, id_checksum(out + 8, RECORD_HEAD + name + target - 8, ns->number));
    return RECORD_HEAD + name + target;
}

/* Where the name is; 0: no version that is known. */
static size_t head_of(const uint8_t *v, size_t len)
{
    size_t head = len < HEAD_1 ? 0 : v[8] == 1 ? HEAD_1 : v[8] == RECORD_VERSION ? RECORD_HEAD : 0;

    return head <= len ? head : 0;
}

static bool is_name(const uint8_t *name, size_t len)
{
    return len > 0 && len <= VFS_NAME_MAX && !memchr(name, 0, len) && !memchr(name, '/', len);
}

int ns_decode(const void *val, size_t len, struct ns_fields *ret)
{
    const uint8_t *v = val;
    size_t head = head_of(v, len), name = head ? get_le16(v + 10) : 0;

    *ret = (struct ns_fields){.target = NULL};
    if (head == 0 || head + name > len || len > head + name + 4095 || !is_name(v + head, name))
        return -EUCLEAN;
    memcpy(ret->name, v + head, name);
    ret->frozen = v[9] & 1;
    ret->verify = v[9] & 4;
    ret->branched = v[9] & 8;
    ret->generation = get_le32(v + 12);
    ret->root = get_le64(v + 16);
    ret->next_ino = get_le64(v + 24);
    ret->seq = get_le64(v + 32);
    ret->time = (int64_t)get_le64(v + 40);
    ret->uid = get_le32(v + 48);
    ret->gid = get_le32(v + 52);
    if (head == RECORD_HEAD) {
        ret->flushes = get_le64(v + 56);
        ret->flushed = (int64_t)get_le64(v + 64);
    }
    if (v[9] & 2) {
        ret->target = strndup((const char *)v + head + name, len - head - name);
        if (!ret->target)
            return -ENOMEM;
    }
    return 0;
}

int ns_record_check(uint32_t number, const void *val, size_t len)
{
    const uint8_t *v = val;

    return len < HEAD_1 || get_le64(v) != id_checksum(v + 8, len - 8, number) ? -EUCLEAN : 0;
}

static int record_push(struct ns_records *r, uint32_t number, size_t len, uint8_t *bytes)
{
    struct ns_record *v = realloc(r->v, (r->count + 1) * sizeof *v);

    if (!v) {
        free(bytes);
        return -ENOMEM;
    }
    r->v = v;
    r->v[r->count++] = (struct ns_record){number, len, bytes};
    return 0;
}

/* Each flush of a branch leaves more of its pages and bytes where they were written then. */
static void count_flush(struct project *p, struct ns *ns)
{
    uint64_t n = atomic_fetch_add(&ns->flushes, 1) + 1;

    atomic_store(&ns->flushed, now(p));
    if (ns->branched && n == (uint64_t)settings_get(&p->settings, SET_BRANCH_FRAGMENT_WARN))
        report(REPORT_WARN,
               "namespace %s was flushed %llu times since it was branched (branch_fragment_warn): "
               "what it has lies scattered, and reading it may be slow",
               ns->name, (unsigned long long)n);
}

void ns_count_pieces(struct project *p, struct ns *ns, const char *name, uint64_t pieces)
{
    uint64_t warn = (uint64_t)settings_get(&p->settings, SET_BRANCH_FRAGMENT_WARN);
    bool many = ns->branched && warn && pieces >= warn;

    atomic_store(&ns->pieces, pieces);
    if (atomic_exchange(&ns->pieces_told, many) || !many)
        return;
    report(REPORT_WARN,
           "files of namespace %s, a branch, are in %llu pieces (branch_fragment_warn): reading "
           "them may be slow",
           name, (unsigned long long)pieces);
}

bool ns_is_scattered(struct project *p, struct ns *ns)
{
    uint64_t warn = (uint64_t)settings_get(&p->settings, SET_BRANCH_FRAGMENT_WARN);

    return ns->branched && warn &&
           (atomic_load(&ns->flushes) >= warn || atomic_load(&ns->pieces) >= warn);
}

static int freeze_one(struct project *p, struct ns *ns, struct ns_records *ret)
{
    uint8_t *bytes;

    /* A change that failed half-way may have copied the root: the old one has lost its count. */
    if (!ns->live || (!ns->dirty && ns->tree.root == ns->recorded_root))
        return 0;
    bytes = malloc(NS_RECORD_MAX);
    if (!bytes)
        return -ENOMEM;
    count_flush(p, ns);
    return record_push(ret, ns->number, ns_record_encode(ns, ns->tree.root, bytes), bytes);
}

int ns_table_freeze(struct project *p, struct ns_records *ret)
{
    uint64_t number, none;
    size_t at = 0;
    int err = 0;

    rwlock_held_write(&p->gate);
    WRITE_GUARD(&p->names.lock); /* a last ns_put frees without the gate */
    for (size_t i = 0; i < NS_BUCKETS && err == 0; i++)
        for (struct ns *ns = p->names.by_number[i]; ns && err == 0; ns = ns->by_number_next)
            err = freeze_one(p, ns, ret);
    while (err == 0 && map64_next(&p->names.removed, &at, &number, &none))
        err = record_push(ret, (uint32_t)number, 0, NULL);
    if (err < 0)
        ns_records_release(ret);
    return err;
}

void ns_table_frozen(struct project *p)
{
    rwlock_held_write(&p->gate);
    WRITE_GUARD(&p->names.lock);
    for (size_t i = 0; i < NS_BUCKETS; i++)
        for (struct ns *ns = p->names.by_number[i]; ns; ns = ns->by_number_next) {
            ns->dirty = false;
            ns->recorded_root = ns->tree.root;
        }
    map64_release(&p->names.removed);
}

int ns_records_write(const struct ns_records *r, struct kv_txn *t)
{
    uint8_t key[8];
    int err = 0;

    for (size_t i = 0; i < r->count && err == 0; i++) {
        put_be64(key, r->v[i].number);
        err = r->v[i].len ? kv_put(t, TABLE_NAMESPACES, key, 8, r->v[i].bytes, r->v[i].len)
                          : kv_del(t, TABLE_NAMESPACES, key, 8);
    }
    return err;
}

void ns_records_release(struct ns_records *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->v[i].bytes);
    free(r->v);
    *r = (struct ns_records){0};
}

void ns_set_fields(struct ns *ns, uint32_t number, struct ns_fields *f)
{
    ns->number = number;
    ns->generation = f->generation;
    ns->target = f->target;
    f->target = NULL;
    ns->tree.root = ns->recorded_root = f->root;
    ns->next_ino = f->next_ino;
    ns->seq = f->seq;
    ns->time = f->time;
    ns->uid = f->uid;
    ns->gid = f->gid;
    ns->frozen = f->frozen;
    ns->verify = f->verify;
    ns->branched = f->branched;
    atomic_store(&ns->flushes, f->flushes);
    atomic_store(&ns->flushed, f->flushed);
}

static int load_one(struct project *p, uint32_t number, const void *val, size_t len)
{
    struct ns_fields f;
    struct ns *ns;
    int err = ns_record_check(number, val, len);

    if (err == 0)
        err = ns_decode(val, len, &f);
    if (err == 0)
        err = ns_alloc(p, f.name, &ns);
    if (err < 0)
        return err;
    ns_set_fields(ns, number, &f);
    natives_note_verify(&p->natives, ns->verify);
    ns->dirty = false;
    WRITE_GUARD(&p->names.lock);
    ns_table_insert(&p->names, ns);
    return 0;
}

int ns_table_load(struct project *p)
{
    struct kv_snap *s;
    const void *key = NULL, *val;
    size_t klen = 0, vlen;
    int err = kv_snap_begin(p->config.kv, &s);

    if (err < 0)
        return err;
    while ((err = kv_snap_seek(s, TABLE_NAMESPACES, key, klen, klen > 0, &key, &klen, &val,
                               &vlen)) == 0) {
        err = klen == 8 ? load_one(p, (uint32_t)get_be64(key), val, vlen) : -EUCLEAN;
        if (err < 0)
            break;
    }
    kv_snap_end(s);
    p->names.mtime = p->created;
    return err == -ENOENT ? 0 : err;
}
