#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A store that was spoiled is found out and put right by `tally check --repair`; what it holds
# stays.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
damage=$(realpath "${DAMAGE:?is the program of tests/mount/damage.c}")

# check_says CODE OPTION… - its exit code; what it says goes to $W/check.
check_says() {
    local want=$1 rc=0
    shift
    "$TALLY" check "$@" "$S" >"$W/check" 2>&1 || rc=$?
    eq "$rc" "$want" "$(tail -n 20 "$W/check")"
}
has() { grep -qF -- "$1" "$W/check" || fail "no \"$1\" in: $(cat "$W/check")"; }
json() { python3 -c "import json, sys; v = json.load(open(sys.argv[1])); assert $1, v" "$W/check"; }

mkdir -p "$M/main/src/lib" "$M/main/doc"
for i in $(seq 60); do echo "source $i" >"$M/main/src/$i.c"; done
head -c 400000 /dev/urandom >"$M/main/src/lib/big"
head -c 300000 /dev/urandom >"$M/main/doc/other"
ln "$M/main/src/1.c" "$M/main/doc/one"
ln -s src/lib "$M/main/link"
"$TALLY" -C "$M" branch main twin >/dev/null
drain
was=$(tree_digest "$M/main")
unmount_store

claim "a sound store is left as it is"
check_says 0 --repair
has '0 repaired, 0 problems left'

claim "what is wrong is told by its path, and nothing is changed without being asked"
"$damage" "$S" links main/src/1.c 9
"$damage" "$S" entries main/doc 77
"$damage" "$S" counts
check_says 1
has 'link count main/src/1.c: it is 9, but 2 names exist'
has 'directory main/doc: it is said to have 77 entries, but has 2'
has 'the stored count is'
check_says 1 --repair --dry-run
has 'would repair directory main/doc: it is said to have 2 entries'
check_says 1

claim "it is repaired, and all is there"
check_says 0 --repair
has 'repaired link count main/src/1.c: it is 2'
has ' 0 problems left'
check_says 0
mount_store
eq "$(tree_digest "$M/main")" "$was"
eq "$(tree_digest "$M/twin")" "$was"
eq "$(stat -c %h "$M/main/src/1.c")" 2
drain
unmount_store
check_clean

claim "a wrong sum of what is stored is told, and the mount after a repair counts it"
"$damage" "$S" sum
check_says 1
has 'sum stored bytes: it is '
check_says 0 --repair
has 'repaired sum stored bytes: it is removed: the next mount counts them'
check_says 0

claim "files and directories that lost their names are in lost+found, for root only"
mount_store
was_src=$(tree_digest "$M/main/src")
unmount_store
"$damage" "$S" unname main/src
"$damage" "$S" unname main/doc/other
check_says 1 --json
json "v['clean'] is False and {f['what'] for f in v['found']} >= {'nameless', 'directory'}"
check_says 0 --repair --json
json "v['clean'] is True and v['left'] == [] and any('lost+found' in r['sentence'] for r in v['repaired'])"
mount_store
eq "$(stat -c '%a %u %F' "$M/main/lost+found")" "700 0 directory"
dir=$(find "$M/main/lost+found" -mindepth 1 -maxdepth 1 -type d)
eq "$(tree_digest "$dir")" "$was_src"
mv "$dir" "$M/main/src"
mv "$M"/main/lost+found/* "$M/main/doc/other"
rmdir "$M/main/lost+found"
eq "$(tree_digest "$M/main")" "$was"
drain
unmount_store
check_clean

claim "a name that leads nowhere stays until somebody asks"
"$damage" "$S" dangle main/doc/nowhere
check_says 1 --repair
has 'entry main/doc/nowhere: it leads to inode'
check_says 0 --repair --remove-dangling
has 'repaired entry main/doc/nowhere: it is removed'
check_says 0

claim "a file whose object has no entry is EIO on a mount, and the others are read"
"$damage" "$S" forget main/src/lib/big
may_log '^tally: ALARM: (read: )?object number [0-9]+ is (named, but|used by )'
mount_store
fails cat "$M/main/src/lib/big"
eq "$(errno_of 'open(argv[0], "rb").read()' "$M/main/src/lib/big")" EIO
cat "$M/main/src/7.c" >/dev/null
unmount_store

claim "an object whose entry is gone is found by its bytes"
check_says 1
has 'file main/src/lib/big: its content is damaged'
check_says 0 --repair
has 'it is in the table again, its bytes are in the object file of that number'
mount_store
eq "$(tree_digest "$M/main")" "$was"
unmount_store
"$damage" "$S" forget main/src/7.c
check_says 0 --repair
has 'it is in the table again, its bytes are in a pack'
mount_store
eq "$(tree_digest "$M/main")" "$was"
drain
unmount_store
check_clean

claim "damaged bytes cannot be repaired: which files they were is told"
"$damage" "$S" spoil main/doc/other
check_says 1 --repair
has 'file main/doc/other: its content is damaged'
has 'file twin/doc/other: its content is damaged'
check_says 1

claim "what goes with --repair goes with nothing else; a store in use is left alone"
check_says 2 --free-leaks
mount_store
check_says 2 --repair
has 'is in use: mounted at'
unmount_store
claim "all of repair.sh"
