#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Calls drawn by a seed, on ext4 and on a mount. SEED=n SEEDS=n COUNT=n tries others.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# ext4 has no files that are busy (ETXTBSY) because the kernel reads them by itself.
MOUNT_OPTIONS=${MOUNT_OPTIONS:+$MOUNT_OPTIONS,}passthrough=off
begin
begin_compare
seed=${SEED:-1} count=${COUNT:-1000}
for i in $(seq "$seed" $((seed + ${SEEDS:-2} - 1))); do
    same "$count calls of seed $i" <<END
import random_calls
random_calls.play($i, $count)
END
done
compared
finish
