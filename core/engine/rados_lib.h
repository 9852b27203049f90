// SPDX-License-Identifier: Apache-2.0
/*
 * rados_lib: the functions of librados that the driver "rados:" calls, loaded when they are first
 * needed (engine_lib.h). Private to core/engine.
 */
#pragma once

#include "shard.h"
#include <rados/librados.h>

/* Each name without its "rados_". */
#define RADOS_CALLS(X)                                                                             \
    X(create2)                                                                                     \
    X(shutdown)                                                                                    \
    X(conf_read_file)                                                                              \
    X(conf_set)                                                                                    \
    X(connect)                                                                                     \
    X(mon_command)                                                                                 \
    X(buffer_free)                                                                                 \
    X(pool_lookup)                                                                                 \
    X(ioctx_create)                                                                                \
    X(ioctx_destroy)                                                                               \
    X(ioctx_set_namespace)                                                                         \
    X(create_write_op)                                                                             \
    X(release_write_op)                                                                            \
    X(write_op_create)                                                                             \
    X(write_op_write_full)                                                                         \
    X(write_op_setxattr)                                                                           \
    X(write_op_remove)                                                                             \
    X(write_op_operate2)                                                                           \
    X(create_read_op)                                                                              \
    X(release_read_op)                                                                             \
    X(read_op_getxattrs)                                                                           \
    X(read_op_read)                                                                                \
    X(read_op_stat)                                                                                \
    X(read_op_checksum)                                                                            \
    X(read_op_operate)                                                                             \
    X(aio_read_op_operate)                                                                         \
    X(aio_create_completion2)                                                                      \
    X(aio_wait_for_complete)                                                                       \
    X(aio_get_return_value)                                                                        \
    X(aio_release)                                                                                 \
    X(getxattrs_next)                                                                              \
    X(getxattrs_end)                                                                               \
    X(nobjects_list_open)                                                                          \
    X(nobjects_list_next)                                                                          \
    X(nobjects_list_close)

struct rados_lib {
#define X(name) __typeof__(rados_##name) *name;
    RADOS_CALLS(X)
#undef X
};

/* Loads them once. -EINVAL with a sentence in `why`. Threads: any. */
int rados_lib_get(const struct rados_lib **ret_lib, char why[SHARD_WHY]);
