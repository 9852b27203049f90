// SPDX-License-Identifier: Apache-2.0
/*
 * import: a session on `.tally/import`: a line, then the bytes of an image (format/image.h), whose
 * tree becomes a namespace, or goes into one that is there, at its root or at the directory PATH
 * (load.h, import_into.h).
 *
 *     write   import NS[/PATH]\n           a write of its own (import_line.h); or
 *             receive NS [base=NS@NAME]\n   for a stream that another store sent (export.h);
 *             receive NS resume=BYTES:SUM\n for the rest of one that was interrupted; or
 *             have\n                  no stream follows: a read says what a sender need not send
 *     write   the stream, piece by piece; each write returns when its bytes are copied
 *     read    ok ns=NS inodes=… files=… bytes=… stored=… seq=…
 *             after `have`: a line `digest HEX NS@NAME` for each tree of which the digest is noted,
 *             a line `partial NS BYTES SUM LABEL` for each interrupted stream, and `ok`
 *
 * All of it is seen, and is durable, when the write returns that has the END. Until then nothing of
 * it is seen; and if the session is closed before, or a write has failed, nothing is left of it.
 * What was sent always becomes a new namespace, and is compared with its digest before it is seen.
 * What arrived of it when the session is closed too early is kept for an hour (parked.h).
 * Nothing follows the END, also not in its write: -EINVAL. A thread of the session works off what
 * was written; so an error may be that of a later write, and a read waits for it. After an error
 * each write fails with the same errno, and a read gives `error ERRNO import: sentence`, or
 * `receive`.
 *
 * The work is a job, for people who look or cancel. Memory: three writes, one record and that of a
 * load.
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

/* `cred` is who writes (load_open says what only root may import). Only who is `trusted` (root, and
 * the owner of the mount) may receive a difference, since that begins as a copy of its base.
 * -ENOMEM */
int import_open(struct state *p, const struct vfs_cred *cred, bool trusted, struct import **ret_s);
/* Called when no call uses the session. What was sent and has arrived is worked off first, which
 * may take as long as a write. NULL is fine. */
void import_close(struct import *s);
/* The same, and nothing is kept. */
void import_drop(struct import *s);
/* Takes the bytes: all of them, or -errno. -ESHUTDOWN, -ECANCELED: the job was cancelled; -EINVAL,
 * -EUCLEAN: that is no stream, or no line; -EEXIST: a namespace has the name; -EINTR: `interrupted`
 * was set while the write waited for what takes long; what load_open_at, load_take and
 * import_into.h say of what is there; and what the store returns. */
ssize_t import_write(struct import *s, const char *buf, size_t len,
                     const _Atomic bool *interrupted);
/* Copies up to `len` bytes of the reply that were not read yet. 0: there are none. */
ssize_t import_read(struct import *s, char *buf, size_t len);
