#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file of 100 MB, overwritten at random places, against the same done on the disk's filesystem.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M/main"

# change FILE SEED - the same writes and truncations for the same seed.
change() {
    python3 - "$@" <<'END'
import os, random, sys
rng = random.Random(int(sys.argv[2]))
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
for i in range(200):
    at = rng.randrange(size)
    os.pwrite(fd, rng.randbytes(rng.choice((1, 100, 4096, 5000, 70000, 300000))), at)
    if i % 50 == 49:
        os.ftruncate(fd, size - rng.randrange(1 << 20))
        os.ftruncate(fd, size)
os.close(fd)
END
}

claim "100 MB go in and come out"
head -c 100000000 /dev/urandom >"$W/plain"
cp "$W/plain" big
cmp big "$W/plain"

claim "random overwrites of what is not sealed yet"
change "$W/plain" 1
change big 1
cmp big "$W/plain"

claim "a branch of it keeps the old bytes, and the store grows by what changed"
"$TALLY" branch main old >/dev/null
drain
before=$(store_kib)
want=$(digest big)
printf changed | dd of=big bs=1 seek=50000000 conv=notrunc status=none
printf changed | dd of="$W/plain" bs=1 seek=50000000 conv=notrunc status=none
eq "$(digest "$M/old/big")" "$want"
cmp big "$W/plain"
grown=$(($(store_kib) - before))
[[ $grown -lt 1024 ]] || fail "$grown KiB more for 7 bytes"
drain
eq "$(digest "$M/old/big")" "$want"

claim "random overwrites of what is sealed (seeds 2 and 3), read before and after the drain"
for seed in 2 3; do
    drain
    change "$W/plain" "$seed"
    change big "$seed"
    cmp big "$W/plain"
    drain
    cmp big "$W/plain"
done

claim "the same after a remount"
cd /
unmount_store
mount_store
cmp "$M/main/big" "$W/plain"
eq "$(digest "$M/old/big")" "$want"

claim "when both are removed, their bytes are off the disk after a drain"
rm "$M/main/big" "$M/old/big"
drain
[[ $(store_kib) -lt 20480 ]]
finish
