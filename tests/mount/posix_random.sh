#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Calls drawn by a seed, on ext4 and on a mount. SEED=n SEEDS=n COUNT=n tries others.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
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
