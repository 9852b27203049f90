// SPDX-License-Identifier: Apache-2.0
/*
 * shard_dir_open: files that are kept open by name. The file that was unused for longest makes room
 * for a new one. A name that is replaced or deleted is forgotten: a thread that reads the file may
 * finish, and no other thread finds it any more.
 */
#include "shard_dir_impl.h"

#include <string.h>
#include <unistd.h>

void shard_dir_files_init(struct shard_dir_files *f)
{
    memset(f, 0, sizeof *f);
    mutex_init(&f->lock, "shard files");
}

/* The hash of a name: FNV-1a, never 0. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return hash | 1;
}

static void close_file(struct shard_dir_file *file)
{
    close(file->fd);
    file->name[0] = '\0';
    file->used = 0;
    file->gone = false;
}

void shard_dir_files_release(struct shard_dir_files *f)
{
    for (size_t i = 0; i < SHARD_DIR_OPEN; i++)
        if (f->file[i].name[0])
            close_file(&f->file[i]);
    mutex_destroy(&f->lock);
}

static struct shard_dir_file *find_open_file(struct shard_dir_files *f, const char *name)
{
    uint64_t hash = hash_of(name);

    for (size_t i = 0; i < SHARD_DIR_OPEN; i++)
        if (f->hash[i] == hash && strcmp(f->file[i].name, name) == 0)
            return &f->file[i];
    return NULL;
}

struct shard_dir_file *shard_dir_files_get(struct shard_dir_files *f, const char *name,
                                           uint64_t *ret_changes)
{
    MUTEX_GUARD(&f->lock);
    struct shard_dir_file *file = find_open_file(f, name);

    *ret_changes = f->changes;
    if (!file)
        return NULL;
    file->users++;
    file->used = ++f->uses;
    return file;
}

void shard_dir_files_put_back(struct shard_dir_files *f, struct shard_dir_file *file)
{
    MUTEX_GUARD(&f->lock);
    if (--file->users == 0 && file->gone)
        close_file(file);
}

bool shard_dir_files_add(struct shard_dir_files *f, const char *name, int fd, uint64_t changes)
{
    MUTEX_GUARD(&f->lock);
    struct shard_dir_file *oldest = NULL;

    if (f->changes != changes || find_open_file(f, name))
        return false;
    for (size_t i = 0; i < SHARD_DIR_OPEN; i++) {
        struct shard_dir_file *file = &f->file[i];

        if (file->users == 0 && (!oldest || file->used < oldest->used))
            oldest = file;
    }
    if (!oldest)
        return false;
    if (oldest->name[0])
        close_file(oldest);
    memcpy(oldest->name, name, strlen(name) + 1);
    f->hash[oldest - f->file] = hash_of(name);
    oldest->fd = fd;
    oldest->used = ++f->uses;
    return true;
}

void shard_dir_files_forget(struct shard_dir_files *f, const char *name)
{
    MUTEX_GUARD(&f->lock);
    struct shard_dir_file *file = find_open_file(f, name);

    f->changes++;
    if (!file)
        return;
    f->hash[file - f->file] = 0;
    if (file->users)
        file->gone = true;
    else
        close_file(file);
}
