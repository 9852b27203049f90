// SPDX-License-Identifier: Apache-2.0
/*
 * engines: makes the drivers known that keep the bytes of a shard on a storage engine: "s3:" and
 * "rados:". A driver that was left out when tallyfs was built refuses its URLs, and names the
 * package that is missing.
 */
#pragma once

/* Called once, by one thread, before the first shard is opened. */
void engines_register(void);
