// SPDX-License-Identifier: Apache-2.0
/*
 * vault: the place of the archive of property_archive, which can fail: in memory (shard_mem), or a
 * directory of this machine, which is the driver of the product.
 *
 *     vault_begin(NULL, &rng) or vault_begin("/dev/shm", &rng) ... vault_end()
 *     vault_spoil(); ...; vault_heal()      a fault that is drawn, or several, and their end
 *
 * In memory answers are lost, calls stall, and the place is away or full. A directory is away, or a
 * put is cut in its midst, and what a process leaves that dies in a put lies there. Threads: one. A
 * failure ends the program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VAULT_PATIENCE (600 * INT64_C(1000000000)) /* ns: only what stalls is left by its caller */

/* `dir`: where a directory is made; NULL: in memory. `rng` is borrowed: faults are drawn from it. */
void vault_begin(const char *dir, uint64_t *rng);
void vault_end(void);
const char *vault_url(void);
/* Faults that the driver survives by itself are drawn from now on. */
void vault_settle(void);
void vault_spoil(void);
void vault_heal(void);
/* May a call fail with that while it is spoilt? */
bool vault_may_fail(int err);

/* Sets the clock by which its files have an age. False: it is a directory, which has that of this
 * machine. */
bool vault_set_clock(int64_t now_ns);
uint64_t vault_calls(void); /* so far */
void vault_held(uint64_t *ret_count, uint64_t *ret_used);
void vault_lose(const char *name); /* it is there */
void vault_flip(const char *name, uint64_t byte, unsigned bit);
