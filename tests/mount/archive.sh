#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Archives through a real mount: the wrong directory goes, the disk burns, an old copy of the store
# is mounted, the archive is away.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

t() { "$TALLY" -C "$M" "$@"; }
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0r sha256sum); }
files_in() { find "$1" -type f | wc -l; }
ship() { t archive ship 100s >/dev/null; }
status_has() { t archive status | grep -q "$1"; }
seq_now() { t archive status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["seq"])'; }
is_gone() { [[ ! -e $1 ]]; }

# shellcheck disable=SC2119
begin
cd "$W"
A=$W/archive
mkdir "$A"

claim "a store gets an archive, and what there is goes there"
t archive add "dir:$A" >"$W/out"
grep -q 'archive=65535 lineage=1' "$W/out"
mkdir "$M/main/d"
for i in {1..200}; do echo "text $i" >"$M/main/d/f$i"; done
head -c 3000000 /dev/urandom >"$M/main/large"
ship
status_has 'state=ok.* behind=0'
grep -q '^archives    archive=65535 state=ok' "$M/.tally/status"
grep -q '^tallyfs_archive_refused{archive="65535"} 0' "$M/.tally/metrics"
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["archives"]["65535"]["state"] == "ok"' \
    "$M/.tally/stats.json"

claim "while nothing changes nothing is put there"
before=$(files_in "$A")
ship
ship
eq "$(files_in "$A")" "$before"

claim "durable says what the archive has, and so does the archive"
echo more >"$M/main/more"
t drain archive 100s >"$W/out"
grep -q 'archives=1 seq=' "$W/out"
seq=$(t durable main | sed -n 's/^seq=\([0-9]*\).*/\1/p')
t durable main | grep -q "^archive=65535 url=dir:$A seq=$seq behind=0"
t durable --archive main | grep -q "^archive=65535 url=dir:$A lineage=1 seq=$seq segment="

claim "a drill shows that all can be restored, and leaves nothing"
t archive drill --read 100 --wait >"$W/out"
grep -q 'namespaces=1 .* compared=1 read=[1-9]' "$W/out"
status_has 'drill=20'
grep -q '^tallyfs_archive_drill_timestamp_seconds{archive="65535"} [1-9]' "$M/.tally/metrics"
eq "$(ls "$M")" main

claim "whoever deleted the wrong directory has it back beside the current one"
then=$(seq_now)
rm -r "$M/main/d"
ship
t restore "main@$then" back --wait >"$W/out"
eq "$(<"$M/back/d/f77")" "text 77"
cmp "$M/back/large" "$M/main/large"
is_gone "$M/main/d"
cp -a "$M/back/d" "$M/main/"

claim "a restore is taken back by undo"
t set trash_keep 1h >/dev/null
t restore "main@$then" wrong --wait >"$W/out"
t undo >"$W/out"
grep -q 'ns=wrong' "$W/out"
is_gone "$M/wrong"
t set trash_keep 0s >/dev/null

claim "a restored namespace shares with the original what is the same in both"
t diff main back --stat >"$W/out"
ship

claim "the namespace is restored as it was at a time"
now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
echo later >"$M/main/later"
ship
t restore "main@$now" then --wait >"$W/out"
is_gone "$M/then/later"
eq "$(<"$M/then/d/f77")" "text 77"
t restore --dry-run "main@$now" >"$W/out"
grep -q 'steps=[0-9]* entries=[0-9]* bytes=' "$W/out"
fails t restore "main@1999-01-01T00:00:00Z" never --wait
grep -q 'the archive has nothing of that moment' "$W/said"
fails t restore nowhere never --wait
grep -q 'the archive has no namespace nowhere now' "$W/said"
fails t restore main back --wait
grep -q 'there is a namespace back already' "$W/said"

claim "what is not there is said so that one can go on"
fails t archive ship 10
grep -q 'is not a duration' "$W/said"
t restore --dry-run "main@999999" new >"$W/out"
grep -q ' last_seq=[1-9]' "$W/out"
t branch main short >/dev/null
ship
t drop short --now >/dev/null
ship
fails t restore short again --wait
named=$(grep -o 'short@[0-9]*' "$W/said")
may_log 'items of again cannot be gathered' # it comes home while it is shipped, or is dropped
t restore "$named" again --full --wait >"$W/out"
grep -q ' recalled=[0-9]' "$W/out"
t drop again --now >/dev/null

claim "the log of an archive is read without a mount"
(
    cd "$W"
    for _ in 1 2 3; do # what was lost may be sent again in between
        "$TALLY" log list --archive dir:archive main >"$W/list"
        "$TALLY" log find --archive dir:archive main 99999 >"$W/out"
        read -r key rest <"$W/list"
        [[ $(cut -d' ' -f1,2 "$W/out") != "$key ${rest%% *}" ]] || break
    done
    eq "$(cut -d' ' -f1,2 "$W/out")" "$key ${rest%% *}"
    read -r key rest < <(tail -n 1 "$W/list") # the first state, which is whole
    "$TALLY" log fetch --index --archive dir:archive "${key#key=}" >"$W/out"
    grep -q '^section=change ns=main' "$W/out"
    grep -q '^ino=[0-9]* type=inode rest=0 offset=' "$W/out"
    eq "$("$TALLY" log fetch --data --archive dir:archive "${key#key=}" | wc -c)" \
        "$(($(sed -n 's/^ino=.* bytes=\([0-9]*\).*/\1/p' "$W/out" | paste -sd+)))"
)
eq "$(tail -n 1 "$W/list" | grep -o 'from_seq=0')" from_seq=0

claim "a namespace can be left out"
t branch main secret >/dev/null
t set ns:secret.archive off >/dev/null
echo x >"$M/secret/x"
ship
fails t restore secret never --wait
t drop secret --now >/dev/null

claim "where a namespace is shipped in sync mode, what fsync acknowledged is in the archive"
t set ns:main.archive sync >/dev/null
for i in 1 2 3; do
    echo "safe $i" >"$M/main/safe"
    python3 -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDWR))' "$M/main/safe"
    rm -rf "$W/clone"
    "$TALLY" clone "dir:$A" "$W/clone" main >"$W/out"
    mkdir -p "$W/m2"
    "$TALLY" mount "$W/clone" "$W/m2"
    eq "$(<"$W/m2/main/safe")" "safe $i"
    "$TALLY" umount "$W/m2"
done

claim "an fsync that waits for an archive that is away can be interrupted"
mv "$A" "$A.away"
may_log 'archive dir:|archive 65535'
echo unsafe >"$M/main/safe"
python3 -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDWR))' "$M/main/safe" &
pid=$!
wait_until status_has 'behind=1'
kill -0 "$pid"
kill -TERM "$pid"
wait_until ended "$pid"
mv "$A.away" "$A"
wait_until ship
t set ns:main.archive async >/dev/null

claim "an archive that is away is caught up with when it is back"
mv "$A" "$A.away"
may_log 'archive dir:|archive 65535'
echo while-away >"$M/main/away"
fails t archive ship 3s
"$TALLY" umount "$M" 2>"$W/said"
grep -q "changes are not in the archive dir:$A; the next mount tries to ship them" "$W/said"
mv "$A.away" "$A"
mount_store
wait_until ship
status_has 'state=ok.* behind=0'

claim "an old copy of the store ships nothing, and does not get in the way of the right one"
unmount_store
cp -a "$S" "$W/old"
mount_store
echo newer >"$M/main/newer"
ship
unmount_store
mv "$S" "$W/right"
cp -a "$W/old" "$S"
mount_store
echo other >"$M/main/other"
wait_until status_has 'state=refused'
fails t archive ship 100s
grep -q '^state       degraded' "$M/.tally/status"
unmount_store
rm -rf "$S"
mv "$W/right" "$S"
mount_store
echo right >"$M/main/right"
ship
status_has 'state=ok.* behind=0'

claim "the daemon dies and the disk burns: one command has all of it back"
echo last >"$M/main/last"
ship
sums "$M/main" >"$W/sums"
kill_daemon
rm -rf "$S"
"$TALLY" clone "dir:$A" "$S" >"$W/out"
grep -q 'lineage=1 namespaces=3' "$W/out"
mount_store
eq "$(t shard list | grep -o ' objects=[0-9]*')" " objects=$(sed 's/.* ghosts=\([0-9]*\) .*/\1/' "$W/out")"
sums "$M/main" | diff - "$W/sums"
sums "$M/back" >/dev/null

claim "what was brought home does not need the archive"
t recall main/ back/ then/ --wait >"$W/out"
grep -q 'failed=0' "$W/out"
mv "$A" "$A.away"
sums "$M/main" | diff - "$W/sums"
mv "$A.away" "$A"

claim "a clone ships when it is given a history of its own"
status_has "archive=65535 state=read-only url=dir:$A lineage=1"
status_has 'archives=0'
t archive add "dir:$A" >"$W/out"
grep -q 'lineage=2' "$W/out"
echo clone >"$M/main/clone"
ship
unmount_store
rm -rf "$S"
fails "$TALLY" clone "dir:$A" "$S"
grep -q 'it has several histories' "$W/said"
grep -q '^  2  .*, goes on from lineage 1' "$W/said"
fails "$TALLY" clone --lineage 2 "dir:$A" "$S" main nowhere
grep -q 'the archive has no namespace nowhere now' "$W/said"
eq "$(compgen -G "$S*" || true)" ""
"$TALLY" clone --lineage 2 "dir:$A" "$S" main >"$W/out"
mount_store
eq "$(<"$M/main/clone")" clone

claim "a clone as of an earlier change has what there was then"
unmount_store
rm -rf "$S"
"$TALLY" clone --lineage 1 --at "$then" "dir:$A" "$S" >"$W/out"
mount_store
eq "$(<"$M/main/d/f200")" "text 200"
is_gone "$M/main/later"

claim "the check has nothing to say of such a store"
drain
unmount_store
"$TALLY" check "$S" >"$W/out"
mount_store
finish
