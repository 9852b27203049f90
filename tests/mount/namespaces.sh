#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The mount's root: namespaces are made, removed, renamed and exchanged there, and nothing else.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
cat >"$W/exchange.py" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
END

claim "a new store has main; mkdir makes another one, empty"
eq "$(ls -A)" main
mkdir dev
eq "$(names)" "dev main "
eq "$(ls -A dev)" ""
echo 1 >dev/f
eq "$(errno_of 'os.mkdir("dev")')" EEXIST

claim "rmdir removes an empty one only"
eq "$(errno_of 'os.rmdir("dev")')" ENOTEMPTY
mkdir empty
rmdir empty
eq "$(errno_of 'os.stat("empty")')" ENOENT
eq "$(errno_of 'os.rmdir("nothing")')" ENOENT

claim "mv renames it, with what is in it"
mv dev test
eq "$(cat test/f)" 1
eq "$(errno_of 'os.stat("dev")')" ENOENT

claim "a file that is open stays usable when its namespace is renamed"
exec 4<>test/f
mv test test2
echo 2 >&4
eq "$(cat test2/f)" 2
exec 4>&-
mv test2 test

claim "onto an empty one replaces it, onto a full one is ENOTEMPTY"
mkdir empty full
touch full/x
mv -T test empty
eq "$(cat empty/f)" 2
eq "$(names)" "empty full main "
eq "$(errno_of 'os.rename("empty", "full")')" ENOTEMPTY
eq "$(ls full)" x

claim "exchange swaps two"
python3 "$W/exchange.py" empty full
eq "$(ls empty)" x
eq "$(cat full/f)" 2
fails python3 "$W/exchange.py" empty nothing

claim "a namespace does not go into a directory, nor a directory to the root"
mkdir main/d
eq "$(errno_of 'os.rename("full", "main/d/full")')" EXDEV
eq "$(errno_of 'os.rename("main/d", "d")')" EXDEV
rmdir main/d

claim "symlinks live in the root"
ln -s main current
echo 3 >current/g
eq "$(cat main/g)" 3
eq "$(readlink current)" main
ln -sfn full current
eq "$(cat current/f)" 2
mv current latest
eq "$(errno_of 'os.mkdir("latest")')" EEXIST
rm latest

claim "files, fifos and hard links do not"
eq "$(errno_of 'os.open("file", os.O_CREAT | os.O_WRONLY)')" EPERM
eq "$(errno_of 'os.mkfifo("fifo")')" EPERM
eq "$(errno_of 'os.link("main/g", "g")')" EPERM
case $(errno_of 'os.rename("main/g", "g")') in EPERM | EXDEV) ;; *) fail "a file moved to the root" ;; esac
eq "$(errno_of 'os.unlink("main")')" EISDIR

claim ".tally is reached by name, not listed, and cannot be made, removed or replaced"
[[ -d .tally ]]
eq "$(names)" "empty full main "
eq "$(find . -name .tally | wc -l)" 0
eq "$(errno_of 'os.mkdir(".tally")')" EEXIST
for call in 'os.rmdir(".tally")' 'os.rename(".tally", "x")' 'os.rename("empty", ".tally")' \
    'os.symlink("main", ".tally")' 'os.rename("main/g", ".tally/g")' 'os.mkdir(".tally/x")' \
    'os.open(".tally/x", os.O_CREAT | os.O_WRONLY)' 'os.rmdir(".tally/jobs")'; do
    got=$(errno_of "$call")
    [[ $got != OK ]] || fail "$call worked"
done
eq "$(names .tally)" "control export flushes gc-history ghosts import jobs metrics namespaces nodes objects refcounts snapshots stats.json status "

claim "an @ is for what is kept of a namespace, and in no name"
eq "$(errno_of 'os.mkdir("main@today")')" EINVAL
eq "$(errno_of 'os.rename("main", "main@today")')" EINVAL
eq "$(errno_of 'os.symlink("main", "main@today")')" EINVAL
fails "$TALLY" branch main main@today
mkdir "main/a@b"
rmdir "main/a@b"

claim "names: 255 bytes, anything but a slash or an @"
n=$(printf 'n%.0s' {1..255})
mkdir "$n" ' ' $'a\nb' '"'
eq "$(errno_of 'os.mkdir("n" * 256)')" ENAMETOOLONG
rmdir "$n" ' ' $'a\nb' '"'

claim "the namespaces' facts are below .tally/namespaces"
eq "$(names .tally/namespaces)" "empty full main "
eq "$(names .tally/namespaces/main)" "durable flushed flushes options root seq usage "
drain
eq "$(cat .tally/namespaces/main/durable)" "$(cat .tally/namespaces/main/seq)"
matches "$(cat .tally/namespaces/main/flushes)" '^[1-9][0-9]*$'
matches "$(cat .tally/namespaces/main/usage)" '^inodes=[1-9][0-9]*.bytes=[0-9]+.unlinked_inodes=0.unlinked_bytes=0.quota_files=off.quota=off$'
matches "$(cat .tally/namespaces/main/flushed)" '^20[0-9T:-]+Z$'
matches "$("$TALLY" status)" 'name=main seq=[0-9]+ durable=[0-9]+ flushes=[1-9][0-9]* last_flush=20'
eq "$(errno_of 'os.stat(".tally/namespaces/nothing")')" ENOENT

claim "a listing of them that takes many pieces names each that stays once, while others come and go"
mkdir s{0001..1500}
got=$(python3 - <<'EOF'
import os
seen = []
with os.scandir(".tally/namespaces") as entries:
    for n, e in enumerate(entries):
        seen.append(e.name)
        if n % 100 == 50:
            os.rmdir(f"s{n + 1:04}")
            os.mkdir(f"t{n:04}")
left = {n for n in os.listdir(".") if n[0] == "s"}
assert len(seen) == len(set(seen)), "a name came twice"
print(len(left), len(left - set(seen)))
EOF
)
eq "$got" "1485 0"
rmdir s* t*

claim "names of flushes are in .tally/flushes, also after a remount and after a kill"
is_named() {
    grep -qE "^seq=[0-9]+ time=20[0-9T:-]+Z name=\"$1\"\$" "$M/.tally/flushes" || fail "$1: $(cat "$M/.tally/flushes")"
}
flush_as() { # and waits until it is committed
    local said
    said=$("$TALLY" -C "$M" flush "$1")
    [[ $said =~ ticket=([0-9]+) ]] || fail "$said"
    "$TALLY" -C "$M" wait ticket "${BASH_REMATCH[1]}" >/dev/null
}
flush_as "before the end"
is_named "before the end"
cd /
unmount_store
mount_store
is_named "before the end"
echo more >"$M/main/more"
flush_as "before the kill"
kill_daemon
mount_store
is_named "before the end"
is_named "before the kill"
rm "$M/main/more"
cd "$M"

claim "all of it is there after a remount; showctl lists .tally"
want=$(tree_digest .)
cd /
unmount_store
mount_with -o showctl
cd "$M"
eq "$(names)" ".tally empty full main "
eq "$(cat full/f)" 2
cd /
unmount_store
mount_store
eq "$(tree_digest "$M")" "$want"
finish
