// SPDX-License-Identifier: Apache-2.0
/*
 * write_back: has the kernel write what is dirty in shared mappings of a file, and waits for it.
 *
 * A thread does it that has a table of open files of its own, with nothing in it: while it waits in
 * the kernel for pages that we are to take, it must not be what keeps /dev/fuse open after the
 * daemon was killed. It opens the file by its handle (name_to_handle_at(2); needs
 * CAP_DAC_READ_SEARCH) and calls fdatasync: that waits until all pages have come back as WRITE
 * requests. Its own FSYNC request is answered at once.
 *
 * Without that right, or where the mount point is covered, a message to the kernel does the same,
 * from the caller's thread; a SIGKILL at that instant can leave the mount hanging until
 * `umount -f`.
 */
#pragma once

#include "fs_impl.h"

struct write_back;

int write_back_start(struct fs *fs, struct write_back **ret_w);
/* Any thread that holds no lock; one file at a time. */
void write_back_file(struct write_back *w, uint64_t nodeid);
/* Does this request come from its thread? */
bool write_back_asks(const struct write_back *w, fuse_req_t req);
/* Nobody serves requests any more: who waits goes on without, and later ones do not wait. */
void write_back_give_up(struct write_back *w);
/* After the unmount. Frees; false: its thread hangs in the kernel and keeps it. */
bool write_back_stop(struct write_back *w);
