// SPDX-License-Identifier: Apache-2.0
/*
 * inlet: reads an image (format/image.h) from a descriptor. A thread reads ahead into large
 * buffers, so that the other side goes on making the stream while its records are used.
 *
 *     inlet_open(fd, &in);
 *     while ((err = inlet_next(in, &record)) == 0) …;       -ENOENT: it has ended
 *     inlet_close(in);
 *
 * Errors: 0 or -errno of a read, which each later call returns again; -EBADMSG: the bytes are no
 * image that this program reads, or it is cut short.
 * One thread at a time.
 */
#pragma once

#include "image.h"

struct inlet;

/* Begins to read `fd`, which the caller closes after inlet_close. -ENOMEM, -EAGAIN: there is no
 * thread. */
int inlet_open(int fd, struct inlet **ret_in);
/* The next record. Its name and data are valid until the next call. */
int inlet_next(struct inlet *in, struct image_record *ret);
/* Waits for the read that is under way. NULL is fine. */
void inlet_close(struct inlet *in);
