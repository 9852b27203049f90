#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# User namespaces on a mount: what is made inside belongs to the user outside, root inside is root of
# nothing, ids that are not mapped are nobody's; and idmapped mounts are refused or right.
# shellcheck disable=SC2016 # what shells inside expand
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs unshare setpriv python3
begin_compare
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
as 1000 unshare -Ur true 2>/dev/null || skip "users may not make user namespaces here"

# The same commands on ext4 and on the mount, in a directory "ns" open to all; what they print and
# leave must be equal.
both() { # CLAIM, commands from standard input; they run as user 1000 with $1 as directory
    local place commands
    claim "$1"
    commands=$(cat)
    for place in "$E" "$M/main"; do
        rm -rf "$place/ns"
        mkdir -m 1777 "$place/ns"
        echo root >"$place/ns/roots"
        chmod 600 "$place/ns/roots"
        echo other >"$place/ns/others"
        chown 1001:1001 "$place/ns/others"
        chmod 666 "$place/ns/others"
        echo own >"$place/ns/own"
        chown 1000:1000 "$place/ns/own"
        (cd "$place/ns" && bash -c "$commands" sh 2>&1 | sed "s|$place/||g") >"$W/out.${place##*/}" || true
        (cd "$place/ns" && find . -printf '%P %y %m %U %G %n %s\n' | sort | sed 's/ [0-9]* \(4096\)\?$//') >>"$W/out.${place##*/}"
    done
    diff "$W/out.ext4" "$W/out.main"
    [[ $(wc -l <"$W/out.main") -ge 6 ]]
}
chmod 755 "$E"

both "one user mapped to root: what it makes is the user's outside; chown, mknod, chmod are limited" <<'END'
setpriv --reuid 1000 --regid 1000 --clear-groups unshare -Ur bash -c '
    id -u; echo x >made; mkdir dir; ln -s made link; mkfifo fifo
    stat -c "%n %u %g %a" made dir own others roots
    chown 1 made; chown 0:0 made; chgrp 1 made; chown 0 others; chmod 777 others; chmod 4755 made
    cat roots; echo more >>others; rm -f others; rm -f roots; mv own renamed
    mknod null c 1 3; mknod null2 b 7 0
    touch -d 2001-01-01 others; touch -d 2001-01-01 made; stat -c %Y made
    setfattr -n user.x -v 1 made; setfattr -n trusted.x -v 1 made; getfattr --only-values -n user.x made'
END
both "a range of ids is mapped: files of mapped ids are seen as such and may be given away, others not" <<'END'
python3 - <<'PY'
import os, subprocess, sys
# root outside writes the maps: inside 0..9 are 1000, 1001, 100000...
r, w = os.pipe(); r2, w2 = os.pipe()
pid = os.fork()
if pid == 0:
    import ctypes
    ctypes.CDLL(None).unshare(0x10000000)
    os.write(w, b"x"); os.read(r2, 1)
    os.setgroups([]); os.setresgid(0, 0, 0); os.setresuid(0, 0, 0)
    sys.exit(subprocess.call(["bash", "-c", """
        id -u; stat -c '%n %u %g %a' own others roots
        echo x >made; stat -c '%u %g' made
        chown 1:1 made && stat -c '%n %u %g' made
        chown 5:5 made && stat -c '%n %u %g' made
        chown 99:99 made; chown 0 roots; cat roots
        chmod 600 others; stat -c '%n %u %a' others; cat others
        echo in >sgid; chmod 6755 sgid; chown 1:2 sgid; stat -c '%a %u %g' sgid
        rm -f roots; rm -f others; ls | tr '\\n' ' '
    """], stderr=subprocess.STDOUT))
os.read(r, 1)
for kind in ("uid", "gid"):
    open(f"/proc/{pid}/{kind}_map", "w").write("0 1000 2\n2 100000 8\n")
os.write(w2, b"x")
os.waitpid(pid, 0)
PY
END
both "nothing is mapped: every file is nobody's, and only what is open to all is open" <<'END'
setpriv --reuid 1000 --regid 1000 --clear-groups unshare -U bash -c '
    id -u; stat -c "%n %u %g %a" own others roots; cat own; echo x >made; stat -c "%u %a" made
    cat roots; chmod 600 made; chown 65534 made; rm -f own; ls | tr "\n" " "'
END

claim "a mount namespace of a user: bind mounts of the mount work there, and do not give more"
as 1000 unshare -Urm bash -euc 'mount --bind "$1" /mnt
    cd /mnt
    echo bound >bound
    ! cat roots 2>/dev/null || exit 2
    ! umount "$2" 2>/dev/null || exit 3' sh "$M/main/ns" "$M"
eq "$(stat -c %u "$M/main/ns/bound") $(cat "$M/main/ns/bound")" "1000 bound"

claim "a user of a user namespace does not get into .tally"
fails as 1000 unshare -Ur cat "$M/.tally/status"
fails as 1000 unshare -Ur "$TALLY" -C "$M" status

claim "an idmapped mount is refused, or shows and makes the mapped ids"
cat >"$W/idmap.py" <<'END'
import ctypes, errno, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(n, *args):
    r = libc.syscall(n, *args)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r
source, target = map(os.fsencode, sys.argv[1:])
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    libc.unshare(0x10000000)
    os.write(w, b"x")
    os.read(0, 1)
    os._exit(0)
os.read(r, 1)
for kind in ("uid", "gid"):
    open(f"/proc/{pid}/{kind}_map", "w").write("1000 5000 1000\n")
userns = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
tree = call(428, -100, source, 1 | 0x80000)                     # open_tree(OPEN_TREE_CLONE)
attr = struct.pack("QQQQ", 0x100000, 0, 0, userns)             # MOUNT_ATTR_IDMAP
try:
    call(442, tree, b"", 0x1000, attr, len(attr))              # mount_setattr
except OSError as e:
    print(errno.errorcode[e.errno])
    sys.exit()
call(429, tree, b"", -100, target, 4)                          # move_mount
print("OK")
END
mkdir "$W/idmapped"
case $(python3 "$W/idmap.py" "$M/main/ns" "$W/idmapped" </dev/null) in
EINVAL) echo "(refused)" ;;
OK)
    eq "$(stat -c %u "$W/idmapped/bound")" 5000
    as 5000 sh -c "echo x >$W/idmapped/new"
    eq "$(stat -c %u "$M/main/ns/new")" 1000
    umount "$W/idmapped"
    ;;
*) fail "neither refused nor there" ;;
esac
umount "$E"
finish
