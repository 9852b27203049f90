// SPDX-License-Identifier: Apache-2.0
/*
 * load: the records of an image (format/image.h) become the tree of a draft: a namespace that
 * nobody sees, and whose changes are not in the log.
 *
 *     load_open(p, draft, &cred, &l);        or load_open_at: into a tree that is there
 *     err = load_take(l, &record, &why);       for each record up to the END
 *     load_get_result(l, &result);             once the END was taken, all is in the draft
 *     load_close(l);
 *
 * Contents go straight into packs and files, and what is stored already is not stored again; items
 * go straight into the tree. Nothing here makes the draft durable or seen. The reader of the stream
 * has checked each record in itself; here it is checked against the others: an entry stands in a
 * directory that has a name itself, a directory has one name, a content belongs to an inode of its
 * length. So the tree of a draft is whole after the END, whatever the stream says.
 *
 * In a draft that has a tree already, a directory of the stream whose name leads to a directory
 * becomes that one (load_met.c), and other files take the place of what has their name. Nothing
 * outside of the directory at which the stream is put is changed.
 *
 * Memory: that of the last LOAD_KEPT contents' numbers, some hundred inodes, one block or small
 * content; 16 bytes for each 1024 inodes, 32 for each directory that was there; and all loads
 * together 64 MiB of larger contents. If the store is short of memory or room, load_take waits for
 * a flush.
 *
 * Errors: 0 or -errno, with a sentence in `why`: -EINVAL, -EEXIST, -EMLINK, … the stream does not
 * fit together; -EISDIR, -ENOTDIR it does not fit to what is there; others are those of the store.
 * After an error the draft is to be dropped, and load_take must not be called again.
 *
 * Threads: one at a time. The caller holds no lock; load_take waits, so the thread must be allowed
 * to.
 */
#pragma once

#include "image.h"
#include "strbuf.h"
#include <stdint.h>

struct load;
struct ns;
struct state;
struct vfs_cred;

/* An INODE can name the contents with the last so many numbers. */
#define LOAD_KEPT 4096

struct load_result {
    uint64_t inodes;  /* that have a name, without the root */
    uint64_t files;   /* of these, regular files */
    uint64_t bytes;   /* of contents and of long attributes that the stream had, without holes */
    uint64_t stored;  /* of these, bytes that were not here before */
};

/* Begins to load into `draft`, an empty namespace with a root directory, which the caller keeps
 * referenced until load_close. `cred` is who gives the stream: if that is not root all files must
 * be theirs, and neither devices nor attributes security.* and trusted.* may be among them, since
 * they could not make these otherwise: -EPERM. -ENOMEM */
int load_open(struct state *p, struct ns *draft, const struct vfs_cred *cred,
              struct load **ret_l);
/* The same for a draft that has a tree. The stream is put at the directory `path`, from the root of
 * the tree: "", or names between '/', none of which is "..". Symlinks are not followed. The last
 * one is made if it is not there, with the attributes of the stream's root. -ENOENT, -ENOTDIR,
 * -EINVAL, -ENAMETOOLONG: there can be no such directory, with a sentence in `why`. Only root:
 * -EPERM. */
int load_open_at(struct state *p, struct ns *draft, const struct vfs_cred *cred, const char *path,
                 struct load **ret_l, struct strbuf *why);
int load_take(struct load *l, const struct image_record *r, struct strbuf *why);
void load_get_result(const struct load *l, struct load_result *ret);
/* Also in the middle of a stream. NULL is fine. */
void load_close(struct load *l);
