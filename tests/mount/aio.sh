#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Asynchronous direct writes (a database's) beside readers that use the kernel's cache (its backup).
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
[[ $(uname -m) == x86_64 ]] || skip "numbers of system calls are those of x86-64"

"$TALLY" -C "$M" set flush_interval 60s >/dev/null
claim "who reads after a write has ended sees what was written, whoever read meanwhile; O_DSYNC is durable"
"${test_file%/*}/aio.py" "$M/main" 2000

claim "many such writes, and readers of the same pages, do not wait for each other for good"
timeout -s KILL "$limit" "${test_file%/*}/aio_many.py" "$M/main/many" 300
finish
