// SPDX-License-Identifier: Apache-2.0
/* ops_import: an import into a namespace that is there, on the model and on the store alike; see
 * ops.c. */
#include "model.h"
#include "image.h"
#include "import.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The files of the stream. */
static const struct {
    const char *name;
    size_t len;
} files[] = {{"import-a", 3000}, {"import-b", 200 * 1024}};
#define FILES (sizeof files / sizeof *files)

struct text {
    uint8_t *bytes;
    size_t len;
};

static void add(struct text *t, struct image_stream *s, const struct image_record *r)
{
    t->bytes = realloc(t->bytes, t->len + IMAGE_FIXED_MAX + r->len);
    CHECK(t->bytes);
    t->len += image_put(s, r, t->bytes + t->len);
    if (r->len)
        memcpy(t->bytes + t->len, r->data, r->len);
    t->len += r->len;
}

static void add_file(struct text *t, struct image_stream *s, uint64_t nth, unsigned value)
{
    size_t len = files[nth - 1].len;
    uint8_t *bytes = malloc(len);

    CHECK(bytes);
    fill(bytes, len, value);
    add(t, s,
        &(struct image_record){
            .type = IMAGE_CONTENT, .number = nth, .length = len, .data = bytes, .len = len});
    add(t, s,
        &(struct image_record){.type = IMAGE_INODE,
                               .number = nth + 1,
                               .mode = S_IFREG | 0644,
                               .size = len,
                               .content = nth});
    add(t, s,
        &(struct image_record){.type = IMAGE_ENTRY,
                               .parent = IMAGE_ROOT,
                               .number = nth + 1,
                               .name = files[nth - 1].name,
                               .name_len = strlen(files[nth - 1].name)});
    free(bytes);
}

static void make_stream(struct text *t, unsigned value)
{
    struct image_stream s;

    *t = (struct text){.bytes = malloc(IMAGE_HEAD), .len = IMAGE_HEAD};
    CHECK(t->bytes);
    image_begin(&s, t->bytes);
    add(t, &s,
        &(struct image_record){
            .type = IMAGE_INODE, .number = 1, .mode = S_IFDIR | 0755, .implied = true});
    for (unsigned i = 0; i < FILES; i++)
        add_file(t, &s, i + 1, value + i);
    add(t, &s, &(struct image_record){.type = IMAGE_END, .number = s.records});
}

static void import_models(size_t space, unsigned value)
{
    bool changes = false;

    for (unsigned i = 0; i < FILES; i++) {
        struct bytes *b = bytes_new(files[i].len);
        const struct mfile *was = model_find(&w.live, space, files[i].name);

        fill(b->data, b->len, value + i);
        changes |= !was || was->bytes->len != b->len || memcmp(was->bytes->data, b->data, b->len);
        model_set(space, files[i].name, b);
    }
    w.live.operations += changes; /* a merge of what is there is none */
}

/* The session's reply says that the namespace has the import, and is not durable. */
static bool is_there(struct import *s)
{
    char reply[4096];
    ssize_t n = import_read(s, reply, sizeof reply - 1);

    CHECK(n >= 0);
    reply[n] = 0;
    return strstr(reply, "could not be made durable");
}

static int import_files(size_t space, unsigned value)
{
    static const struct vfs_cred root = {.uid = 0};
    static const _Atomic bool never = false;
    char line[80];
    struct text t;
    struct import *s;
    ssize_t n;

    make_stream(&t, value);
    snprintf(line, sizeof line, "import %s/\n", space_names[space]);
    CHECK(import_open(w.p, &root, true, &s) == 0);
    n = import_write(s, line, strlen(line), &never);
    if (n > 0)
        n = import_write(s, (const char *)t.bytes, t.len, &never);
    if (n < 0 && is_there(s))
        import_models(space, value);
    import_close(s);
    free(t.bytes);
    return n < 0 ? (int)n : 0;
}

/* It may be there although the caller was told of an error: what is kept beside a merge has frames
 * of its own. */
static void note_imported(size_t space, unsigned value)
{
    struct model was;

    model_copy(&was, &w.live);
    import_models(space, value);
    note_attempt();
    model_drop(&w.live);
    w.live = was;
}

void op_import(size_t space, unsigned value)
{
    if (!is_off())
        note_imported(space, value);
    DO(import_files(space, value));
    import_models(space, value);
    acknowledged();
}
