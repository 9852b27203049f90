// SPDX-License-Identifier: Apache-2.0
/* Claims of layer.h on both implementations of kv. Keys are short texts, filled up with zeros. */
#include "both.h"
#include "layer.h"

#define KLEN 8

struct key8 {
    char bytes[KLEN];
};

static struct key8 key_of(const char *text)
{
    struct key8 k = {0};
    memcpy(k.bytes, text, strnlen(text, KLEN));
    return k;
}

static struct layer *make(struct fixture *x)
{
    struct layer *l;
    cr_assert_eq(layer_create(x->kv, 0, KLEN, &l), 0);
    return l;
}

static void put(struct layer *l, const char *key, const char *val)
{
    struct key8 k = key_of(key);
    cr_assert_eq(layer_put(l, &k, val, strlen(val)), 0);
}

static void del(struct layer *l, const char *key)
{
    struct key8 k = key_of(key);
    cr_assert_eq(layer_del(l, &k), 0);
}

static void is(struct layer *l, const char *key, const char *val)
{
    struct key8 k = key_of(key);
    char buf[64] = "";
    size_t len;
    int r = layer_get(l, &k, buf, sizeof buf - 1, &len);
    cr_assert_eq(r, val == NULL ? -ENOENT : 0);
    if (val != NULL)
        cr_assert_str_eq(buf, val);
}

static int write_some(struct fixture *x, struct layer *l, size_t n)
{
    struct kv_txn *t;
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    cr_assert_eq(layer_write(l, n, t), 0);
    return kv_commit(t);
}

static int write_out(struct fixture *x, struct layer *l)
{
    return write_some(x, l, 1);
}

static void flush(struct fixture *x, struct layer *l)
{
    cr_assert_eq(layer_freeze(l), 0);
    cr_assert_eq(write_out(x, l), 0);
    layer_retire(l, 1);
}

/* All keys by layer_keys, `most` at a time, each followed by its value. */
static void lists(struct layer *l, const char *want)
{
    for (size_t most = 1; most < 5; most++) {
        char all[256] = "", keys[5 * KLEN], from[KLEN], val[32];
        size_t count = most, len;
        for (bool first = true; count == most; first = false) {
            cr_assert_eq(layer_keys(l, first ? NULL : from, keys, most, &count), 0);
            for (size_t i = 0; i < count; i++) {
                memcpy(from, keys + i * KLEN, KLEN);
                cr_assert_eq(layer_get(l, from, val, sizeof val, &len), 0);
                strncat(all, from, KLEN);
                strncat(all, val, len);
            }
        }
        cr_assert_str_eq(all, want);
    }
}

struct seen {
    char text[128];
    int stop_after; /* 0: never */
};

static int note(const void *key, const void *val, size_t vlen, void *ctx)
{
    struct seen *s = ctx;
    strncat(s->text, key, KLEN);
    if (val == NULL)
        strcat(s->text, "-");
    else
        strncat(s->text, val, vlen);
    return s->stop_after != 0 && --s->stop_after == 0 ? -EINTR : 0;
}

/* In the table: a1 b1 c1. Frozen: b2, c deleted. Active: d3. */
static struct layer *three_floors(struct fixture *x)
{
    struct layer *l = make(x);
    put(l, "a", "1");
    put(l, "b", "1");
    put(l, "c", "1");
    flush(x, l);
    put(l, "b", "2");
    del(l, "c");
    cr_assert_eq(layer_freeze(l), 0);
    put(l, "d", "3");
    return l;
}

static void floors_are(struct layer *l)
{
    is(l, "a", "1");
    is(l, "b", "2");
    is(l, "c", NULL);
    is(l, "d", "3");
    is(l, "e", NULL);
}

BOTH(layer, gets_that_share_a_look_into_the_table_find_the_same)
{
    struct layer *l = three_floors(x);
    layer_gets_begin(l);
    floors_are(l);
    floors_are(l);
    put(l, "a", "9");
    is(l, "a", "9");
    layer_gets_end(l);
    layer_destroy(l);
}

BOTH(layer, later_gets_see_what_was_committed_after_a_shared_look)
{
    struct layer *l = make(x);
    put(l, "a", "1");
    flush(x, l);
    layer_gets_begin(l);
    is(l, "a", "1");
    layer_gets_end(l);
    put(l, "a", "2");
    flush(x, l);
    is(l, "a", "2");
    layer_gets_begin(l);
    is(l, "a", "2");
    layer_gets_end(l);
    layer_destroy(l);
}

BOTH(layer, bad_key_lengths_and_values_are_refused)
{
    struct layer *l;
    char big[LAYER_VALUE_MAX + 1] = "";
    struct key8 k = key_of("k");
    size_t len;
    cr_assert_eq(layer_create(x->kv, 0, 0, &l), -EINVAL);
    cr_assert_eq(layer_create(x->kv, 0, 17, &l), -EINVAL);
    l = make(x);
    cr_assert_eq(layer_put(l, &k, big, sizeof big), -ERANGE);
    cr_assert_eq(layer_put(l, &k, big, LAYER_VALUE_MAX), 0);
    cr_assert_eq(layer_get(l, &k, big, 1, &len), -ERANGE);
    cr_assert_eq(len, LAYER_VALUE_MAX);
    layer_destroy(l);
    layer_destroy(NULL);
}

BOTH(layer, a_change_is_seen_at_once_and_is_not_in_the_table)
{
    struct layer *l = make(x);
    struct layer *other = make(x);
    put(l, "k", "v");
    is(l, "k", "v");
    is(other, "k", NULL);
    layer_destroy(l);
    layer_destroy(other);
}

BOTH(layer, a_value_is_the_same_on_every_floor)
{
    struct layer *l = make(x);
    put(l, "k", "v");
    cr_assert_eq(layer_freeze(l), 0);
    is(l, "k", "v");
    cr_assert_eq(write_out(x, l), 0);
    is(l, "k", "v");
    layer_retire(l, 1);
    is(l, "k", "v");
    cr_assert_eq(layer_pending(l), 0);
    layer_destroy(l);
}

BOTH(layer, a_deleted_key_is_hidden_before_and_after_the_commit)
{
    struct layer *l = make(x);
    put(l, "k", "v");
    flush(x, l);
    del(l, "k");
    is(l, "k", NULL);
    cr_assert_eq(layer_freeze(l), 0);
    is(l, "k", NULL);
    cr_assert_eq(write_out(x, l), 0);
    layer_retire(l, 1);
    is(l, "k", NULL);
    layer_destroy(l);
}

BOTH(layer, the_upper_floor_wins)
{
    struct layer *l = three_floors(x);
    is(l, "a", "1");
    is(l, "b", "2");
    is(l, "c", NULL);
    is(l, "d", "3");
    put(l, "c", "3");
    is(l, "c", "3");
    del(l, "b");
    is(l, "b", NULL);
    layer_destroy(l);
}

BOTH(layer, changes_after_the_freeze_are_not_in_its_commit)
{
    struct layer *l = three_floors(x);
    cr_assert_eq(write_out(x, l), 0);
    layer_retire(l, 1);
    cr_assert_eq(layer_pending(l), 1);
    layer_destroy(l);
    l = make(x);
    is(l, "d", NULL);
    is(l, "b", "2");
    is(l, "c", NULL);
    layer_destroy(l);
}

/* In the table: a1 b1. Then one batch each: a2; b deleted, c2; b3. */
static struct layer *three_batches(struct fixture *x)
{
    struct layer *l = make(x);
    put(l, "a", "1");
    put(l, "b", "1");
    flush(x, l);
    put(l, "a", "2");
    cr_assert_eq(layer_freeze(l), 0);
    del(l, "b");
    put(l, "c", "2");
    cr_assert_eq(layer_freeze(l), 0);
    put(l, "b", "3");
    cr_assert_eq(layer_freeze(l), 0);
    return l;
}

/* What the table itself has. */
static void stored(struct fixture *x, const char *want)
{
    struct layer *l = make(x);
    lists(l, want);
    layer_destroy(l);
}

BOTH(layer, of_several_batches_the_newest_wins)
{
    struct layer *l = three_batches(x);
    is(l, "a", "2");
    is(l, "b", "3");
    is(l, "c", "2");
    lists(l, "a2b3c2");
    cr_assert_eq(layer_pending(l), 4);
    del(l, "c");
    lists(l, "a2b3");
    layer_destroy(l);
}

BOTH(layer, each_commit_has_its_batch_and_none_after_it)
{
    struct layer *l = three_batches(x);
    cr_assert_eq(write_some(x, l, 1), 0);
    layer_retire(l, 1);
    stored(x, "a2b1");
    lists(l, "a2b3c2");
    cr_assert_eq(write_some(x, l, 1), 0);
    layer_retire(l, 1);
    stored(x, "a2c2");
    is(l, "b", "3");
    cr_assert_eq(write_some(x, l, 1), 0);
    layer_retire(l, 1);
    stored(x, "a2b3c2");
    cr_assert_eq(layer_pending(l), 0);
    layer_destroy(l);
}

BOTH(layer, several_batches_in_one_commit_are_as_if_each_had_had_its_own)
{
    struct layer *l = three_batches(x);
    put(l, "d", "4");
    cr_assert_eq(write_some(x, l, 3), 0);
    stored(x, "a2b3c2");
    layer_retire(l, 3);
    cr_assert_eq(layer_pending(l), 1);
    lists(l, "a2b3c2d4");
    flush(x, l);
    stored(x, "a2b3c2d4");
    layer_destroy(l);
}

BOTH(layer, a_batch_of_nothing_is_retired_too)
{
    struct layer *l = make(x);
    for (unsigned i = 0; i < LAYER_BATCHES_MAX; i++)
        cr_assert_eq(layer_freeze(l), 0);
    put(l, "k", "v");
    cr_assert_eq(layer_freeze(l), -EBUSY);
    is(l, "k", "v");
    layer_retire(l, 1);
    cr_assert_eq(layer_freeze(l), 0);
    cr_assert_eq(write_some(x, l, LAYER_BATCHES_MAX), 0);
    layer_retire(l, LAYER_BATCHES_MAX);
    stored(x, "kv");
    layer_destroy(l);
}

BOTH(layer, a_key_counts_once_per_floor)
{
    struct layer *l = three_floors(x);
    cr_assert_eq(layer_pending(l), 3);
    put(l, "d", "4");
    del(l, "d");
    cr_assert_eq(layer_pending(l), 3);
    put(l, "b", "4");
    cr_assert_eq(layer_pending(l), 4);
    layer_destroy(l);
}

BOTH(layer, next_lists_all_floors_in_order)
{
    struct layer *l = three_floors(x);
    lists(l, "a1b2d3");
    put(l, "a", "9");
    del(l, "b");
    put(l, "c", "9");
    lists(l, "a9c9d3");
    layer_destroy(l);
}

BOTH(layer, visits_show_each_change_once_with_its_last_value)
{
    struct layer *l = three_floors(x);
    struct seen changes = {0}, stopped = {.stop_after = 1}, batches = {0};
    put(l, "b", "9");
    cr_assert_eq(layer_visit_changes(l, note, &changes), 0);
    cr_assert_str_eq(changes.text, "d3b9c-");
    cr_assert_eq(layer_visit_changes(l, note, &stopped), -EINTR);
    cr_assert_str_eq(stopped.text, "d3");
    layer_destroy(l);
    l = three_batches(x);
    cr_assert_eq(layer_visit_changes(l, note, &batches), 0);
    cr_assert_str_eq(batches.text, "b3c2a2");
    layer_destroy(l);
}

BOTH(layer, keys_of_all_lengths_and_bytes_are_told_apart)
{
    for (size_t klen = 2; klen <= 16; klen++) {
        struct layer *l;
        uint8_t k[16] = {0}, v;
        size_t len;
        cr_assert_eq(layer_create(x->kv, 0, klen, &l), 0);
        for (unsigned i = 0; i < 256; i++) {
            k[klen - 1] = v = (uint8_t)i;
            cr_assert_eq(layer_put(l, k, &v, 1), 0);
        }
        for (unsigned i = 0; i < 256; i++) {
            k[klen - 1] = (uint8_t)i;
            cr_assert_eq(layer_get(l, k, &v, 1, &len), 0);
            cr_assert_eq(v, i);
        }
        layer_destroy(l);
    }
}

/* Slots are as wide as the longest value yet. */
BOTH(layer, a_longer_value_leaves_the_shorter_ones_as_they_are)
{
    struct layer *l = make(x);
    char val[LAYER_VALUE_MAX], back[LAYER_VALUE_MAX];
    size_t len;
    for (uint64_t i = 0; i <= LAYER_VALUE_MAX; i++) {
        memset(val, (int)i + 1, sizeof val);
        cr_assert_eq(layer_put(l, &i, val, i), 0);
    }
    for (uint64_t i = 0; i <= LAYER_VALUE_MAX; i++) {
        memset(val, (int)i + 1, sizeof val);
        cr_assert_eq(layer_get(l, &i, back, sizeof back, &len), 0);
        cr_assert_eq(len, i);
        cr_assert_arr_eq(back, val, i);
    }
    layer_destroy(l);
}

BOTH(layer, many_changes_are_all_written)
{
    struct layer *l = make(x);
    size_t len;
    for (uint64_t i = 0; i < 100000; i++)
        cr_assert_eq(layer_put(l, &i, &i, sizeof i), 0);
    cr_assert_eq(layer_pending(l), 100000);
    flush(x, l);
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t v = 0;
        cr_assert_eq(layer_get(l, &i, &v, sizeof v, &len), 0);
        cr_assert_eq(v, i);
    }
    layer_destroy(l);
}

Test(layer, a_failed_commit_is_written_again_by_the_next)
{
    struct fixture x;
    both_setup(&x, false);
    struct layer *l = make(&x);
    put(l, "k", "v");
    x.fault.fail_at = x.fault.writes + 1;
    cr_assert_eq(layer_freeze(l), 0);
    cr_assert_eq(write_out(&x, l), -EIO);
    is(l, "k", "v");
    put(l, "l", "w");
    cr_assert_eq(layer_freeze(l), 0);
    cr_assert_eq(write_some(&x, l, 2), 0);
    layer_retire(l, 2);
    stored(&x, "kvlw");
    layer_destroy(l);
    both_teardown(&x);
}
