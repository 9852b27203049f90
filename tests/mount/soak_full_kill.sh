#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A small disk that is full again and again, and a daemon that is killed at any moment of that: what
# an fsync acknowledged is there after each start, and the store is sound at the end.
#     SOAK_SEED=1 SOAK_ROUNDS=6
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
small_disk 32M
S=$D/store
seed=${SOAK_SEED:-1} rounds=${SOAK_ROUNDS:-6}
soak() { python3 "${test_file%/*}/soak_full_kill.py" "$@"; }
begin
RANDOM=$seed
"$TALLY" -C "$M" set flush_interval 1s >/dev/null
for ((i = 1; i <= rounds; i++)); do
    claim "seed $seed, round $i of $rounds: killed on a disk that is filled, nothing acknowledged is lost"
    soak work "$M/main" "$W/acks" $((seed * 1000 + i)) &
    writer=$!
    sleep "$((1 + RANDOM % 3)).$((RANDOM % 10))"
    kill -KILL "$daemon"
    wait "$daemon" 2>/dev/null || true
    umount -l "$M"
    wait "$writer"
    mount_store
    soak check "$M/main" "$W/acks"
    if ((i % 2 == 0)); then
        find "$M/main" -name 'f[1-4]*' -delete
        sed -i '/^[+?-] f[1-4][0-9]* *.*$/d' "$W/acks"
        drain
    fi
done
grep -q '^! full' "$W/acks" || fail "the disk was never full"
find "$M/main" -mindepth 1 -delete
drain
finish
