// SPDX-License-Identifier: Apache-2.0
/*
 * load: how many rows a second LMDB alone loads, in the order of their keys, which is the fastest
 * way: what restores are compared with (archive.sh).
 *
 *     bench-load DIRECTORY ROWS [BYTES]         rows of 16 bytes of key, and BYTES (64) of value
 *
 * Each 100,000 rows are a transaction. It ends with a sync, and prints rows and seconds.
 */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 100000u
#define VALUE_MAX 1024

static void must(int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench-load: %s\n", mdb_strerror(rc));
    exit(1);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The key that comes after all before it; the first bytes of the value are its number. */
static void put_row(MDB_txn *txn, MDB_dbi table, uint64_t number, size_t bytes)
{
    uint8_t k[16] = {0}, v[VALUE_MAX] = {0};
    MDB_val key = {sizeof k, k}, value = {bytes, v};

    for (unsigned i = 0; i < 8; i++)
        k[15 - i] = (uint8_t)(number >> (8 * i));
    memcpy(v, &number, bytes < sizeof number ? bytes : sizeof number);
    must(mdb_put(txn, table, &key, &value, MDB_APPEND));
}

static void load(MDB_env *env, uint64_t rows, size_t bytes)
{
    MDB_txn *txn;
    MDB_dbi table;

    for (uint64_t i = 0; i < rows;) {
        must(mdb_txn_begin(env, NULL, 0, &txn));
        must(mdb_dbi_open(txn, NULL, 0, &table));
        do
            put_row(txn, table, i, bytes);
        while (++i < rows && i % BATCH);
        must(mdb_txn_commit(txn));
    }
}

int main(int argc, char **argv)
{
    const uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    const size_t bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;
    MDB_env *env;
    double begin;

    if (argc < 3 || argc > 4 || !rows || bytes > VALUE_MAX) {
        fprintf(stderr, "usage: bench-load DIRECTORY ROWS [BYTES]\n");
        return 2;
    }
    must(mdb_env_create(&env));
    must(mdb_env_set_mapsize(env, (size_t)64 << 30));
    must(mdb_env_open(env, argv[1], MDB_NOSYNC, 0600));
    begin = seconds();
    load(env, rows, bytes);
    must(mdb_env_sync(env, 1));
    printf("rows=%llu seconds=%.3f\n", (unsigned long long)rows, seconds() - begin);
    mdb_env_close(env);
    return 0;
}
