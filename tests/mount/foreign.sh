#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stores, pools and shards that others made or may write: refused unless told, and even then nothing
# in them leads elsewhere; and what is no file in the place of one is told, not waited for.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs python3 mountpoint setpriv
user=1000
mkdir "$M" "$W/roots"
may_log '^tally: warning: shard 1 is unreachable: '

new_store() { # DIRECTORY [OPTION…]
    rm -rf "$1"
    "$TALLY" init "${@:2}" "$1"
}
# refused REGEX COMMAND… - soon, with that sentence.
refused() {
    local rc=0
    timeout "$limit" "${@:2}" >"$W/said" 2>&1 || rc=$?
    [[ $rc -ge 1 && $rc -le 2 ]] || fail "exit code $rc of: ${*:2}: $(<"$W/said")"
    matches "$(<"$W/said")" "$1"
    ! mountpoint -q "$M" || fail "it is mounted"
}
nothing_in_roots() { eq "$(ls -A "$W/roots")" "" "something was put into root's directory"; }

claim "a user's store: root is told so, and may say that it is meant"
new_store "$S"
chown -R "$user:$user" "$S"
mkdir "$W/tmp"
export TMPDIR=$W/tmp
refused "belongs to user $user" "$TALLY" mount "$S" "$M"
refused "chown.*mount -o foreign_store.*--foreign-store" "$TALLY" check "$S"
refused "belongs to user $user" "$TALLY" check --repair "$S"
refused "belongs to user $user" "$TALLY" log "$S"
"$TALLY" check --foreign-store "$S" >/dev/null
"$TALLY" log --foreign-store "$S" >/dev/null
mount_with -o foreign_store
echo x >"$M/main/f"
unmount_store
"$TALLY" check --foreign-store "$S" >/dev/null
eq "$(ls -A "$W/tmp")" "" "a directory is left"
unset TMPDIR

claim "what root makes in a user's store, its shards and a repair belongs to the user, who goes on with it"
as_user() { setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
install -d -o "$user" -g "$user" "$W/user-shard"
mount_with -o foreign_store
"$TALLY" -C "$M" shard add 1 "dir:$W/user-shard" >/dev/null
head -c 300000 /dev/urandom >"$M/main/large"
drain
"$TALLY" -C "$M" move main/large 1 --wait >/dev/null
"$TALLY" -C "$M" branch main other >/dev/null
head -c 300000 /dev/urandom >"$M/main/unsealed"
kill_daemon
eq "$(find "$S" "$W/user-shard" ! -user "$user")" ""
as_user "$TALLY" check "$S" >/dev/null
"$TALLY" check --repair --foreign-store "$S" >/dev/null
eq "$(find "$S" "$W/user-shard" ! -user "$user")" ""
as_user "$TALLY" check --repair "$S" >/dev/null
mount_with -o foreign_store
eq "$(stat -c %s "$M/main/unsealed")" 300000
unmount_store
rm -rf "$W/user-shard"

claim "only a part of it is somebody else's, or others may write it"
new_store "$S"
for part in . kv kv/data.mdb kv/lock.mdb packs slots objects objects/7f tally-store; do
    chown "$user" "$S/$part"
    refused "belongs to user $user" "$TALLY" mount "$S" "$M"
    chown 0 "$S/$part"
    mode=$(stat -c %a "$S/$part")
    chmod o+w "$S/$part"
    refused "may be written by everybody" "$TALLY" mount "$S" "$M"
    chgrp 12345 "$S/$part"
    chmod o-w,g+w "$S/$part"
    refused "may be written by group 12345" "$TALLY" mount "$S" "$M"
    chmod "$mode" "$S/$part"
    chgrp 0 "$S/$part"
done
refused "belongs to user 0|Permission denied" setpriv --reuid "$user" --regid "$user" --clear-groups "$TALLY" check "$S"
mount_with -o rw
unmount_store

claim "init in a directory that others may write"
mkdir "$W/theirs"
chmod 777 "$W/theirs"
refused "may be written by everybody" "$TALLY" init "$W/theirs"
eq "$(ls -A "$W/theirs")" ""
"$TALLY" init --foreign-store "$W/theirs"
rm -rf "$W/theirs"

claim "a directory of the store is a symlink: nothing is put where it leads"
for part in slots packs objects objects/00 kv log; do
    new_store "$S"
    rm -rf "${S:?}/$part"
    ln -s "$W/roots" "$S/$part"
    for options in rw foreign_store; do
        refused "${part%/*}.* is a symlink" "$TALLY" mount -o "$options" "$S" "$M"
    done
    refused "is a symlink" "$TALLY" check --repair --free-leaks --foreign-store "$S"
    nothing_in_roots
done

claim "a file of the store is a symlink: what it leads to stays as it is"
echo "root's own" >"$W/secret"
for part in kv/data.mdb kv/lock.mdb lock tally-store; do
    new_store "$S"
    cp -p "$S/$part" "$W/copy"
    rm -f "$S/$part"
    ln -s "$W/secret" "$S/$part"
    refused "symlink|is not a store" "$TALLY" mount -o foreign_store "$S" "$M"
    refused "." "$TALLY" check --repair --foreign-store "$S"
    eq "$(<"$W/secret")" "root's own"
done

claim "names that change while LMDB opens them: it gets what was looked at"
new_store "$S"
chown -R "$user" "$S"
cp "$W/secret" "$W/secret.was"
python3 - "$S/kv" "$W/secret" <<'END' &
import os, sys
os.chdir(sys.argv[1])
os.rename("lock.mdb", "real")
os.link("real", "lock.mdb")
while True:
    os.symlink(sys.argv[2], "new")
    os.rename("new", "lock.mdb")
    os.link("real", "new")
    os.rename("new", "lock.mdb")
END
racer=$!
pids+=("$racer")
wait_until test -e "$S/kv/real"
for _ in $(seq 15); do
    rc=0
    timeout "$limit" "$TALLY" check --repair --foreign-store "$S" >"$W/said" 2>&1 || rc=$?
    [[ $rc -le 2 ]] || fail "exit code $rc of a repair: $(<"$W/said")"
    ! ended "$racer" || fail "nobody changes the names any more"
done
kill "$racer"
eq "$(<"$W/secret")" "root's own"

claim "something else than a file or directory in the place of each: told, not waited for"
new_store "$S"
mount_with -o rw
head -c 300000 /dev/urandom >"$M/main/large"
echo small >"$M/main/small"
drain
echo later >"$M/main/later"
kill_daemon
cp -a "$S" "$W/whole"
mapfile -t parts < <(cd "$S" && find . -mindepth 1 ! -path './objects/??' -printf '%P\n')
[[ ${#parts[@]} -gt 12 ]] || fail "too few: ${parts[*]}"
for part in "${parts[@]}"; do
    rm -rf "$S"
    cp -a "$W/whole" "$S"
    rm -rf "${S:?}/$part"
    mkfifo "$S/$part"
    for command in "check --all-bytes" "log" "check --repair --free-leaks"; do
        rc=0
        # shellcheck disable=SC2086
        timeout "$limit" "$TALLY" $command "$S" >"$W/said" 2>&1 || rc=$?
        [[ $rc -le 2 ]] || fail "exit code $rc of: tally $command, with a FIFO for $part"
    done
    rm -rf "$S"
    cp -a "$W/whole" "$S"
    rm -rf "${S:?}/$part"
    mkfifo "$S/$part"
    rc=0
    timeout "$limit" "$TALLY" mount "$S" "$M" >"$W/said" 2>&1 || rc=$?
    if [[ $rc -eq 0 ]]; then
        timeout "$limit" cat "$M/main/large" "$M/main/small" >/dev/null 2>&1 || rc=$?
        [[ $rc -le 2 ]] || fail "exit code $rc of reading, with a FIFO for $part"
        timeout "$limit" "$TALLY" umount "$M" >"$W/said" 2>&1 || fail "exit code $? of umount, with a FIFO for $part: $(<"$W/said")"
        ! mountpoint -q "$M" || fail "it is still mounted"
    else
        [[ $rc -eq 1 && -s $W/said ]] || fail "exit code $rc of a mount, with a FIFO for $part"
    fi
done

claim "a shard that is somebody else's, or that others may write"
new_store "$S"
mount_with -o rw
mkdir "$W/shard"
chmod 777 "$W/shard"
refused_verb() { # REGEX WORDS…
    fails "$TALLY" -C "$M" "${@:2}"
    matches "$(<"$W/said")" "$1"
}
refused_verb "may be written by everybody.*foreign_store" shard add 1 "dir:$W/shard"
chmod 755 "$W/shard"
chown "$user" "$W/shard"
refused_verb "belongs to user $user" shard add 1 "dir:$W/shard"
eq "$(ls -A "$W/shard")" ""
chown 0 "$W/shard"
"$TALLY" -C "$M" shard add 1 "dir:$W/shard" >/dev/null
head -c 300000 /dev/urandom >"$W/data"
cp "$W/data" "$M/main/f"
drain
"$TALLY" -C "$M" move main/f 1 --wait >/dev/null
unmount_store
chmod 777 "$W/shard"
mount_with -o rw
matches "$("$TALLY" -C "$M" shard list)" "unreachable.*may be written by everybody"
unmount_store
mount_with -o foreign_store
cmp "$W/data" "$M/main/f"
unmount_store
chmod 755 "$W/shard"
rm -r "$W/shard/objects"
ln -s "$W/roots" "$W/shard/objects"
mount_with -o foreign_store
matches "$("$TALLY" -C "$M" shard list)" "unreachable.*is a symlink"
unmount_store
nothing_in_roots

claim "what stands on a shard in the place of its files: told, never waited for, and never read elsewhere"
rm -rf "$W/shard"
mkdir "$W/shard"
chown "$user" "$W/shard"
new_store "$S"
mount_with -o foreign_store
"$TALLY" -C "$M" shard add 1 "dir:$W/shard" >/dev/null
for i in 1 2 3 4 5 6; do
    head -c 300000 /dev/urandom >"$W/data.$i"
    cp "$W/data.$i" "$M/main/f$i"
done
drain
"$TALLY" -C "$M" move main/ 1 --wait >/dev/null
mapfile -t parts < <(find "$W/shard/objects" -type f ! -name '*.sums')
eq "${#parts[@]}" 6
rm "${parts[@]:0:3}"
mkfifo "${parts[0]}"
ln -s "$W/secret" "${parts[1]}"
mkdir "${parts[2]}"
truncate -s 1T "${parts[3]}"
truncate -s 100 "${parts[4]}"
may_log '^tally: ALARM: '
sound=0
for i in 1 2 3 4 5 6; do
    rc=0
    timeout "$limit" cat "$M/main/f$i" >"$W/got" 2>/dev/null || rc=$?
    [[ $rc -le 1 ]] || fail "exit code $rc of reading f$i"
    [[ $rc -eq 1 ]] || { cmp "$W/got" "$W/data.$i" && sound=$((sound + 1)); }
    ! grep -q "root's own" "$W/got" || fail "f$i has another file's bytes"
done
[[ $sound -ge 1 && $sound -le 2 ]] || fail "$sound of them are sound"
timeout "$limit" "$TALLY" -C "$M" scrub --wait >/dev/null 2>&1 || [[ $? -eq 1 ]]
unmount_store

claim "a pool that is somebody else's, or that others may write"
mkdir "$W/pool"
chmod 777 "$W/pool"
refused "pool .* may be written by everybody" "$TALLY" init --pool "dir:$W/pool" "$W/pooled"
eq "$(ls -A "$W/pool")" ""
chmod 755 "$W/pool"
"$TALLY" init --pool "dir:$W/pool" "$W/pooled"
chown "$user" "$W/pool"
refused "pool .* belongs to user $user" "$TALLY" mount "$W/pooled" "$M"
chown 0 "$W/pool"
mv "$W/pool/nodes/0001/slots" "$W/aside"
ln -s "$W/roots" "$W/pool/nodes/0001/slots"
refused "slots is a symlink" "$TALLY" mount -o foreign_store "$W/pooled" "$M"
rm "$W/pool/nodes/0001/slots"
mv "$W/aside" "$W/pool/nodes/0001/slots"
"$TALLY" check "$W/pooled" >/dev/null
nothing_in_roots
claim "all of ${test_file##*/}"
