#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What both sides changed in a text is merged by a program, or by a rule for its path.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes # read by lib.sh
needs diff3
begin
cd "$M"
tally() { "$TALLY" "$@"; }
merge3='diff3 -m'

text() { printf '%s\n' "$@"; }
lines() { tr '\n' ' ' <"$1"; }

claim "two changes of one text are merged by the program, in the target and in the branch"
mkdir main/d
text one two three four five >main/a
text one two three four five >"main/d/b [x]*"
tally branch main try >/dev/null
text ONE two three four five >try/a
text one two three four FIVE >main/a
text ONE two three four five >"try/d/b [x]*"
text one two three four FIVE >"main/d/b [x]*"
mv main/d main/moved
fails tally commit try
matches "$(tally commit --with "$merge3" try)" "into=main seq="
for file in main/a try/a "main/moved/b [x]*" "try/d/b [x]*"; do
    eq "$(lines "$file")" "ONE two three four FIVE "
done

claim "the next commit is about what is new"
text ONE two 3 four FIVE >try/a
matches "$(tally commit try)" "inodes=1 decided=0"
eq "$(lines main/a)" "ONE two 3 four FIVE "
tally undo main >/dev/null
tally redo main >/dev/null

claim "what the program does not merge changes nothing, in neither"
text FIRST two 3 four FIVE >try/a
text first two 3 four FIVE >main/a
text new >try/new
fails tally commit --with "$merge3" try
matches "$(cat "$W/said")" "a: the program did not merge it .exit code 1.*nothing was changed"
eq "$(lines main/a)" "first two 3 four FIVE "
eq "$(lines try/a)" "FIRST two 3 four FIVE "
[[ ! -e main/new ]] || fail "a part was merged"

claim "nor is anything changed if there are other conflicts"
text ours >main/new
fails tally commit --with cat try
matches "$(cat "$W/said")" "name path=new"
matches "$(cat "$W/said")" "cat was not run: not all conflicts are about the content of texts"
matches "$(cat "$W/said")" "2 conflicts; nothing was changed"
fails tally commit --with "" try
matches "$(cat "$W/said")" "--with takes a program"
eq "$(lines try/a)" "FIRST two 3 four FIVE "
rm main/new

claim "a change of the target in between is merged, too"
cat >"$W/meddles" <<END
#!/bin/sh
if [ ! -e "$W/meddled" ]; then
    touch "$W/meddled"
    printf 'first\\ntwo\\n3\\nfour\\nLAST\\n' >"$M/main/a"
fi
cat "\$1" "\$3"
END
chmod 755 "$W/meddles"
tally merge --with "$W/meddles" try into main >/dev/null
eq "$(lines main/a)" "first two 3 four LAST FIRST two 3 four FIVE "
eq "$(lines try/a)" "first two 3 four LAST FIRST two 3 four FIVE "

claim "a target that always changes is left alone, and so is the branch"
text theirs >try/a
text ours >main/a
fails tally commit --with "echo >>'$M/main/busy'; cat" try
matches "$(cat "$W/said")" "too fast"
eq "$(lines try/a) $(lines main/a)" "theirs  ours "

claim "what is not a text is not given to it"
head -c 300 /dev/zero >try/a
fails tally commit --with cat try
matches "$(cat "$W/said")" "try/a: it is not a text"
eq "$(stat -c %s try/a)" 300

claim "rules for paths decide, the last one that matches"
text theirs >try/a
text theirs >try/new
text ours >main/new
matches "$(tally commit --set '*=ours' --set a=theirs try)" "decided=2"
eq "$(lines main/a) $(lines main/new)" "theirs  ours "

claim "on the control file a merge can depend on the last change of the target"
text other >try/a
text ours >main/a
ctl 'commit try if_seq=1' >"$W/out"
matches "$(cat "$W/out")" "error ECANCELED commit: main has changed; nothing was done"
ctl 'commit try paths=all' >"$W/out"
matches "$(cat "$W/out")" "seq seq=[0-9]+"
matches "$(cat "$W/out")" "content path=a theirs=try/a base=\"?try@[0-9]+/a\"? ours=main/a"
finish
