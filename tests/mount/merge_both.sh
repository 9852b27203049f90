#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What two sides made or set under the same names, and that is no conflict.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes # read by lib.sh
begin
cd "$M"
tally() { "$TALLY" "$@"; }
set_attr() { python3 -c 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())' "$@"; }
attrs() {
    python3 -c 'import os, sys
print(*(a + "=" + os.getxattr(sys.argv[1], a).decode() for a in sorted(os.listxattr(sys.argv[1]))
        if a.startswith("user.") and not a.startswith("user.tally.")))' "$1"
}
echo start >main/file
tally branch main try >/dev/null

claim "new directories of one name become one, at once and in later commits"
mkdir -p main/new/deep try/new/deep
echo ours >main/new/deep/ours
echo theirs >try/new/deep/theirs
echo same >main/new/both
echo same >try/new/both
ls -R main >/dev/null
node=$(stat -c %i main/new/deep main/new/both)
cd main/new/deep
tally commit try >/dev/null
eq "$(ls | tr '\n' ' ')" "ours theirs "
echo later >"$M/try/new/deep/later"
echo changed >"$M/try/new/both"
rm "$M/try/new/deep/theirs"
tally commit try >/dev/null
eq "$(ls | tr '\n' ' ')" "later ours "
eq "$(cat ../both)" changed
cd "$M"
eq "$(stat -c %i main/new/deep main/new/both)" "$node"
tally merge main into try >/dev/null
eq "$(ls try/new/deep | tr '\n' ' ')" "later ours "

claim "what is different in them is a conflict of its own"
echo one >main/new/deep/x
echo two >try/new/deep/x
fails tally commit try
matches "$(cat "$W/said")" "name path=new/deep/x"
matches "$(cat "$W/said")" "1 conflict; nothing was changed"
rm try/new/deep/x
tally commit try >/dev/null

claim "different attributes of one file are no conflict"
set_attr main/file user.ours o
set_attr try/file user.theirs t
tally commit try >/dev/null
eq "$(attrs main/file)" "user.ours=o user.theirs=t"
set_attr main/file user.theirs o2
set_attr try/file user.theirs t2
fails tally commit try
matches "$(cat "$W/said")" "attributes path=file"
tally commit --set file=theirs try >/dev/null
eq "$(attrs main/file)" "user.ours=o user.theirs=t2"

claim "a capability stays with the content that it was set for"
cp /bin/true main/program
tally commit try >/dev/null
tally merge main into try >/dev/null
python3 -c '
import os, struct, sys
os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))' main/program
cp /bin/false try/program
tally commit try >/dev/null
cmp main/program /bin/false
eq "$(errno_of 'os.getxattr(argv[0], "security.capability")' main/program)" ENODATA

claim "all of it is there after the daemon was killed"
drain
cd /
kill_daemon
mount_store
eq "$(ls "$M/main/new/deep" | tr '\n' ' ')" "later ours x "
eq "$(attrs "$M/main/file")" "user.ours=o user.theirs=t2"
finish
