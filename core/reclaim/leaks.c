// SPDX-License-Identifier: Apache-2.0
/* leaks: the keys of leaks, and lists of them. leaks_find.c has the search. */
#include "leaks_impl.h"
#include "array.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys ---- */

struct id leak_make_key(uint16_t shard, enum leak_kind what, const void *detail, uint64_t number)
{
    static const uint8_t there[] = {[LEAK_FILE] = LEAK_SHARD_FILE,
                                    [LEAK_PACK] = LEAK_SHARD_PACK,
                                    [LEAK_RECORDS] = LEAK_SHARD_RECORDS};
    struct id key = {{(uint8_t)what}};
    size_t at = 1;

    if (shard) {
        key.b[0] = there[what];
        key.b[at++] = (uint8_t)(shard >> 8);
        key.b[at++] = (uint8_t)shard;
    }
    if (detail)
        memcpy(key.b + at, detail, 8 - at);
    put_be64(key.b + 8, number);
    return key;
}

void leak_first_file(const struct id *id, struct id *ret_key)
{
    *ret_key = leak_make_key(0, LEAK_FILE, id->b, 0);
}

bool leak_is_file_of(const struct id *key, const struct id *id)
{
    return leak_kind(key) == LEAK_FILE && memcmp(key->b + 1, id->b, 7) == 0;
}

enum leak_kind leak_kind(const struct id *key)
{
    return key->b[0] < LEAK_KINDS ? (enum leak_kind)key->b[0] : LEAK_KINDS;
}

enum leak_kind leak_what(const struct id *key)
{
    switch (leak_kind(key)) {
    case LEAK_SHARD_FILE:
        return LEAK_FILE;
    case LEAK_SHARD_PACK:
        return LEAK_PACK;
    case LEAK_SHARD_RECORDS:
        return LEAK_RECORDS;
    default:
        return leak_kind(key);
    }
}

uint64_t leak_number(const struct id *key)
{
    return get_be64(key->b + 8);
}

uint16_t leak_shard(const struct id *key)
{
    if (key->b[0] < LEAK_SHARD_FILE || key->b[0] >= LEAK_KINDS)
        return 0;
    return (uint16_t)(key->b[1] << 8 | key->b[2]);
}

/* Appends the name of an object file. Unless the whole id is known, it shows the first bytes, which
 * the key has behind the kind and the number of a shard. */
static void describe_file(const struct id *key, const struct id *whole, struct strbuf *out)
{
    const char *more = "";
    char id[ID_HEX + 1];

    if (whole && !id_is_zero(whole)) {
        id_to_hex(whole, id);
    } else {
        id_to_hex(key, id);
        memmove(id, id + (leak_shard(key) ? 6 : 2), sizeof id - 6);
        id[leak_shard(key) ? 10 : 14] = '\0';
        more = "…";
    }
    strbuf_addf(out, "objects/%.2s/%s%s.%016" PRIx64, id, id, more, leak_number(key));
}

void leak_describe(const struct id *key, const struct id *whole, struct strbuf *out)
{
    unsigned long long n = leak_number(key);
    char hex[ID_HEX + 1];

    if (leak_shard(key))
        strbuf_addf(out, "shard %u: ", leak_shard(key));
    switch (leak_what(key)) {
    case LEAK_FILE:
        describe_file(key, whole, out);
        break;
    case LEAK_SLOT:
        strbuf_addf(out, "slots/%016llx", n);
        break;
    case LEAK_PACK:
        strbuf_addf(out, "packs/%016llx", n);
        break;
    case LEAK_RECORDS:
        strbuf_addf(out, "records of pack %llu", n);
        break;
    case LEAK_PAGE:
        strbuf_addf(out, "page %llu", n);
        break;
    case LEAK_ENTRY:
        strbuf_addf(out, "object number %llu", n);
        break;
    default:
        id_to_hex(key, hex);
        strbuf_adds(out, hex);
    }
}

static int by_leak_key(const void *a, const void *b)
{
    return id_compare(&((const struct leak *)a)->key, &((const struct leak *)b)->key);
}

const struct leak *leaks_get(const struct leaks *l, const struct id *key)
{
    return l->count
               ? bsearch(&(struct leak){.key = *key}, l->v, l->count, sizeof *l->v, by_leak_key)
               : NULL;
}

void leaks_release(struct leaks *l)
{
    free(l->v);
    free(l->unreachable);
    *l = (struct leaks){0};
}

int leaks_add(struct finding *f, const struct leak *l)
{
    struct leaks *out = f->out;

    if (ARRAY_RESERVE(out->v, out->room, out->count + 1) < 0)
        return -ENOMEM;
    out->v[out->count++] = *l;
    return 0;
}

void leaks_sort(struct leaks *l)
{
    size_t kept = 0;

    if (l->count)
        qsort(l->v, l->count, sizeof *l->v, by_leak_key);
    for (size_t i = 0; i < l->count; i++) {
        if (kept && id_equal(&l->v[kept - 1].key, &l->v[i].key)) {
            l->v[kept - 1].bytes += l->v[i].bytes;
            continue;
        }
        l->v[kept++] = l->v[i];
    }
    l->count = kept;
    for (size_t i = 0; i < kept; i++)
        l->bytes += l->v[i].bytes;
}

/* ---- what was found before ---- */

/* Is the leak where this search could not look? */
static bool is_unreachable(const struct leaks *l, const struct id *key)
{
    for (size_t i = 0; i < l->unreachable_count; i++)
        if (l->unreachable[i].shard == leak_shard(key) &&
            leak_number(key) >= l->unreachable[i].from)
            return true;
    return false;
}

/* Makes *id the next one in the order of ids. False: it was the last one. */
static bool step_on(struct id *id)
{
    for (unsigned i = ID_LEN; i-- > 0;)
        if (++id->b[i])
            return true;
    return false;
}

int leaks_remember(struct leaks *l, struct gc *gc)
{
    struct id from = {{LEAK_SHARD_FILE}}, key;
    struct gc_object_info info;

    if (!l->unreachable_count)
        return 0;
    while (gc_next(gc, &from, &key, &info) == 0 && leak_kind(&key) < LEAK_KINDS) {
        if ((info.state == GC_UNREFERENCED || info.state == GC_MARKED) && is_unreachable(l, &key)) {
            if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
                return -ENOMEM;
            l->v[l->count++] = (struct leak){.key = key, .unknown = true};
        }
        from = key;
        if (!step_on(&from))
            break;
    }
    if (l->count)
        qsort(l->v, l->count, sizeof *l->v, by_leak_key);
    return 0;
}
