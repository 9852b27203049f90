#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The structure of the file with the metadata is damaged: who opens it says so, and a repair saves
# what can be read.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs python3
begin
said_has() { grep -qE "$1" "$W/said" || { cat "$W/said" && fail "nothing is like /$1/"; }; }

# spoil KIND - the type of one page of it: a leaf (2) of the table with many rows, or of free pages.
spoil() {
    python3 - "$S/kv/data.mdb" "$1" <<'EOF'
import struct, sys
path, kind = sys.argv[1:]
data = bytearray(open(path, "rb").read())
head = max((0, 4096), key=lambda at: struct.unpack_from("<Q", data, at + 16 + 128)[0])
free = struct.unpack_from("<Q", data, head + 16 + 24 + 40)[0]
main = struct.unpack_from("<Q", data, head + 16 + 72 + 40)[0]
if kind == "free":
    page = free
else:
    leaf = lambda n: struct.unpack_from("<H", data, n * 4096 + 10)[0] == 2 and n not in (free, main)
    rows = lambda n: struct.unpack_from("<H", data, n * 4096 + 12)[0]
    page = max(filter(leaf, range(2, len(data) // 4096)), key=rows)
struct.pack_into("<H", data, page * 4096 + 10, 64)
open(path, "r+b").write(data)
EOF
}

for i in {1..150}; do echo "$i" >"$M/main/file$i"; done
unmount_store
cp -a "$S" "$W/sound"

claim "a mount of a store that was unmounted well does not read the whole structure"
[[ -s $S/kv/closed ]] || fail "there is no note"
mount_store
[[ ! -e $S/kv/closed ]] || fail "there is a note while it is mounted"
unmount_store

claim "damage to the list of free pages is refused, and costs nothing to repair"
spoil free
fails "$TALLY" mount "$S" "$M"
said_has 'the metadata of the store .* is damaged: kv/data.mdb, page [0-9]+: it is no leaf; `tally check --repair`'
rc=0
"$TALLY" check "$S" >"$W/said" || rc=$?
eq "$rc" 1
said_has '^store .*: the metadata of the store .* is damaged'
"$TALLY" check --json "$S" >"$W/said" || rc=$?
python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); assert v["problems"] == 1 and not v["clean"], v' "$W/said"
"$TALLY" check --repair "$S" >"$W/said"
said_has '^repaired metadata kv/data.mdb: it was damaged .* 0 pages or values are lost; the damaged one is kept as kv.damaged$'
"$TALLY" check "$S" >/dev/null
mount_store
eq "$(cat "$M"/main/file* | sort -n | tail -n 1)" 150
unmount_store

claim "where rows are lost it is said, and what is left can be mounted"
rm -r "$S"
cp -a "$W/sound" "$S"
spoil leaf
fails "$TALLY" mount "$S" "$M"
"$TALLY" check --repair "$S" >"$W/said"
said_has '^repaired metadata kv/data.mdb: it was damaged .* 1 pages or values are lost'
[[ -d $S/kv.damaged ]]
"$TALLY" check "$S" >"$W/said" || true
said_has '^note the tables: a part of the metadata was lost, '
may_log '.'
mount_store
find "$M" >/dev/null
fails "$TALLY" -C "$M" gc --wait
"$TALLY" umount "$M"
wait "$daemon"
"$TALLY" check --repair --free-leaks "$S" >"$W/said" || true
said_has '^repaired note the tables: what lost rows named is given up'

# misplace - the last row of the counts of pages gets the key of another page, by one bit.
misplace() {
    python3 - "$S/kv/data.mdb" <<'EOF'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
nodes = lambda page: [page * 4096 + struct.unpack_from("<H", data, page * 4096 + 16 + 2 * i)[0]
                      for i in range((struct.unpack_from("<H", data, page * 4096 + 12)[0] - 16) // 2)]
key = lambda at: data[at + 8:at + 8 + struct.unpack_from("<H", data, at + 6)[0]]
head = max((0, 4096), key=lambda at: struct.unpack_from("<Q", data, at + 16 + 128)[0])
main = struct.unpack_from("<Q", data, head + 16 + 72 + 40)[0]
table = next(at for at in nodes(main) if key(at) == b"page_counts")
root = struct.unpack_from("<Q", data, table + 8 + len(key(table)) + 40)[0]
row = nodes(root)[-1]
print(int.from_bytes(key(row), "big"))
data[row + 8 + 6] ^= 0x80
open(sys.argv[1], "r+b").write(data)
EOF
}

claim "the count of a page that stands at another page is refused, and counted again"
rm -r "$S"
cp -a "$W/sound" "$S"
mount_store
"$TALLY" -C "$M" set flush_interval 1h >/dev/null # only the count of the branch is committed
"$TALLY" -C "$M" branch main dev >/dev/null
"$TALLY" -C "$M" flush >/dev/null
echo other >"$M/main/after"
sync "$M/main/after"
kill_daemon
page=$(misplace)
fails "$TALLY" mount "$S" "$M"
said_has "the metadata of the store .* is damaged: the table page_counts has the row with the key $((page + 32768)), .*; \`tally check --repair\` counts again"
rc=0
"$TALLY" check "$S" >"$W/said" || rc=$?
eq "$rc" 1
said_has "^count page $((page + 32768)): its stored count is not a count"
said_has "^count page $page: the stored count is 1, but 2 references exist"
"$TALLY" check --repair "$S" >"$W/said"
said_has "^repaired log .*: [0-9]+ changes are replayed"
"$TALLY" check "$S" >/dev/null
mount_store
eq "$(cat "$M"/dev/file* | sort -n | tail -n 1)" 150
eq "$(cat "$M/main/after")" other
[[ ! -e $M/dev/after ]] || fail "the branch has what was written after it"
unmount_store

rm -r "$S"
cp -a "$W/sound" "$S"
mount_store
finish
