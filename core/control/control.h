// SPDX-License-Identifier: Apache-2.0
/*
 * control: sessions on the control file: whole commands in, replies out. command.h has the grammar,
 * control_verbs.c the verbs, and CONTROL.md the rules of a session for its users. They are:
 *
 * A write holds whole commands, and all are parsed before the first runs. If the first command
 * fails, the write fails with its errno. If a later one fails, the write is short: it takes the
 * bytes before that line. A read on a session that wrote gives its unread replies, then end of
 * file. On a session that did not write, it gives the last reply that was completed on this mount.
 *
 * Replies are bounded. When the replies of one write have 1 MiB, no further command of it begins,
 * and the write is short. A single reply that would have more than 16 MiB becomes the error -E2BIG.
 * Unread replies of earlier writes are dropped when they have 1 MiB. All sessions of a store
 * together keep 48 MiB of lines and 64 MiB of replies: a command is -ENOMEM beyond that, until
 * sessions whose replies are read write again, or sessions are closed.
 *
 * Threads: any; two writers on one session take turns.
 */
#pragma once

#include "state_config.h"
#include <sys/types.h>

/* bytes of commands that one write may have */
#define CONTROL_WRITE_MAX (64 * 1024)

struct control_session;

/* Opens a session; the caller closes it with control_close, when no call uses it. -ENOMEM */
int control_open(struct state *p, struct control_session **ret_s);
void control_close(struct control_session *s);
/* Runs the commands in `buf`. Returns the bytes taken (see above), or -errno. While a command
 * waits, `interrupted` (may be NULL) is looked at every 50 ms. If it is set the call returns
 * -EINTR, and what the command started goes on. -EWOULDWAIT: see control_may_wait. The caller holds
 * no lock.
 *
 * `off` is the offset of the file; -1: not known. The replies begin at the offset behind the last
 * write. A reader that goes back to an offset within them reads that part again: some shells read
 * ahead and then seek to the end of the line that they took. All other offsets are ignored. */
ssize_t control_write_at(struct control_session *s, const char *buf, size_t len, int64_t off,
                         const _Atomic bool *interrupted);
/* Copies up to `len` unread bytes of replies to `buf`. Returns how many; 0: end of file. Waits for
 * no command. -ENOMEM */
ssize_t control_read_at(struct control_session *s, char *buf, size_t len, int64_t off);
/* Might this write wait (for a job, a flush, a view), or does it have several commands? True: the
 * caller gives it a thread of its own. If another write would wait nevertheless, it returns
 * -EWOULDWAIT (nowait.h) and has done nothing. */
bool control_may_wait(const char *buf, size_t len);
