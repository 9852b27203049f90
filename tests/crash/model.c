// SPDX-License-Identifier: Apache-2.0
/*
 * model: files as plain arrays, and the states of them that a crash may leave.
 */
#include "model.h"
#include <stdlib.h>
#include <string.h>

struct world w;
const struct vfs_cred crash_cred = {0};
const char *const space_names[SPACES] = {"main", "a", "b", "c"};

/* ---- bytes and states ---- */

struct bytes *bytes_new(size_t len)
{
    struct bytes *b = calloc(1, sizeof *b + len);

    CHECK(b);
    b->refs = 1;
    b->len = len;
    return b;
}

struct bytes *bytes_ref(struct bytes *b)
{
    b->refs++;
    return b;
}

void bytes_unref(struct bytes *b)
{
    if (b && --b->refs == 0)
        free(b);
}

bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

void model_copy(struct model *to, const struct model *from)
{
    *to = *from;
    for (size_t i = 0; i < to->files; i++)
        (void)bytes_ref(to->file[i].bytes);
    for (size_t i = 0; i < to->pins; i++)
        (void)bytes_ref(to->pin[i].bytes);
}

void model_drop(struct model *s)
{
    for (size_t i = 0; i < s->files; i++)
        bytes_unref(s->file[i].bytes);
    for (size_t i = 0; i < s->pins; i++)
        bytes_unref(s->pin[i].bytes);
    *s = (struct model){0};
}

static void forget_versions(void)
{
    while (w.versions)
        bytes_unref(w.history[--w.versions].bytes);
    w.families = 0;
}

void model_release(void)
{
    model_drop(&w.live);
    model_drop(&w.acked);
    while (w.attempts)
        model_drop(&w.attempt[--w.attempts]);
    forget_versions();
    bytes_unref(w.rotten);
    w.rotten = NULL;
}

struct mfile *model_find(struct model *s, size_t space, const char *name)
{
    for (size_t i = 0; i < s->files; i++)
        if (s->file[i].space == space && !strcmp(s->file[i].name, name))
            return &s->file[i];
    return NULL;
}

void model_set(size_t space, const char *name, struct bytes *b)
{
    struct mfile *f = model_find(&w.live, space, name);

    if (b)
        note_version(space, name, b);
    if (f)
        bytes_unref(f->bytes);
    if (f && !b) {
        *f = w.live.file[--w.live.files];
        return;
    }
    if (!b)
        return;
    if (!f) {
        CHECK(w.live.files < FILES_MAX);
        f = &w.live.file[w.live.files++];
        f->space = space;
        strcpy(f->name, name);
    }
    f->bytes = b;
}

struct bytes *model_get(size_t space, const char *name)
{
    struct mfile *f = model_find(&w.live, space, name);

    CHECK(f);
    return f->bytes;
}

/* ---- what a crash may leave ---- */

void note_attempt(void)
{
    CHECK(w.attempts < ATTEMPTS_MAX);
    model_copy(&w.attempt[w.attempts++], &w.live);
}

void model_note(void)
{
    note_attempt();
}

size_t family_of(size_t space, const char *name)
{
    struct family *f = w.family;

    for (; f < w.family + w.families; f++)
        if (f->space == space && !strcmp(f->name, name))
            return f->number;
    CHECK(w.families < FAMILIES_MAX);
    *f = (struct family){.space = space, .number = w.families++};
    strcpy(f->name, name);
    return f->number;
}

void note_version(size_t space, const char *name, struct bytes *b)
{
    if (!w.loose)
        return;
    CHECK(w.versions < HISTORY_MAX);
    w.history[w.versions++] = (struct version){family_of(space, name), bytes_ref(b)};
}

void share_versions(size_t space, const char *name, size_t space2, const char *name2)
{
    if (!w.loose)
        return;
    size_t kept = family_of(space, name), gone = family_of(space2, name2);

    for (size_t i = 0; i < w.families; i++)
        if (w.family[i].number == gone)
            w.family[i].number = kept;
    for (size_t i = 0; i < w.versions; i++)
        if (w.history[i].family == gone)
            w.history[i].family = kept;
}

void acknowledged(void)
{
    model_drop(&w.acked);
    while (w.attempts)
        model_drop(&w.attempt[--w.attempts]);
    model_copy(&w.acked, &w.live);
    forget_versions();
    for (size_t i = 0; i < w.live.files; i++)
        note_version(w.live.file[i].space, w.live.file[i].name, w.live.file[i].bytes);
}
