#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Attributes: modes, owners, times, link counts, inode numbers.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M/main"

claim "modes: chmod, umask, setuid bits, directories"
(umask 027 && touch f && mkdir d)
eq "$(stat -c %a f d | tr '\n' ' ')" "640 750 "
chmod 6711 f
chmod 1777 d
eq "$(stat -c %a f d | tr '\n' ' ')" "6711 1777 "

claim "writing to a set-uid file as another user takes the bits away; chown too"
chmod 6777 f
setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo x >>f'
eq "$(stat -c %a f)" 777
chmod 6755 f
chown 1:1 f
eq "$(stat -c '%u %g %a' f)" "1 1 755"

claim "chown of a file, of a group alone, of a symlink itself"
ln -s f link
chown -h 5:6 link
chgrp 7 f
eq "$(stat -c '%u:%g' link f | tr '\n' ' ')" "5:6 1:7 "

claim "a set-gid directory hands its group down"
mkdir g
chgrp 44 g
chmod 2775 g
touch g/f
mkdir g/d
eq "$(stat -c '%g %a' g/f g/d | tr '\n' ' ')" "44 644 44 2755 "

claim "utimens to the nanosecond, before 1970 and after 2038"
for t in 1234567890.123456789 -1000.5 4102444800.999999999; do
    python3 - "$t" <<'END'
import os, sys
s, _, f = sys.argv[1].partition(".")
ns = (abs(int(s)) * 10**9 + int(f.ljust(9, "0"))) * (-1 if s[0] == "-" else 1)
os.utime("f", ns=(ns, ns - 1))
st = os.stat("f")
assert (st.st_atime_ns, st.st_mtime_ns) == (ns, ns - 1), st
END
done

claim "mtime and ctime move with a write, ctime alone with chmod, the directory's with a name"
python3 - <<'END'
import os, time
def times(p): st = os.stat(p); return st.st_mtime_ns, st.st_ctime_ns
open("t", "w").close()
def moved(change, path="t"):
    before = times(path); time.sleep(0.02); change(); after = times(path)
    return tuple(a > b for a, b in zip(after, before))
assert moved(lambda: open("t", "w").write("x")) == (True, True)
assert moved(lambda: os.chmod("t", 0o600)) == (False, True)
assert moved(lambda: os.link("t", "t2")) == (False, True)
assert moved(lambda: os.unlink("t2")) == (False, True)
assert moved(lambda: open("t3", "w").close(), ".") == (True, True)
assert moved(lambda: os.rename("t3", "t4"), ".") == (True, True)
assert moved(lambda: os.unlink("t4"), ".") == (True, True)
os.utime("t", ns=(5, 5))
fd = os.open("t", os.O_RDWR); os.write(fd, b"y")
os.utime("t", ns=(7, 7)); os.close(fd); time.sleep(0.1)
assert os.stat("t").st_mtime_ns == 7, "closing after utimens changed the time"
END

claim "a file's time of birth is told, and stays when everything else changes"
echo 1 >born
birth=$(stat -c %w born)
matches "$birth" '^2'
sleep 0.02
echo 2 >>born
chmod 600 born
touch -d 2001-01-01 born
mv born born2
eq "$(stat -c %w born2)" "$birth"
matches "$(stat -c %w "$M/.tally/status" 2>&1)" '^-$'

claim "hard links: one inode, st_nlink counts names, attributes are common"
echo text >h1
ln h1 h2
ln h1 d/h3
eq "$(stat -c %h h1 h2 d/h3 | tr '\n' ' ')" "3 3 3 "
eq "$(stat -c %i h1 h2 d/h3 | uniq | wc -l)" 1
chmod 600 h2
echo more >>d/h3
eq "$(stat -c %a h1)" 600
eq "$(tail -n 1 h1)" more
rm h1
eq "$(stat -c %h h2)" 2
eq "$(errno_of 'os.rename("d/h3", "h2")')" OK
eq "$(stat -c %h h2 d/h3 | tr '\n' ' ')" "2 2 " "POSIX: of two links to one inode, nothing happens"
eq "$(cat h2)" "$(printf 'text\nmore')"
eq "$(errno_of 'os.link("d", "d2")')" EPERM
eq "$(errno_of 'os.link("h2", "f")')" EEXIST

claim "a directory's st_nlink counts its directories"
mkdir -p n/1 n/2 n/3
touch n/f
[[ $(stat -c %h n) -eq 5 ]]
rmdir n/1
[[ $(stat -c %h n) -eq 4 ]]

claim "inode numbers, modes, owners and times stay over a remount"
facts() { find . -printf '%P %i %m %U %G %n %T@ %C@ %s\n' | sort; }
before=$(facts)
cd /
unmount_store
mount_store
cd "$M/main"
eq "$(facts)" "$before"
finish
