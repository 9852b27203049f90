#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The counts, by hand: echo, ln, ls -l, rm.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs getfattr
cd "$M"
mkdir dev

# The link counts of all objects, as a person sees them.
counts() { find .tally/objects -type f -printf '%n ' | tr -s ' '; }
only() { find .tally/objects -type f; }
pack_bytes() { find "$S/packs" "$S/objects" "$S/slots" -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}'; }
drain
empty_bytes=$(pack_bytes)

claim "across namespaces: 1, 2, 1, gone, and the bytes with it"
echo 'some bytes' >main/a
eq "$(counts)" "1 "
matches "$(ls -l .tally/objects/*)" '^total [0-9]+.-r--r--r-- 1 root root 11 [^/]* [0-9a-f]{32}$'
ln main/a dev/b
eq "$(counts)" "2 "
eq "$(stat -c %h main/a dev/b | tr '\n' ' ')" "1 1 " "each is a file of its own"
[[ $(stat -c %i main/a) != $(stat -c %i dev/b) ]]
drain
[[ $(pack_bytes) -gt $empty_bytes ]]
id=$(basename "$(only)")
matches "$id" '^[0-9a-f]{32}$'
rm main/a
eq "$(counts)" "1 "
eq "$(cat dev/b)" "some bytes"
rm dev/b
eq "$(counts)" ""
eq "$(names .tally/objects)" "" "only prefixes that have objects are listed"
eq "$(errno_of "os.stat('.tally/objects/${id:0:2}/$id')")" ENOENT
drain
eq "$(pack_bytes)" "$empty_bytes"

claim "a large file alike: 1, 2, 1, gone"
head -c 3000000 /dev/urandom >main/a
eq "$(counts)" "1 "
ln main/a dev/b
eq "$(counts)" "2 "
drain
[[ $(pack_bytes) -ge 3000000 ]]
rm main/a
eq "$(counts)" "1 "
rm dev/b
eq "$(counts)" ""
drain
eq "$(pack_bytes)" "$empty_bytes"

claim "inside one namespace: 1, 1, 1, gone"
echo 'some bytes' >main/a
eq "$(counts)" "1 "
ln main/a main/b
eq "$(counts)" "1 "
rm main/a
eq "$(counts)" "1 "
rm main/b
eq "$(counts)" ""

claim "equal bytes are one object, however they came in; changing one of them parts them"
echo same >main/a
echo same >dev/a
cp main/a main/b
{ printf sa && printf 'me\n'; } >main/c
eq "$(counts)" "4 "
echo more >>main/c
eq "$(find .tally/objects -type f -printf '%n\n' | sort | tr '\n' ' ')" "1 3 "
rm main/a main/b main/c dev/a

claim "what the link across shares is copied on write; owner, mode and times are the source's"
echo text >main/a
chown 3:4 main/a
chmod 640 main/a
touch -d '2001-02-03 04:05:06.7' main/a
ln main/a dev/b
eq "$(stat -c '%u %g %a %y' dev/b)" "$(stat -c '%u %g %a %y' main/a)"
echo more >>dev/b
eq "$(cat main/a)" text
eq "$(stat -c '%s' main/a)" 5
rm main/a dev/b

claim "ln from .tally/objects makes a file of that content, mode 0644"
echo 'to be linked' >main/a
object=$(only)
ln "$object" dev/c
eq "$(cat dev/c)" "to be linked"
eq "$(stat -c '%a %h %u' dev/c)" "644 1 0"
eq "$(counts)" "2 "
rm main/a
eq "$(cat dev/c)" "to be linked"
eq "$(cat "$(only)")" "to be linked"
for call in "os.unlink('$object')" "os.open('$object', os.O_WRONLY)" "os.rename('$object', 'dev/d')" \
    "os.link('dev/c', '$(dirname "$object")/$(printf 'a%.0s' {1..32})')"; do
    [[ $(errno_of "$call") != OK ]] || fail "$call worked"
done
eq "$(cat dev/c)" "to be linked"

claim "getfattr tells object and references; both are got by name only and cannot be set"
id=$(basename "$(only)")
eq "$(getfattr --only-values -n user.tally.object dev/c)" "$id"
eq "$(getfattr --only-values -n user.tally.refs dev/c)" 1
ln dev/c main/c
eq "$(getfattr --only-values -n user.tally.refs dev/c)" 2
eq "$(getfattr -d dev/c)" ""
[[ $(errno_of 'os.setxattr("dev/c", "user.tally.refs", b"7")') != OK ]]

claim "the verbs say the same: refs, object, why, pin, unpin"
matches "$("$TALLY" refs main/c)" '^refs=2 namespaces=2 pins=0$'
"$TALLY" pin main/c >/dev/null
"$TALLY" pin "$id" >/dev/null
matches "$("$TALLY" refs main/c)" '^refs=3 namespaces=2 pins=1$'
rm main/c dev/c
drain
eq "$(counts)" "1 "
matches "$("$TALLY" why "$id")" pin
"$TALLY" unpin "$id" >/dev/null
"$TALLY" unpin "$(printf '0%.0s' {1..32})" >/dev/null 2>&1 && fail "unpin of an unknown object worked"
eq "$(counts)" ""
matches "$("$TALLY" refs "$id")" '^refs=0 '

claim "refcounts is JSON, sorted by id, and the same as the listing and what rebuild counts"
for i in {1..50}; do echo "$((i % 20))" >"main/$i"; done
cat >"$W/refcounts.py" <<'END'
import json, os
pairs = []
def hook(p):
    pairs.append(p)
    return dict(p)
table = json.load(open(".tally/refcounts"), object_pairs_hook=hook)
counts = [p for p in pairs if p and len(p[0][0]) == 32][0]
ids = [k for k, _ in counts]
assert ids == sorted(ids) and len(ids) == 20, ids
listed = {n: os.stat(f".tally/objects/{n[:2]}/{n}").st_nlink
          for d in os.listdir(".tally/objects") for n in os.listdir(f".tally/objects/{d}")}
assert listed == table["counts"], (listed, table)
assert sum(listed.values()) == 50 and isinstance(table["seq"], int)
END
python3 "$W/refcounts.py"
matches "$("$TALLY" rebuild --wait)" 'changed=0'
python3 "$W/refcounts.py"

claim "-o nlink=refs shows references as links"
drain
cd /
unmount_store
mount_with -o nlink=refs
cd "$M"
ln main/1 main/one
eq "$(stat -c %h main/1)" 4 "two names, and two other files of the same content"
finish
