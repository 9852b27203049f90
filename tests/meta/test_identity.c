// SPDX-License-Identifier: Apache-2.0
/* What identity.h promises, and what becomes of stores that were made before version 4. */
#include "old_store.h"
#include "vfs_impl.h"

static void are_equal(const struct identity *a, const struct identity *b)
{
    cr_assert_str_eq(a->label, b->label);
    cr_assert_eq(a->created, b->created);
    cr_assert(id_key_equal(&a->key, &b->key));
    cr_assert_arr_eq(a->names.sip.b, b->names.sip.b, SIP_KEY_LEN);
    cr_assert(a->names.old == b->names.old && a->names.seed == b->names.seed);
    cr_assert_arr_eq(a->cookies.b, b->cookies.b, SIP_KEY_LEN);
    cr_assert_eq(a->complete, b->complete);
}

static bool is_zeros(const void *p, size_t len)
{
    const uint8_t *v = p;

    for (size_t i = 0; i < len; i++)
        if (v[i])
            return false;
    return true;
}

Test(identity, comes_back)
{
    struct identity id, r;
    uint8_t buf[IDENTITY_LEN];

    cr_assert_eq(identity_make("org/name", 12345, NULL, &id), 0);
    identity_encode(&id, buf);
    cr_assert_eq(identity_decode(buf, sizeof buf, &r), 0);
    are_equal(&id, &r);
    cr_assert(id.complete && id.key.veiled && !id.names.old);
}

Test(identity, no_key_is_made_of_another)
{
    struct identity a, b;

    cr_assert_eq(identity_make("", 1, NULL, &a), 0);
    cr_assert_eq(identity_make("", 1, &a.key, &b), 0);
    cr_assert(id_key_equal(&a.key, &b.key));
    cr_assert_neq(memcmp(a.names.sip.b, b.names.sip.b, SIP_KEY_LEN), 0);
    cr_assert_neq(memcmp(a.cookies.b, b.cookies.b, SIP_KEY_LEN), 0);
    cr_assert_neq(memcmp(a.cookies.b, a.names.sip.b, SIP_KEY_LEN), 0);
    cr_assert_neq(memcmp(a.key.veil.b, a.names.sip.b, SIP_KEY_LEN), 0);
    cr_assert_not(is_zeros(a.key.veil.b, SIP_KEY_LEN) || is_zeros(a.names.sip.b, SIP_KEY_LEN) ||
                  is_zeros(a.cookies.b, SIP_KEY_LEN));
}

Test(identity, what_is_damaged_or_newer_is_told)
{
    struct identity id, r = {.created = 42};
    uint8_t buf[IDENTITY_LEN], flip[IDENTITY_LEN];

    cr_assert_eq(identity_make("org/name", 12345, NULL, &id), 0);
    identity_encode(&id, buf);
    for (size_t i = 0; i < 8 * sizeof buf; i++) {
        memcpy(flip, buf, sizeof buf);
        flip[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert_eq(identity_decode(flip, sizeof flip, &r), -EUCLEAN, "bit %zu", i);
    }
    for (size_t len = 0; len < sizeof buf; len++)
        cr_assert_eq(identity_decode(buf, len, &r), -EUCLEAN, "length %zu", len);
    for (size_t at = 8; at <= 12; at += 4) { /* the version; a flag that nobody knows */
        memcpy(flip, buf, sizeof buf);
        put_le32(flip + at, 77);
        put_le64(flip, id_checksum(flip + 8, sizeof flip - 8, 0));
        cr_assert_eq(identity_decode(flip, sizeof flip, &r), -EPROTO);
    }
    cr_assert_eq(r.created, 42);
}

Test(identity, of_an_old_store_is_given_the_missing_keys_once)
{
    struct fixture x;
    struct identity first, again;
    struct id_key key;
    size_t len;

    old_setup(&x);
    first = identity_read(&x, &len);
    cr_assert_eq(len, IDENTITY_LEN);
    cr_assert(first.complete && first.names.old && !first.key.veiled);
    cr_assert_eq(first.names.seed, get_le64(first.key.secret));
    cr_assert_not(is_zeros(first.names.sip.b, SIP_KEY_LEN) ||
                  is_zeros(first.cookies.b, SIP_KEY_LEN));
    key = x.p->id_key;
    cr_assert(id_key_equal(&key, &first.key));
    fixture_reopen(&x);
    again = identity_read(&x, &len);
    are_equal(&first, &again);
    fixture_teardown(&x);
}

/* Names stand where version 3 put them, and contents have the ids that it gave them. */
Test(identity, an_old_store_keeps_its_names_and_ids)
{
    struct fixture x;
    struct ns *ns;
    struct key k;
    uint64_t ino;
    unsigned type;

    old_setup(&x);
    put_file(&x, "main/some name", "some content");
    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(dirent_find(x.p, &ns->tree, NS_ROOT_INO, "some name", &k, &ino, &type), 0);
    cr_assert_eq(k.lo, id_checksum("some name", 9, get_le64(x.p->id_key.secret)) >> 9 << 7);
    ns_put(x.p, ns);
    fixture_reopen(&x);
    cr_assert(node_of(&x, "main/some name"));
    fixture_teardown(&x);
}
