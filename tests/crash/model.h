// SPDX-License-Identifier: Apache-2.0
/*
 * model: what the model, the operations on it and the comparison share. Private to them.
 */
#pragma once

#include "crash.h"

extern const struct vfs_cred crash_cred;
extern const char *const space_names[SPACES];

/* ---- model.c ---- */

struct bytes *bytes_new(size_t len); /* zeros */
struct bytes *bytes_ref(struct bytes *b);
void bytes_unref(struct bytes *b); /* NULL is fine */
bool bytes_equal(const struct bytes *a, const struct bytes *b);

struct mfile *model_find(struct model *s, size_t space, const char *name);
/* The bytes of a file of the live model; it must exist. */
struct bytes *model_get(size_t space, const char *name);
/* Set the bytes of a file of the live model (takes over the reference); NULL: the file is
 * removed. */
void model_set(size_t space, const char *name, struct bytes *b);
/* Note that a crash may leave the live state. */
void note_attempt(void);
/* If `loose`: note that a cut may leave parts of these bytes in the file. */
void note_version(size_t space, const char *name, struct bytes *b);
/* If `loose`: bytes that may be found in one of the files may be found in the other, now and
 * later. */
void share_versions(size_t space, const char *name, size_t space2, const char *name2);
size_t family_of(size_t space, const char *name);
/* Note that everything done so far is durable. */
void acknowledged(void);

/* ---- ops.c ---- */

/* Must no more operations run? Also true if the power went off without an operation having
 * noticed. */
bool is_off(void);
/* Did the operation succeed? On the injected error *again says whether to try once more; any other
 * error fails the test. */
bool done(int err, bool *again);

/* Note the result of a flush, or of an operation with a flush in it. */
void flushed(int err);

/* Run `call`, and once more if the injected fault has hit it. A second failure fails the test. */
#define DO(call)                                                                                   \
    do {                                                                                           \
        bool again_;                                                                               \
        if (is_off())                                                                              \
            return;                                                                                \
        note_attempt();                                                                            \
        if (!done((int)(call), &again_)) {                                                         \
            if (!again_)                                                                           \
                return;                                                                            \
            w.retried++;                                                                           \
            if (!done((int)(call), &again_)) {                                                     \
                CHECK(w.stopped);                                                                  \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
    } while (0)

uint64_t space_node(size_t space);
/* Look a name up, and give the reference back. */
int find(size_t space, const char *name, struct vfs_attr *ret);
/* `len` bytes that follow from `value`. */
void fill(uint8_t *buf, size_t len, unsigned value);
int write_all(struct vfs_file *f, const uint8_t *buf, size_t len, size_t off);
/* The id of a file. False: the power is off, possibly without an operation having noticed, and the
 * workload stops. */
bool id_of_file(size_t space, const char *name, struct id *ret);

/* The model's name for the attribute user.v of a file. The text is valid for two calls. */
const char *attr_of(const char *name);
bool is_attr(const struct mfile *f);
