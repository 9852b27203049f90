#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Small files compressed as they are written and at rest: what it saves, and that nothing else differs,
# with ordinary tools; over kills, other shards, an export and an import.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
sources=$(realpath "$(dirname "$0")/../../core")
begin
cd "$M"
t() { "$TALLY" -C "$M" "$@"; }
stat_of() { python3 -c 'import json, sys; print(json.load(open(".tally/stats.json"))[sys.argv[1]])' "$1"; }
feature() { grep -c compressed-records "$S/tally-store" || true; }
packs_kib() { du -sk "$S/packs" | cut -f1; }
# put NAME - text in many small files, and some that cannot become shorter.
put() {
    mkdir "main/$1"
    cp -r "$sources/vfs" "$sources/state" "main/$1"
    for i in {1..20}; do head -c 9000 /dev/urandom >"main/$1/noise$i"; done
}

claim "off: nothing is compressed, and older programs may still open the store"
put plain
t drain >/dev/null
want=$(tree_digest main/plain)
off=$(packs_kib)
eq "$(stat_of saved_bytes)" 0
eq "$(feature)" 0
matches "$(t get compression)" '^compression=off default=off'
fails t set compression much
matches "$(<"$W/said")" 'compression is off or rest or write'

claim "rest: what is stored plain is compressed by compact, once"
t set compression rest >/dev/null
eq "$(feature)" 1
matches "$(t compact --wait)" ' compressed=[1-9][0-9]* saved_bytes=[1-9][0-9]* '
eq "$(tree_digest main/plain)" "$want"
[[ $(packs_kib) -lt $((off * 65 / 100)) ]] || fail "$off KiB before, $(packs_kib) after"
saved=$(stat_of saved_bytes)
if t compact --wait | grep -q compressed=; then fail "it was compressed twice"; fi
[[ $saved -gt 300000 ]] || fail "only $saved bytes are saved"
matches "$(t status)" "packs .* saved_bytes=$saved"
matches "$(t du main)" " saved=$saved"

claim "write: what is written is compressed at once; du and stat say what they always do"
t set compression write >/dev/null
put fresh
cp -r main/plain main/again # equal bytes, stored once
t drain >/dev/null
eq "$(tree_digest main/again)" "$want"
[[ $(stat_of saved_bytes) == "$saved" ]] || fail "equal text was stored again"
(cd "$sources" && du -s --apparent-size -B1 vfs/*.c) >"$W/a"
(cd main/fresh && du -s --apparent-size -B1 vfs/*.c) >"$W/b"
cmp "$W/a" "$W/b"
printf 'of its own, as text: %s\n' "$(seq 2000)" >main/own
t drain >/dev/null
[[ $(stat_of saved_bytes) -gt $((saved + 4000)) ]] || fail "$saved, then $(stat_of saved_bytes)"
matches "$(t get ns:main.compression)" '^ns:main.compression=store default=store'
t set ns:main.compression off >/dev/null
before=$(stat_of saved_bytes)
printf 'another one, as text: %s\n' "$(seq 2000)" >main/stays
t drain >/dev/null
eq "$(stat_of saved_bytes)" "$before"
t set ns:main.compression store >/dev/null

claim "a scrub reads all of it, and a check finds nothing"
matches "$(t scrub --wait)" ' damaged=0'
unmount=$(tree_digest main)
cd /
unmount_store
check_clean
mount_store
cd "$M"
eq "$(tree_digest main)" "$unmount"
eq "$(stat_of saved_bytes)" "$before"

claim "killed in the middle of writing and compacting, it is as it was synced"
(while :; do t compact --wait; done) >/dev/null 2>&1 &
loop=$!
pids+=("$loop")
for i in {1..30}; do
    mkdir "main/k$i"
    cp -r "$sources/log" "main/k$i"
    printf 'number %s\n' "$i" >>"main/k$i/log/log.c"
done
sync "$M/main/k30/log/log.c"
want=$(tree_digest main)
kill "$loop"
wait "$loop" 2>/dev/null || true
cd /
kill_daemon
mount_store
cd "$M"
eq "$(tree_digest main)" "$want"

claim "on another shard and back home its bytes are the same"
mkdir "$W/cold"
t shard add 1 "dir:$W/cold" >/dev/null
t move main/plain 1 --wait >/dev/null
plain=$(du -sk --apparent-size main/plain | cut -f1)
[[ $(du -sk "$W/cold/packs" | cut -f1) -lt $((plain * 75 / 100)) ]] || fail "$plain KiB, $(du -sk "$W/cold/packs")"
eq "$(tree_digest main)" "$want"
t recall main/plain --wait >/dev/null
t drain >/dev/null
eq "$(tree_digest main)" "$want"

claim "an export has plain bytes, and an import of them is compressed"
t export main "$W/main.tar" >/dev/null
mkdir "$W/out"
tar xf "$W/main.tar" -C "$W/out"
(cd "$W/out" && find . -type f -print0 | sort -z | xargs -0r sha256sum) >"$W/a"
(cd main && find . -type f -print0 | sort -z | xargs -0r sha256sum) >"$W/b"
cmp "$W/a" "$W/b"
S2=$W/store2
"$TALLY" init "$S2" >/dev/null
mkdir "$W/mnt2"
ASAN_OPTIONS=$DAEMON_ASAN "$TALLY" mount "$S2" "$W/mnt2"
"$TALLY" -C "$W/mnt2" set compression write >/dev/null
"$TALLY" -C "$W/mnt2" import "$W/main.tar" copy >/dev/null
(cd "$W/mnt2/copy" && find . -type f -print0 | sort -z | xargs -0r sha256sum) >"$W/b"
cmp "$W/a" "$W/b"
[[ $(cd "$W/mnt2" && stat_of saved_bytes) -gt 300000 ]] || fail "it was not compressed"
"$TALLY" umount "$W/mnt2"
"$TALLY" check "$S2" >/dev/null

claim "damage in a compressed record is an input/output error, and no bytes"
t set compression write >/dev/null
printf 'to be damaged: %s\n' "$(seq 3000)" >main/bad
t drain >/dev/null
cd /
unmount_store
check_clean
# The last record of the last pack that has one: a byte near its end.
python3 - "$(find "$S/packs" -type f -size +8k | sort | tail -1)" <<'END'
import sys
path = sys.argv[1]
data = bytearray(open(path, "rb").read())
head = data.rfind(b"TLRC")
stored, method = int.from_bytes(data[head + 4:head + 8], "little"), data[head + 32]
assert method == 1, method
data[head + 40 + stored // 2] ^= 16
open(path, "r+b").write(data)
END
may_log '^tally: ALARM: (read: )?object [0-9a-f]{32} (is damaged|is used by main/bad|was damaged; a file with the same bytes)'
mount_store
cd "$M"
eq "$(errno_of 'open(argv[0]).read()' main/bad)" EIO
eq "$(tree_digest main/again)" "$(tree_digest main/plain)"
printf 'to be damaged: %s\n' "$(seq 3000)" >main/healer
t drain >/dev/null
cmp main/bad main/healer
cd /
finish
check_clean
