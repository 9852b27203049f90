#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What programs that copy and search trees rely on: inode numbers, link counts, and what tar, cp,
# rsync and find make of them, as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs tar rsync getfattr
begin_compare

same "the tree that is copied below" <<'END'
from zoo import *
zoo("t")
see("t")
END

same "cp -a keeps links, owners, modes, times and special files" <<'END'
from zoo import *
zoo("t")
sh("cp -a t u")
see("u")
sh("diff -r --no-dereference t/d u/d; cmp t/big u/big")
END

same "tar and back" <<'END'
from zoo import *
zoo("t")
sh("tar --sort=name -cf t.tar t; mkdir u; tar -xpf t.tar -C u; tar -df t.tar")
see("u/t")
sh("tar --full-time -tvf t.tar")
END

same "rsync -aHX, twice: the second time nothing is sent" <<'END'
from zoo import *
zoo("t")
sh("rsync -aHX t/ u/")
see("u")
sh("rsync -aHXi --delete t/ u/")
sh("rsync -aHXic t/ u/")
END

same "find by everything it asks of an inode" <<'END'
from zoo import *
zoo("t")
os.chdir("t")
sh("find . -inum $(stat -c %i a) | sort")
sh("find . -samefile d/l | sort")
for test in ("-links +1", "-newer a", "-empty", "-perm -4000", "-type p", "-type s", "-type c",
             "-type l", "-size +1", "-size 0", "-name 'n*'", "-user 3", "-maxdepth 1",
             "-mindepth 3", "-xdev", "-lname '*a'", "-perm /022", "-depth -type d -empty"):
    sh(f"find . {test} | sort")
END

same "ls -l and du, which counts a linked file once" <<'END'
from zoo import *
zoo("t")
os.mkdir("plain"); make("plain/f", b"x" * 4096)
sh("ls -lAR --time-style=full-iso t | grep -v '^total\\|^d\\|^c'")
sh("ls -lA plain")
sh("du -b t/a t/d/a2; du -lb t/a t/d/a2; du -k plain/f")
END

same "mv to another filesystem and back, install, rm -rf" <<'END'
from zoo import *
zoo("t")
sh('d=$(mktemp -d /dev/shm/tally-XXXXXX) && mv t "$d" && mv "$d/t" u && rmdir "$d"')
see("u")
sh("install -m 4711 -o 7 -g 8 u/big v; stat -c '%a %u %g %s' v")
sh("rm -rf u v")
print(ls())
END

compared

claim "an inode keeps its number over a remount and in a branch its low 32 bits; new ones differ"
mkdir "$M/main/t"
for i in $(seq 200); do
    echo "$i" >"$M/main/t/$i"
done
ln "$M/main/t/1" "$M/main/t/one"
# numbers DIR MODULUS - of all below.
numbers() {
    (cd "$M/$1" && find . -printf '%i %P\n') | sort -k2 | awk -v m="$2" '{ print $1 % m, $2 }'
}
used() { find "$M/$1" -printf '%i\n' | sort -u; }
whole=18446744073709551616 low=4294967296
before=$(numbers main/t "$whole")
[[ $(wc -l <<<"$before") -gt 10 ]] || fail "there are only these files: $before"
"$TALLY" -C "$M" branch main dev >/dev/null
unmount_store
mount_store
eq "$(numbers main/t "$whole")" "$before"
eq "$(numbers dev/t "$low")" "$(numbers main/t "$low")"
used main >"$W/main"
used dev >"$W/dev"
eq "$(wc -l <"$W/main")" "$(wc -l <"$W/dev")"
eq "$(comm -12 "$W/main" "$W/dev")" ""
echo new >"$M/dev/t/new"
echo other >"$M/main/t/other"
eq "$(find "$M/dev/t" -printf '%i\n' | sort | uniq -d | wc -l)" 1 "the hard link"

claim "a number is not used again while what had it is open"
eq "$(cd "$M/main/t" && python3 -c '
import os
seen = set()
for i in range(300):
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.unlink("f")
    seen.add(os.fstat(fd).st_ino)
print(len(seen))')" 300
finish
