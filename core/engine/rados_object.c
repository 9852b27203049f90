// SPDX-License-Identifier: Apache-2.0
/*
 * rados_object: reads and writes single objects of RADOS. Each function is one operation, which the
 * cluster does wholly or not at all, and once: librados sends it again where it has to, and an OSD
 * knows an operation that it has done.
 */
#include "bytes.h"
#include "rados_impl.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define SUM "tally.sum"
#define PIECES "tally.pieces"
#define SUM_LEN 8
#define PIECE_LEAST 4096 /* bytes: a smaller piece was never written */
#define PIECES_LEN 20    /* bytes: size (8), piece (4), token (8), little-endian */

int rados_told(int err)
{
    switch (err) {
    case -ETIMEDOUT:
    case -ENOTCONN:
    case -ESHUTDOWN: /* the cluster has shut this client out */
    case -ENXIO:
        return -EHOSTUNREACH;
    case -EPERM:
        return -EACCES;
    default:
        return err;
    }
}

/* ---- attributes ---- */

static void encode(const struct rados_pieces *p, uint8_t out[PIECES_LEN])
{
    put_le64(out, p->size);
    put_le32(out + 8, p->piece);
    put_le64(out + 12, p->token);
}

/* What cannot be is no long file: the head then reads as a file without bytes, which nobody has
 * put. */
static void decode(const uint8_t *value, struct rados_pieces *ret)
{
    ret->size = get_le64(value);
    ret->piece = get_le32(value + 8);
    ret->token = get_le64(value + 12);
    if (ret->size > INT64_MAX || ret->piece < PIECE_LEAST)
        ret->piece = 0;
}

void rados_attributes_read(const struct rados *r, rados_xattrs_iter_t attributes,
                           struct rados_pieces *ret)
{
    const char *name, *value;
    size_t len;

    *ret = (struct rados_pieces){.piece = 0};
    while (r->lib->getxattrs_next(attributes, &name, &value, &len) == 0 && name)
        if (strcmp(name, PIECES) == 0 && len == PIECES_LEN) {
            decode((const uint8_t *)value, ret);
        } else if (strcmp(name, SUM) == 0 && len == SUM_LEN) {
            ret->sum = get_le64((const uint8_t *)value);
            ret->summed = true;
        }
    r->lib->getxattrs_end(attributes);
}

/* ---- writing ---- */

int rados_object_put(const struct rados *r, rados_ioctx_t io, const char *name, const void *data,
                     size_t len, const struct rados_pieces *p, bool replace)
{
    rados_write_op_t op = r->lib->create_write_op();
    uint8_t sum[SUM_LEN], attribute[PIECES_LEN];
    int err;

    if (!op)
        return -ENOMEM;
    put_le64(sum, XXH64(data, len, 0));
    if (!replace)
        r->lib->write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
    r->lib->write_op_write_full(op, data, len);
    r->lib->write_op_setxattr(op, SUM, (const char *)sum, sizeof sum);
    if (p)
        encode(p, attribute);
    if (p || replace) /* an empty attribute takes the place of an old one */
        r->lib->write_op_setxattr(op, PIECES, (const char *)attribute, p ? sizeof attribute : 0);
    err = r->lib->write_op_operate2(op, io, name, NULL, LIBRADOS_OPERATION_FULL_TRY);
    r->lib->release_write_op(op);
    return rados_told(err);
}

int rados_object_remove(const struct rados *r, rados_ioctx_t io, const char *name)
{
    rados_write_op_t op = r->lib->create_write_op();
    int err;

    if (!op)
        return -ENOMEM;
    r->lib->write_op_remove(op);
    err = r->lib->write_op_operate2(op, io, name, NULL, LIBRADOS_OPERATION_FULL_TRY);
    r->lib->release_write_op(op);
    return rados_told(err);
}

/* ---- reading ---- */

ssize_t rados_object_read(const struct rados *r, rados_ioctx_t io, const char *name, void *buf,
                          size_t len, uint64_t off, struct rados_pieces *ret_pieces)
{
    rados_read_op_t op = r->lib->create_read_op();
    rados_xattrs_iter_t attributes = NULL;
    size_t got = 0;
    int err, attributes_err = 0, read_err = 0;

    if (!op)
        return -ENOMEM;
    r->lib->read_op_getxattrs(op, &attributes, &attributes_err);
    r->lib->read_op_read(op, off, len, buf, &got, &read_err);
    err = r->lib->read_op_operate(op, io, name, LIBRADOS_OPERATION_NOFLAG);
    if (err == 0)
        err = attributes_err ? attributes_err : read_err;
    if (err >= 0)
        rados_attributes_read(r, attributes, ret_pieces);
    else if (attributes)
        r->lib->getxattrs_end(attributes);
    r->lib->release_read_op(op);
    return err < 0 ? rados_told(err) : (ssize_t)got;
}

int rados_object_stat(const struct rados *r, rados_ioctx_t io, const char *name, uint64_t *ret_size,
                      int64_t *ret_age, struct rados_pieces *ret_pieces)
{
    rados_read_op_t op = r->lib->create_read_op();
    rados_xattrs_iter_t attributes = NULL;
    time_t changed = 0;
    int err, attributes_err = 0, stat_err = 0;

    if (!op)
        return -ENOMEM;
    r->lib->read_op_getxattrs(op, &attributes, &attributes_err);
    r->lib->read_op_stat(op, ret_size, &changed, &stat_err);
    err = r->lib->read_op_operate(op, io, name, LIBRADOS_OPERATION_NOFLAG);
    if (err == 0)
        err = attributes_err ? attributes_err : stat_err;
    if (err >= 0)
        rados_attributes_read(r, attributes, ret_pieces);
    else if (attributes)
        r->lib->getxattrs_end(attributes);
    r->lib->release_read_op(op);
    if (ret_age)
        *ret_age = time(NULL) - changed;
    return err < 0 ? rados_told(err) : 0;
}

/* ---- verifying ---- */

/* Has an OSD hash the bytes [0, size) of an object: *ret_sum. */
static int hash_there(const struct rados *r, rados_ioctx_t io, const char *name, uint64_t size,
                      uint64_t *ret_sum)
{
    rados_read_op_t op = r->lib->create_read_op();
    const uint8_t seed[8] = {0};
    uint8_t answer[4 + 8] = {0}; /* how many sums there are, and the sum; little-endian */
    int err, hash_err = 0;

    if (!op)
        return -ENOMEM;
    r->lib->read_op_checksum(op, LIBRADOS_CHECKSUM_TYPE_XXHASH64, (const char *)seed, sizeof seed,
                             0, size, 0, (char *)answer, sizeof answer, &hash_err);
    err = r->lib->read_op_operate(op, io, name, LIBRADOS_OPERATION_NOFLAG);
    r->lib->release_read_op(op);
    if (err == 0)
        err = hash_err;
    if (err == 0 && get_le32(answer) != 1)
        err = -EOPNOTSUPP;
    *ret_sum = get_le64(answer + 4);
    return err < 0 ? rados_told(err) : 0;
}

int rados_object_verify(const struct rados *r, rados_ioctx_t io, const char *name,
                        struct rados_pieces *ret_pieces)
{
    uint64_t size, sum;
    int err = rados_object_stat(r, io, name, &size, NULL, ret_pieces);

    if (err < 0)
        return err;
    if (!ret_pieces->summed)
        return -EOPNOTSUPP;
    if (size == 0)
        return ret_pieces->sum == XXH64("", 0, 0) ? 0 : -EUCLEAN;
    err = hash_there(r, io, name, size, &sum);
    return err < 0 ? err : sum == ret_pieces->sum ? 0 : -EUCLEAN;
}
