// SPDX-License-Identifier: Apache-2.0
/*
 * metrics: the metrics of mounts for Prometheus: as a text, as a file for the textfile collector of
 * node_exporter, and served by HTTP.
 */
#pragma once

#include "strbuf.h"

/* Adds the metrics of the mount at `mnt`, or with NULL of all mounts that this process sees and may
 * ask. 0, -errno: there is no list of mounts, or no memory. A mount that does not answer has
 * tallyfs_up 0. */
int metrics_collect(const char *mnt, struct strbuf *out);
/* Writes them to the file tallyfs.prom in the directory `dir`, which gets its name when it is
 * whole. -errno. */
int metrics_to_file(const char *mnt, const char *dir);
/* Serves them at http://ADDRESS/metrics until a signal ends the process. `address` is PORT,
 * HOST:PORT or [HOST]:PORT; without HOST only this machine can ask. `ready` is called once, when
 * requests are taken. Returns -errno with a sentence in *why. */
int metrics_serve(const char *mnt, const char *address, void (*ready)(const char *host_and_port),
                  struct strbuf *why);
