#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make.sh N TALLY [pool] - vN.tar.xz and vN.sums, by the program TALLY of that version, as root; or
# vN-pool, of a member of a pool. The store is left as by a daemon that was killed: its last changes
# are in the log alone. Its shard or pool is `outside`, which has the name /mnt in a mount namespace
# of its own, because a store knows that name.
set -eu # yes(1) ends by a signal
[[ ${TALLY_OWN_MNT-} ]] || TALLY_OWN_MNT=1 exec unshare --mount --propagation private bash "$0" "$@"
here=$(dirname "$(realpath "$0")") version=$1 TALLY=$(realpath "$2") kind=${3-}
out=v$version${kind:+-$kind}
W=$(mktemp -d "${TMPDIR:-/tmp}/tally-make-XXXXXX")
S=$W/store M=$W/mnt
mkdir "$M" "$W/outside"
mount --bind "$W/outside" /mnt
daemon=
trap 'set +e; kill -KILL $daemon 2>/dev/null; umount -l "$M" /mnt 2>/dev/null; rm -rf "$W"' EXIT

start() {
    "$TALLY" mount -f -o rw "$S" "$M" </dev/null &
    daemon=$!
    for _ in $(seq 2000); do
        ! mountpoint -q "$M" || return 0
        sleep 0.1
    done
    return 1
}
change() { # FILE WORD OFFSET…
    python3 - "$@" <<'PY'
import os, sys
with open(sys.argv[1], "r+b") as f:
    for at in sys.argv[3:]:
        f.seek(int(at))
        f.write(sys.argv[2].encode())
    f.flush()
    os.fsync(f.fileno())
PY
}

# What came with version 6: holes in a block, a symlink at the root, a frozen namespace, a changed
# setting, a ghost.
six() {
    mkdir "$M/main/six"
    yes "with holes" | head -c 300000 >"$M/main/six/holes"
    fallocate --punch-hole --offset 8192 --length 16384 "$M/main/six/holes"
    yes "on another disk" | head -c 200000 >"$M/main/six/away"
    ln -s main/a "$M/short"
    "$TALLY" -C "$M" drain >/dev/null
    "$TALLY" -C "$M" branch main ice >/dev/null
    "$TALLY" -C "$M" set ns:ice.frozen yes >/dev/null
    "$TALLY" -C "$M" set sweep_interval 2h >/dev/null
    "$TALLY" -C "$M" set flush_interval 100s >/dev/null # so that the last changes stay in the log
    [[ $kind != pool ]] || return 0
    mkdir /mnt/shard
    "$TALLY" -C "$M" shard add 1 dir:/mnt/shard >/dev/null
    "$TALLY" -C "$M" move main/six/away 1 >/dev/null
}

if [[ $kind == pool ]]; then
    "$TALLY" init --label "old/v$version" --pool dir:/mnt/pool "$S"
else
    "$TALLY" init --label "old/v$version" "$S"
fi
start
cd "$M/main"
mkdir -p a/b/c empty
chmod 750 a/b
echo small >a/small
: >a/nothing
chmod 600 a/small
chown 1000:1001 a/nothing
chmod 4711 a/nothing
yes "a large one" | head -c 300000 >a/b/large
yes 0123456789abcde | head -c 320000 >a/b/parts
truncate -s 1M a/holes
change a/holes "in the middle" 500000
ln -s ../a/small a/link
ln -s /nowhere dangling
ln a/small a/b/c/hard
mkfifo fifo
setfattr -n user.short -v one a/small
setfattr -n user.long -v "$(head -c 3000 /dev/zero | tr '\0' x)" a/b
for i in $(seq 30); do echo "number $i" >"a/b/c/n$i"; done
echo gone >unlinked
echo renamed >before
cd /
"$TALLY" -C "$M" drain >/dev/null
"$TALLY" -C "$M" branch main twin >/dev/null
cd "$M/main"
change a/b/parts CHANGED 5000 70000 200001
"$TALLY" -C "$M" pin main/a/b/large
cd "$M/twin"
echo twin >a/small
rm a/b/c/n1
mv a/b/c/n2 moved
echo "only here" >a/twin
cd /
((version < 6)) || six
"$TALLY" -C "$M" drain >/dev/null
"$TALLY" umount "$M"
wait "$daemon"

start
cd "$M/main"
rm unlinked
mv before after
echo late >late
ln late a/late2
setfattr -n user.late -v two a/small
change a/b/parts logged 123456
change a/b/c/n5 NUMBER 0
mkdir ../twin/late
change ../twin/a/b/large logged 150000
cd /
"$here/manifest.py" "$M" >"$here/$out.sums"
if ((version >= 6)); then # a file that is open and has no name
    exec 9>"$M/main/open"
    echo "nobody can read this" >&9
    rm "$M/main/open"
fi
kill -KILL "$daemon"
wait "$daemon" || true
umount -l "$M"
parts=store
((version < 6)) && [[ $kind != pool ]] || parts="store outside"
# shellcheck disable=SC2086 # words
tar -C "$W" --sort=name --numeric-owner -S -cJf "$here/$out.tar.xz" $parts
ls -l "$here/$out".*
