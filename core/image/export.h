// SPDX-License-Identifier: Apache-2.0
/*
 * export: a session on `.tally/export`: a line, and then a namespace as an image (format/image.h),
 * for another store or for a program of this machine. `import` is the way back.
 *
 *     write   send NS\n             the whole namespace, or what NS@NAME is
 *             send NS@A..B\n        what NS@B has that NS@A has not; NS@A.. is up to now
 *             send NS DIGEST…\n     the difference to the last of these trees that is kept of NS
 *                                   here; all of it if none is
 *             export NS[/PATH]\n    the namespace, or what NS@NAME is, or a directory in it, as
 *                                   save_for_program has it: no digests
 *     read    the stream, up to its end
 *
 * What is sent is frozen at the write. A stream of `send` begins with the digest of its base, and
 * ends with that of the tree, which are made of all bytes of these trees, unless they are noted
 * (digest/noted.h).
 *
 * After a write or a read has failed a read gives `error ERRNO VERB: sentence`. A stream that ends
 * in the middle has no END, so the receiver refuses it.
 *
 * The work is a job, for people who look or cancel. Memory: that of save.h.
 *
 * Threads: any; of two calls at once the second is -EBUSY. The caller holds no lock, and its thread
 * may wait.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct export_session;
struct state;

int export_open(struct state *p, struct export_session **ret_s); /* -ENOMEM */
void export_close(struct export_session *s); /* when no call uses the session; NULL is fine */
/* Takes the line: all of it, or -errno. -EINVAL: it is none of these, or the stream has begun;
 * -ENOENT: there is no such namespace or PATH; -ENOTDIR: PATH is no directory;
 * -EBUSY: as many exports and imports run as there can be. */
ssize_t export_write(struct export_session *s, const char *buf, size_t len);
/* The next bytes of the stream, as many as were asked for unless it ends; 0: it has ended. When
 * `interrupted` is set meanwhile the session has failed with -EINTR. */
ssize_t export_read(struct export_session *s, char *buf, size_t len,
                    const _Atomic bool *interrupted);
