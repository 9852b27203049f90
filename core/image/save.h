// SPDX-License-Identifier: Apache-2.0
/*
 * save: a tree that does not change becomes the records of an image (format/image.h), whole or as
 * the difference to another tree. The way back is load.h.
 *
 *     save_open(p, base, ns, &s);
 *     err = save_begin(s, digest_of_base, label);
 *     while ((err = save_step(s)) == 0)
 *         use(save_bytes(s, &len)), save_taken(s, len);
 *     if (err == -ENOENT)                          the whole tree is in the stream
 *         err = save_end(s, digest_of_ns);         and its last bytes
 *     save_close(s);
 *
 * Names, attributes and bytes come through the vfs, so bytes on other shards are read from there. A
 * content is there once, as long as at most SAVE_KNOWN_MAX contents came before it; one with
 * holes, or that was changed in parts, is there again for each file. Holes are left out.
 *
 * A difference costs the difference, unless something has to be looked for in all of the base: a
 * name of a file that was changed where it is (diff/ino_names.h), or the file that a copy was made
 * of. It has no bytes of files that the base has, and of a large file that was changed in parts
 * only the pages that differ.
 *
 * For a program of this machine a whole tree is saved otherwise (save_for_program): no base and no
 * digest; from any directory on; a file that is not empty has its first name, then bytes of its
 * own, and then its INODE again, with size and content; and the record of an inode with several
 * names has `several`. So a program that writes an archive notes only these inodes. Such a stream
 * is an image as any other one.
 *
 * Memory: one piece of IMAGE_PIECE_MAX bytes and its record; the names of the directories on the
 * way; 16 bytes for each file with several names, 64 for each content up to SAVE_KNOWN_MAX. A
 * difference takes DIFF_MEMORY at most.
 *
 * Errors: 0 or -errno; save_why says what it is about. -E2BIG: the difference is too large, and the
 * whole tree can be sent. -ECANCELED, -ESHUTDOWN as `interrupted` and closing say. After an error
 * only save_close may follow. Threads: one at a time; the caller holds no lock and may wait.
 */
#pragma once

#include "image.h"
#include <stdatomic.h>
#include <stdbool.h>

struct ns;
struct save;
struct state;

#define SAVE_KNOWN_MAX ((size_t)1 << 20)

/* Both namespaces are frozen, and the caller keeps its references until save_close. `base` NULL:
 * the tree is saved whole. `interrupted`, which may be NULL, ends long searches. -ENOMEM */
int save_open(struct state *p, struct ns *base, struct ns *ns, const _Atomic bool *interrupted,
              struct save **ret_s);
/* Before save_begin: what follows is for a program, and begins at the directory `top`, a node of
 * the tree, which is not a difference. Both digests are NULL then, and the label "". */
void save_for_program(struct save *s, uint64_t top);
/* Makes the head and the first record. `label` has at most IMAGE_LABEL_MAX bytes. */
int save_begin(struct save *s, const uint8_t *base_digest, const char *label);
/* Makes the next records. -ENOENT: there are no more. */
int save_step(struct save *s);
int save_end(struct save *s, const uint8_t *digest);
/* The bytes that were made and not taken. */
const uint8_t *save_bytes(const struct save *s, size_t *ret_len);
void save_taken(struct save *s, size_t len);
const char *save_why(const struct save *s); /* "": nothing is known but the errno */
void save_close(struct save *s);            /* NULL is fine */
