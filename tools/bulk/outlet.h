// SPDX-License-Identifier: Apache-2.0
/*
 * outlet: writes an image (format/image.h) to a descriptor. Records are gathered in large buffers,
 * and a thread writes them, so that who makes the records goes on meanwhile.
 *
 *     outlet_open(fd, &o); outlet_put(o, &record); …; err = outlet_close(o);
 *
 * Errors: 0 or -errno of a write, which stays: from then on nothing is written. One thread at a
 * time.
 */
#pragma once

#include "image.h"

struct outlet;

/* Begins a stream on `fd`, which the caller closes after outlet_close. -ENOMEM, -EAGAIN: there is
 * no thread. */
int outlet_open(int fd, struct outlet **ret_o);
/* The record is copied. */
int outlet_put(struct outlet *o, const struct image_record *r);
/* How many records there were: the number of the END. */
uint64_t outlet_records(const struct outlet *o);
/* Waits until all is written. NULL is fine. */
int outlet_close(struct outlet *o);
