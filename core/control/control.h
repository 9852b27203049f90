// SPDX-License-Identifier: Apache-2.0
/*
 * control: sessions on the control file: whole commands in, replies out. The grammar is in
 * command.h, what the verbs do in control_verbs.c, the rules of a session in CONTROL.md's words:
 *
 * A write holds whole commands, parsed all before the first runs. The first to fail gives the
 * write its errno; if a later one fails the write is short: the bytes before that line. A read on a
 * session that wrote gives its unread replies, then end of file; on one that did not, the reply
 * last completed on this mount.
 *
 * Replies are bounded: when those of one write have 1 MiB no further command of it begins, and the
 * write is short; one that would have more than 16 MiB is -E2BIG instead. Those of earlier writes
 * that nobody has read go when they have 1 MiB.
 *
 * Threads: any; two writers on one session take turns.
 */
#pragma once

#include "state_config.h"
#include <sys/types.h>

#define CONTROL_WRITE_MAX (64 * 1024)

struct control_session;

int control_open(struct state *p, struct control_session **ret_s);
void control_close(struct control_session *s);
/* Bytes taken (see above) or -errno. `interrupted` is looked at every 50 ms while a command waits:
 * then -EINTR, and what the command started goes on.
 * `off` is that of the file, -1: not known. The replies begin behind the last write: who goes back
 * in them reads that part again, as shells do that read ahead and seek to the end of the line that
 * they took. Every other offset means nothing. */
ssize_t control_write_at(struct control_session *s, const char *buf, size_t len, int64_t off,
                         const _Atomic bool *interrupted);
ssize_t control_read_at(struct control_session *s, char *buf, size_t len, int64_t off);
/* Might this write wait (for a job, a flush, a view), or is it several changes? Then give it a thread
 * of its own. Any other one that would wait says -EWOULDWAIT (nowait.h), and nothing was done. */
bool control_may_wait(const char *buf, size_t len);
