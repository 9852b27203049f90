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
/* Of the live model; it must be there. */
struct bytes *model_get(size_t space, const char *name);
/* The live file's bytes are these now (takes over the reference); NULL: it is gone. */
void model_set(size_t space, const char *name, struct bytes *b);
/* The live state is one that a crash may leave. */
void note_attempt(void);
/* Loose: these bytes may be found in the file after a cut, in part. */
void note_version(size_t space, const char *name, struct bytes *b);
/* Loose: what may be found in the one may be found in the other, now and later. */
void share_versions(size_t space, const char *name, size_t space2, const char *name2);
size_t family_of(size_t space, const char *name);
/* Everything that was done so far is durable. */
void acknowledged(void);

/* ---- ops.c ---- */

/* No more operations, also when the power went without one having noticed. */
bool is_off(void);
/* Was it done? On an error: is it the injected one? Then *again says whether to try once more. */
bool done(int err, bool *again);

/* A flush, or what has one in it, ended so. */
void flushed(int err);

/* Run `call` until it is done; a second failure in a row is one too many. */
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
/* Look it up, and forget it again. */
int find(size_t space, const char *name, struct vfs_attr *ret);
/* `len` bytes that follow from `value`. */
void fill(uint8_t *buf, size_t len, unsigned value);
int write_all(struct vfs_file *f, const uint8_t *buf, size_t len, size_t off);
/* Not when the power is off, which none may have noticed before: then the work stops. */
bool id_of_file(size_t space, const char *name, struct id *ret);

/* What the model calls the attribute user.v of a file; good for two calls. */
const char *attr_of(const char *name);
bool is_attr(const struct mfile *f);
