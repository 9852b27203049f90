// SPDX-License-Identifier: Apache-2.0
/*
 * log_promise: a record in the tables which says that a log must exist. Without it a start could
 * not tell a log whose segments were all lost from a store that never had one (FORMAT.md, section
 * 3, "log").
 *
 *     first segment durable -> log_promise_save -> first frame    before any change is acknowledged
 *     last commit -> log_promise_clear -> segments removed        a clean end
 *
 * The record holds for the epoch of the last commit. While it exists, either the segment where the
 * log goes on or the one after it has its name in log/ at every moment (log_make.c).
 */
#pragma once

#include "kv.h"
#include <stdbool.h>

#define LOG_PROMISE_LEN 24

/* Decodes the record. False: it is damaged, and then it promises nothing. */
bool log_promise_decode(const void *val, size_t len, uint64_t *ret_epoch);
/* Sets *ret to whether a log of that epoch must exist. A missing or damaged record sets false and
 * is no error. */
int log_promise_load(struct kv *kv, uint64_t epoch, bool *ret);
/* Both write in a transaction of their own, which is durable when the call returns. */
int log_promise_save(struct kv *kv, uint64_t epoch);
int log_promise_clear(struct kv *kv);
