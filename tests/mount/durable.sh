#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is on disk when: after fsync, after a drain, after umount, after SIGTERM; and who owns a store.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"

claim "what was fsynced is there after the daemon is killed: files small and large, names, branches"
"$TALLY" set flush_interval 60s >/dev/null
python3 - <<'END'
import os
def put(path, data):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
put("main/small", b"small\n")
put("main/large", os.urandom(5000000))
os.mkdir("main/d")
os.rename("main/small", "main/d/moved")
os.symlink("d", "main/link")
fd = os.open("main/d", os.O_RDONLY)
os.fsync(fd)
END
want=$(tree_digest main)
cd /
kill_daemon
mount_store
eq "$(tree_digest "$M/main")" "$want"
sync_and_kill() { sync "$1" && kill_daemon && mount_store; }
echo more >"$M/main/d/more"
sync_and_kill "$M/main/d/more"
eq "$(cat "$M/main/d/more")" more

claim "a file replaced by write, fsync, rename is the new one once the rename has returned"
for i in 1 2 3; do
    head -c 300000 /dev/urandom >"$M/main/new"
    new=$(digest "$M/main/new")
    sync "$M/main/new"
    mv "$M/main/new" "$M/main/kept"
    kill_daemon
    mount_store
    eq "$(digest "$M/main/kept")" "$new" "round $i"
    [[ ! -e $M/main/new ]]
done

claim "after a drain everything is there, also unsealed and unsynced files, and check is clean"
for i in {1..500}; do echo "$i" >"$M/main/f$i"; done
head -c 20000000 /dev/urandom >"$M/main/big"
"$TALLY" -C "$M" branch main copy >/dev/null
printf over | dd of="$M/copy/big" bs=1 seek=9000000 conv=notrunc status=none
rm "$M/main/f7"
drain
want=$(tree_digest "$M")
kill_daemon
check_clean
mount_store
eq "$(tree_digest "$M")" "$want"

claim "killed in the middle of writing, the store is sound and what was drained is there"
mkdir "$M/noise"
main=$(tree_digest "$M/main")
drained() { cat "$M"/noise/{large,small}* | sha256sum; }
# has_names COUNT [CONDITION…] - has the writer put as many, of which find(1) says so?
has_names() { [[ $(find "$M/noise" -name 'n*[0-9]' "${@:2}" 2>/dev/null | wc -l) -ge $1 ]]; }
for i in 1 2 3; do
    python3 - "$M/noise" "$i" <<'END' &
import contextlib, errno, os, random, sys
os.chdir(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
try:
    while True:
        with open(f"n{rng.randrange(200)}", "wb") as f:
            f.write(rng.randbytes(rng.choice((10, 5000, 400000))))
        if rng.random() < 0.1:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"n{rng.randrange(200)}")
except OSError as e: # the daemon is gone; io_uring cancels what it had been given
    assert e.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ECANCELED), e
END
    writer=$!
    pids+=("$writer")
    wait_until has_names 10
    head -c 300000 /dev/urandom >"$M/noise/large$i"
    echo "$i" >"$M/noise/small$i"
    want_drained=$(drained)
    "$TALLY" -C "$M" drain >/dev/null
    touch "$W/drained"
    wait_until has_names 10 -newer "$W/drained"
    ! ended "$writer" || fail "the writer has ended by itself"
    kill_daemon
    wait "$writer"
    check_clean
    mount_store
    eq "$(tree_digest "$M/main")" "$main"
    eq "$(drained)" "$want_drained"
done
"$TALLY" -C "$M" drop noise >/dev/null
eq "$(tree_digest "$M")" "$want"

claim "umount returns when the daemon is gone and all is on disk"
head -c 50000000 /dev/urandom >"$M/main/last"
want=$(digest "$M/main/last")
"$TALLY" umount "$M"
ended "$daemon" || fail "the daemon is still there"
wait "$daemon"
check_clean
mount_store
eq "$(digest "$M/main/last")" "$want"

claim "SIGTERM unmounts and writes everything"
echo x >"$M/main/x"
kill -TERM "$daemon"
wait "$daemon"
mountpoint -q "$M" && fail "still mounted"
check_clean
mount_store
eq "$(cat "$M/main/x")" x

claim "umount of a busy mount says so, and everything stays as it is"
exec 4<"$M/main/x"
fails "$TALLY" umount "$M"
matches "$(cat "$W/said")" 'is busy'
mountpoint -q "$M"
eq "$(cat "$M/main/x")" x
fails "$TALLY" umount --force "$M"
matches "$(cat "$W/said")" 'is busy'
eq "$(cat "$M/main/x")" x "with --force, too"
exec 4<&-

claim "one owner: a second mount and a check are refused with a sentence that names the store"
mkdir "$W/other"
fails "$TALLY" mount "$S" "$W/other"
matches "$(cat "$W/said")" "$S.*mount|mount.*$S"
fails "$TALLY" mount "$S" "$M"
matches "$(cat "$W/said")" 'is a tally mount already'
fails "$TALLY" check "$S"
matches "$(cat "$W/said")" "$S"
fails "$TALLY" init "$S"
echo still >"$M/main/y"
eq "$(cat "$M/main/y")" still

claim "a store is mounted in the background, too; umount waits for that daemon"
unmount_store
"$TALLY" mount "$S" "$M"
pid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")
pids+=("$pid")
eq "$(cat "$M/main/y")" still
"$TALLY" umount "$M"
ended "$pid" || fail "the daemon is still there"
pids=("${pids[@]::${#pids[@]}-1}")
check_clean

if [[ $(id -u) -eq 0 ]]; then
    claim "umount of one of two mounts of a daemon waits only for what is written"
    mount_store
    mount --bind "$M" "$W/other"
    timeout "$limit" "$TALLY" umount "$W/other"
    mountpoint -q "$W/other" && fail "still mounted"
    eq "$(cat "$M/main/y")" still
    unmount_store
    check_clean
fi

claim "mount says that a daemon has died and what to do, and umount clears its mount away, whoever is in it"
"$TALLY" mount "$S" "$M"
pid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")
pids+=("$pid")
exec 7<"$M/main/y"
kill -KILL "$pid"
wait_until ended "$pid" || fail "the daemon is still there"
fails "$TALLY" mount "$S" "$M"
matches "$(cat "$W/said")" 'is gone.*tally umount'
fails "$TALLY" -C "$M" status
matches "$(cat "$W/said")" 'is gone.*tally umount'
"$TALLY" umount "$M" 2>"$W/said"
mountpoint -q "$M" && fail "still mounted"
[[ ! -e /run/mount/utab ]] || ! grep -qF "$M" /run/mount/utab || fail "umount(8) still knows it"
exec 7<&-
pids=("${pids[@]::${#pids[@]}-1}")
check_clean
mount_store
finish
