// SPDX-License-Identifier: Apache-2.0
/* vault: see the header. */
#include "vault.h"

#include "random_tree.h"
#include "shard_mem.h"
#include "shard_traffic.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    uint64_t *rng;
    char url[600];
    struct shard_mem *mem; /* NULL: a directory */
    struct fault fault;    /* of `mem` */
    char dir[500], away[520];
    struct shard_meter *meter; /* of the directory */
} v;

static const struct shard_mem_odds always = {
    .patience = VAULT_PATIENCE,
    .per_mille = {[SHARD_MEM_REPEATED] = 150, [SHARD_MEM_LATE_EXISTS] = 50}};
static const struct shard_mem_odds unwell = {.patience = VAULT_PATIENCE,
                                             .per_mille = {[SHARD_MEM_LOST_REPLY] = 200,
                                                           [SHARD_MEM_REPEATED] = 150,
                                                           [SHARD_MEM_LATE_EXISTS] = 50,
                                                           [SHARD_MEM_STALL] = 30}};

static uint64_t pick(uint64_t n)
{
    return (fault_random(v.rng) >> 8) % n;
}

const char *vault_url(void)
{
    return v.url;
}

/* ---- in memory ---- */

static void set_odds(const struct shard_mem_odds *odds)
{
    struct shard_mem_odds seeded = *odds;

    seeded.seed = fault_random(v.rng);
    shard_mem_set_odds(v.mem, &seeded);
}

static void spoil_memory(void)
{
    switch (pick(5)) {
    case 0:
        shard_mem_set(v.mem, SHARD_MEM_UNREACHABLE, true);
        break;
    case 1:
        shard_mem_set(v.mem, SHARD_MEM_FULL, true);
        break;
    case 2:
        v.fault.fail_at = 1 + pick(4);
        v.fault.loss = FAULT_LOSE_SOME;
        v.fault.seed = fault_random(v.rng);
        break;
    default:
        set_odds(&unwell);
    }
}

static void heal_memory(void)
{
    shard_mem_release(v.mem);
    set_odds(&always);
    shard_mem_set(v.mem, SHARD_MEM_UNREACHABLE, false);
    shard_mem_set(v.mem, SHARD_MEM_FULL, false);
    fault_reset(&v.fault);
}

/* ---- a directory ---- */

/* No file of this process gets longer than that: then a put ends in its midst. */
static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};

    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* What a process leaves that dies in the midst of a put. */
static void leave_a_part(void)
{
    char path[600];
    int fd;

    snprintf(path, sizeof path, "%s/tmp/put.%016llx", v.dir, (unsigned long long)pick(1000000));
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, path, pick(sizeof path)) >= 0);
    close(fd);
}

static void spoil_directory(void)
{
    switch (pick(3)) {
    case 0:
        CHECK(rename(v.dir, v.away) == 0);
        break;
    case 1:
        leave_a_part();
        break;
    default:
        limit_files(pick(2) ? pick(1000) : pick(300000));
    }
}

static void heal_directory(void)
{
    limit_files(RLIM_INFINITY);
    CHECK(rename(v.away, v.dir) == 0 || errno == ENOENT);
}

static void begin_directory(const char *dir)
{
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    snprintf(v.dir, sizeof v.dir, "%.400s/tally-vault-XXXXXX", dir);
    CHECK(mkdtemp(v.dir));
    snprintf(v.away, sizeof v.away, "%s.away", v.dir);
    snprintf(v.url, sizeof v.url, "dir:%s", v.dir);
    CHECK(shard_meter_open(v.url, &v.meter) == 0);
}

static void end_directory(void)
{
    char command[600];

    shard_meter_close(v.meter);
    snprintf(command, sizeof command, "rm -r '%s'", v.dir);
    CHECK(system(command) == 0);
}

static uint64_t calls_of_directory(void)
{
    struct shard_traffic t;
    uint64_t n = 0;

    shard_meter_read(v.meter, &t);
    for (unsigned i = 0; i < SHARD_REQUESTS; i++)
        n += t.requests[i];
    return n;
}

static void flip_on_disk(const char *name, uint64_t at, unsigned bit)
{
    char path[1200];
    uint8_t byte;
    int fd;

    snprintf(path, sizeof path, "%s/%s", v.dir, name);
    fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
    byte ^= (uint8_t)(1u << bit);
    CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
    close(fd);
}

static int add_to(const char *name, uint64_t size, void *ctx)
{
    uint64_t *held = ctx;

    (void)name;
    held[0]++;
    held[1] += size;
    return 0;
}

/* ---- either ---- */

void vault_begin(const char *dir, uint64_t *rng)
{
    v.rng = rng;
    if (dir) {
        begin_directory(dir);
        return;
    }
    snprintf(v.url, sizeof v.url, "mem:vault");
    CHECK(shard_mem_create("vault", &v.fault, &v.mem) == 0);
}

void vault_end(void)
{
    if (v.mem)
        shard_mem_destroy(v.mem);
    else
        end_directory();
}

void vault_settle(void)
{
    if (v.mem)
        set_odds(&always);
}

void vault_spoil(void)
{
    if (v.mem)
        spoil_memory();
    else
        spoil_directory();
}

void vault_heal(void)
{
    if (v.mem)
        heal_memory();
    else
        heal_directory();
}

bool vault_may_fail(int err)
{
    return err == -EHOSTUNREACH || err == -EIO || err == -ENOSPC || (!v.mem && err == -EFBIG);
}

bool vault_set_clock(int64_t now_ns)
{
    if (v.mem)
        shard_mem_set_clock(v.mem, now_ns);
    return v.mem != NULL;
}

uint64_t vault_calls(void)
{
    uint64_t n = 0;

    if (!v.mem)
        return calls_of_directory();
    for (unsigned i = 0; i < SHARD_MEM_CALLS; i++)
        n += shard_mem_calls(v.mem, (enum shard_mem_call)i);
    return n;
}

void vault_held(uint64_t *ret_count, uint64_t *ret_used)
{
    uint64_t held[2] = {0, 0};
    char why[SHARD_WHY];
    struct shard *s;

    if (v.mem) {
        *ret_count = shard_mem_count(v.mem);
        *ret_used = shard_mem_used(v.mem);
        return;
    }
    CHECK(shard_open(v.url, SHARD_READONLY, &s, why) == 0);
    CHECK(shard_list(s, "", add_to, held) == 0);
    shard_close(s);
    *ret_count = held[0];
    *ret_used = held[1];
}

void vault_lose(const char *name)
{
    char path[1200];

    if (v.mem) {
        CHECK(shard_mem_lose(v.mem, name) == 0);
        return;
    }
    snprintf(path, sizeof path, "%s/%s", v.dir, name);
    CHECK(unlink(path) == 0);
}

void vault_flip(const char *name, uint64_t byte, unsigned bit)
{
    if (v.mem)
        CHECK(shard_mem_flip(v.mem, name, byte, bit) == 0);
    else
        flip_on_disk(name, byte, bit);
}
