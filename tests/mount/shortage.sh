#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that may have few files open: who wants more of it is told so, and the store goes on.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs python3 mountpoint
"$TALLY" init "$S"
mkdir "$M"
mount_short() { # FILES
    (ulimit -n "$1" && exec "$TALLY" mount -f ${MOUNT_OPTIONS:+-o "$MOUNT_OPTIONS"} "$S" "$M" </dev/null >>"$W/log" 2>&1) &
    daemon=$!
    pids+=("$daemon")
    wait_until mounted_or_ended
    mountpoint -q "$M"
}
state() { "$TALLY" -C "$M" status | sed -n 's/^state  *//p'; }
few=$(($(nproc) * 2 + 64))

claim "the soft limit becomes the hard one"
(ulimit -Sn 40 && exec "$TALLY" mount -f "$S" "$M" </dev/null >>"$W/log" 2>&1) &
daemon=$!
pids+=("$daemon")
wait_until mounted_or_ended
eq "$(awk '/^Max open files/ { print $4 }' "/proc/$daemon/limits")" "$(ulimit -Hn)"
unmount_store

claim "more large files are written at once than can be open: who writes is told, and all else goes on"
mount_short "$few"
python3 - "$M/main" $((few + 40)) <<'END'
import errno, os, sys
os.chdir(sys.argv[1])
data, fds, refused = os.urandom(300000), [], 0
for i in range(int(sys.argv[2])):
    fd = os.open(f"f{i}", os.O_RDWR | os.O_CREAT)
    try:
        fds.append((i, fd, os.write(fd, data)))
    except OSError as e:
        assert e.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM), e
        refused += 1
        fds.append((i, fd, 0))
    if i % 8 == 0:
        os.fsync(fd)
assert refused > 0 and len(fds) - refused > 8, refused
with open("small", "w") as f:
    f.write("small")
    f.flush()
    os.fsync(f.fileno())
for i, fd, n in fds:
    assert os.pread(fd, 300000, 0) == data[:n], i
    os.close(fd)
END
"$TALLY" -C "$M" drain "${limit}s" >/dev/null
eq "$(state)" ok
eq "$(<"$M/main/small")" small

claim "one after the other there may be as many as one likes"
head -c 300000 /dev/urandom >"$W/data"
for i in $(seq $((few * 2))); do
    printf '%d' "$i" | cat - "$W/data" >"$M/main/g$i"
done
drain
for i in $(seq $((few * 2))); do
    printf '%d' "$i" | cat - "$W/data" | cmp - "$M/main/g$i"
done
eq "$(state)" ok

claim "as many are read at once as one likes"
(
    for i in $(seq $((few * 2))); do
        exec {fd}<"$M/main/g$i"
        head -c 100000 <&"$fd" >/dev/null
    done
)
finish
