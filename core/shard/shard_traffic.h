// SPDX-License-Identifier: Apache-2.0
/*
 * shard_traffic: how many requests, and how many bytes, went to a place.
 *
 *     shard_meter_open("s3://bucket", &m)   counts what all shards of this process ask there
 *     shard_meter_read(m, &traffic)
 *     shard_meter_close(m)
 *
 * Each call that a driver has answered counts as one request of its kind, whatever the answer was.
 * A driver that sends more than one request for a call adds the others (shard_count). Opening,
 * closing and asking for the space count only as far as the driver adds them. A call that was left,
 * because the place did not answer, is not counted. The counts begin with 0 when the first meter or
 * shard is open there, and are lost when the last one is closed. Threads: any.
 */
#pragma once

#include <stdint.h>

struct shard;
struct shard_meter;

enum shard_request {
    SHARD_PUT,
    SHARD_GET, /* of a whole file, or of a range */
    SHARD_STAT,
    SHARD_DELETE,
    SHARD_LIST,
    SHARD_REQUESTS
};

struct shard_traffic {
    uint64_t requests[SHARD_REQUESTS];
    uint64_t sent;     /* bytes of files that drivers took for puts, those of a second try again */
    uint64_t received; /* bytes of files that gets returned */
};

/* `url` is as shard_open gets it. 0 or -ENOMEM. The caller closes *ret_meter. */
int shard_meter_open(const char *url, struct shard_meter **ret_meter);
void shard_meter_close(struct shard_meter *m); /* NULL is fine */
/* All zeros if `m` is NULL. */
void shard_meter_read(const struct shard_meter *m, struct shard_traffic *ret);
/* "put", "get", "stat", "delete", "list" */
const char *shard_request_name(enum shard_request kind);

/* For drivers: adds requests that a call made beside its first one, such as parts of a stream,
 * pages of a list, and second tries. Not to be called before the driver's `open` has returned. */
void shard_count(struct shard *s, enum shard_request kind, uint64_t more);
