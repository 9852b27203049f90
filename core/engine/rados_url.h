// SPDX-License-Identifier: Apache-2.0
/*
 * rados_url: what a URL of the driver "rados:" says.
 *
 *     rados:POOL[/NAMESPACE][?conf=FILE&id=NAME&keyring=FILE]
 *
 *     conf      the configuration of Ceph; default: where its own programs look, such as
 *               /etc/ceph/ceph.conf
 *     id        the user, without "client."; default: admin
 *     keyring   default: what the configuration says
 */
#pragma once

#include "shard.h"

struct rados_url {
    char pool[128];
    char space[128]; /* the namespace; "": that of objects without one */
    char conf[SHARD_URL_MAX + 1];
    char id[64];
    char keyring[SHARD_URL_MAX + 1];
};

/* Both take the text behind "rados:". -EINVAL with a sentence in `why`. rados_url_normal writes the
 * form that is stored, of at most `cap` bytes with the NUL. */
int rados_url_parse(const char *rest, struct rados_url *ret, char why[SHARD_WHY]);
int rados_url_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY]);
