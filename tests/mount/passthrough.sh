#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Large sealed files that nobody may write are read by the kernel itself (passthrough.py has the
# mixtures, one by one); where that cannot be had, or is not wanted, all is the same, but slower.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
state() { sed -n 's/^passthrough *//p' "$M/.tally/status"; }
mixtures() { python3 "${test_file%/*}/passthrough.py" "$M" "$1"; }
passthrough_files() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["passthrough_files"])' "$M/.tally/stats.json"; }

claim "status says whether the kernel does it, and why not"
unmount_store
mount_with -o passthrough=off
eq "$(state)" "no: passthrough=off"
claim "passthrough=off: through the daemon, without a word in the log"
mixtures off
unmount_store
eq "$(cat "$W/log")" ""
mount_with -o passthrough=auto
if [[ $(state) != yes ]]; then
    matches "$(state)" '^no: .'
    eq "$(grep -c 'large files are not read by the kernel' "$W/log")" 1
    mixtures off
    finish
    skip "the kernel does not do it here: $(sed 's/.*passthrough //' "$W/log")"
fi

claim "passthrough=auto"
mixtures on

claim "by threads that read the device it is the same"
if [[ $(sed -n 's/^requests *by //p' "$M/.tally/status") != threads ]]; then
    unmount_store
    mount_with -o transport=threads,passthrough=auto
    mixtures on
fi

claim "passthrough=all: also what may be written, while nobody does"
unmount_store
mount_with -o passthrough=all
head -c 300000 /dev/urandom >"$W/bytes"
cp "$W/bytes" "$M/main/a"
drain
exec 5<"$M/main/a"
eq "$(passthrough_files)" 1
cmp "$W/bytes" "$M/main/a"
eq "$(errno_of 'os.open(argv[0], os.O_RDWR)' "$M/main/a")" ETXTBSY
exec 5<&-

claim "with verify=open what is damaged is not opened: EIO, and an alarm"
object=$(find "$S/objects" -type f -size +200k ! -name '*.sums')
"$TALLY" -C "$M" set ns:main.verify open >/dev/null
matches "$(cat "$M/.tally/namespaces/main/options")" 'verify=open'
cmp "$W/bytes" "$M/main/a"
printf 'X' | dd of="$object" bs=1 seek=200000 conv=notrunc status=none
eq "$(errno_of 'os.open(argv[0], os.O_RDONLY)' "$M/main/a")" EIO
may_log '^tally: ALARM: object [0-9a-f]{32} is damaged'
dd if="$W/bytes" of="$object" bs=1 skip=200000 seek=200000 count=1 conv=notrunc status=none
cmp "$W/bytes" "$M/main/a"

claim "who reads goes on when the daemon is killed"
exec 5<"$M/main/a"
eq "$(passthrough_files)" 1
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
python3 -c 'import os, sys; sys.stdout.buffer.write(os.pread(5, 1 << 20, 0))' >"$W/out"
cmp "$W/bytes" "$W/out"
exec 5<&-
umount -l "$M"
quiet_log

claim "a mount that ends while somebody maps a file ends well, and the next one knows nothing of it"
mount_with -o passthrough=auto
chmod 444 "$M/main/a"
mkfifo "$W/pipe"
python3 -c '
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDONLY)
m = libc.mmap(None, ctypes.c_size_t(300000), 1, 1, fd, ctypes.c_long(0))
os.close(fd)
print("mapped", flush=True)
sys.stdin.read()
sys.stdout.buffer.write(ctypes.string_at(m, 300000))' "$M/main/a" <"$W/pipe" >"$W/out" &
reader=$!
exec 6>"$W/pipe"
wait_until grep -q mapped "$W/out"
eq "$(errno_of 'os.open(argv[0], os.O_RDWR)' "$M/main/a")" ETXTBSY
umount -l "$M"
exec 6>&-
wait "$reader"
tail -c +8 "$W/out" | cmp "$W/bytes" -
wait "$daemon"
mount_store
echo more >>"$M/main/a"
finish
