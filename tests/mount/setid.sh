#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs with set-id bits: whoever changes their bytes does not get the rights of their owner or
# group, in whatever way the bytes were changed, and however requests come. They are executed, since
# looking at the mode first would have the kernel ask for it.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
switch=/sys/module/fuse/parameters/enable_uring
transports=threads
if [[ -e $switch ]]; then # kill.sh moves it
    exec 7<"$switch"
    flock -s 7
    [[ $(<"$switch") != Y ]] || transports+=" uring"
fi

for by in $transports; do
    claim "by $by: who changes a program with set-id bits does not run with them"
    unmount_store
    mount_with -o "transport=$by"
    mkdir "$M/main/$by"
    "${test_file%/*}/setid.py" "$M/main/$by"
done
finish
