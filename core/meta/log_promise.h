// SPDX-License-Identifier: Apache-2.0
/*
 * log_promise: the tables say that a log must be there, so that one whose segments are all gone is
 * no log that never was (FORMAT.md, section 3, "log").
 *
 *     first segment durable -> log_promise_save -> first frame      no change is acknowledged before
 *     last commit -> log_promise_clear -> segments go               a clean end
 *
 * While it stands, for the epoch of the last commit, the segment where the log goes on or the next
 * one has its name in log/ at every moment (log_make.c).
 */
#pragma once

#include "kv.h"
#include <stdbool.h>

#define LOG_PROMISE_LEN 24

/* One that is damaged promises nothing. */
bool log_promise_decode(const void *val, size_t len, uint64_t *ret_epoch);
/* Must a log of that epoch be there? */
int log_promise_load(struct kv *kv, uint64_t epoch, bool *ret);
int log_promise_save(struct kv *kv, uint64_t epoch);
int log_promise_clear(struct kv *kv);
