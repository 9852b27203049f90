// SPDX-License-Identifier: Apache-2.0
/*
 * import: a session on `.tally/import`: a line, then the bytes of an image (format/image.h), whose
 * tree becomes a namespace, or goes into one that is there, at its root or at the directory PATH
 * (load.h, import_into.h).
 *
 *     write   import NS[/PATH]\n       a write of its own, in the grammar of the control file
 *     write   the stream, piece by piece; each write returns when its bytes are copied
 *     read    ok ns=NS inodes=… files=… bytes=… stored=… seq=…
 *
 * All of it is seen, and is durable, when the write returns that has the END. Until then nothing of
 * it is seen; and if the session is closed before, or a write has failed, nothing is left of it.
 * Nothing follows the END, also not in its write: -EINVAL. A thread of the session works off what
 * was written; so an error may be that of a later write, and a read waits for it. After an error
 * each write fails with the same errno, and a read gives `error ERRNO import: sentence`.
 *
 * The work is a job, for people who look or cancel. Memory: three
 * writes, one record and that of a load.
 *
 * Threads: any; of two writes at once the second is -EBUSY. The caller holds no lock. A thread that
 * must not wait gets -EWOULDWAIT where it would have to (nowait.h).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct import;
struct state;
struct vfs_cred;

/* `cred` is who writes (load_open says what only root may import). -ENOMEM */
int import_open(struct state *p, const struct vfs_cred *cred, struct import **ret_s);
/* Called when no call uses the session. NULL is fine. */
void import_close(struct import *s);
/* Takes the bytes: all of them, or -errno. -ESHUTDOWN, -ECANCELED: the job was cancelled; -EINVAL,
 * -EUCLEAN: that is no stream, or no line; -EEXIST: a namespace has got the name meanwhile; what
 * load_open_at, load_take and import_into.h say of what is there; and what the store returns. */
ssize_t import_write(struct import *s, const char *buf, size_t len);
/* Copies up to `len` bytes of the reply that were not read yet. 0: there are none. */
ssize_t import_read(struct import *s, char *buf, size_t len);
