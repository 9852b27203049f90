#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots, read by name below .tally/snapshots: with the tools that people have.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes
begin
needs setcap getcap tar
cd "$M"
t() { "$TALLY" -C "$M" "$@"; }
mkdir -p "main/d/a directory" empty
for i in {1..200}; do echo "$i" >"main/d/$i"; done
head -c 2000000 /dev/urandom >main/large
ln main/d/1 main/hard
ln -s d/2 main/soft
cp /bin/echo main/say
cp /bin/cat main/cat
setcap cap_net_raw+ep main/cat
install -m 4755 /bin/true main/setid
top=.tally/snapshots

claim "a namespace is listed as soon as it has a snapshot, and a snapshot as soon as it is made"
eq "$(names $top)" ""
eq "$(errno_of 'os.stat(argv[0])' $top/main)" ENOENT
t snapshot main first >/dev/null
eq "$(names $top)" "main "
eq "$(names $top/main)" "first "
eq "$(errno_of 'os.stat(argv[0])' $top/empty)" ENOENT
eq "$(errno_of 'os.stat(argv[0])' $top/main/second)" ENOENT

claim "names have blanks, line breaks and quotes, as people like"
mkdir "a name"
echo there >"a name/f"
t snapshot "a name" "before it broke" >/dev/null
eq "$(names $top)" "a name main "
eq "$(names "$top/a name")" "before it broke "
eq "$(cat "$top/a name/before it broke/f")" there
for i in {1..300}; do t snapshot empty "n $i" >/dev/null; done
eq "$(find $top/empty -mindepth 1 -maxdepth 1 -name 'n *' | wc -l)" 300

claim "cat, find, cp -a, tar, diff -r and a program read the tree of that instant, whatever changed"
want=$(tree_digest main)
cp -a main "$W/as-it-was"
rm -r main/d
echo other >main/large
echo new >main/new
s=$M/$top/main/first
eq "$(tree_digest "$s")" "$want"
eq "$(cat "$s/soft")" 2
eq "$(stat -c %h "$s/hard")" 2
diff -r --no-dereference "$s" "$W/as-it-was"
cp -a "$s" "$W/copied"
diff -r --no-dereference "$W/copied" "$W/as-it-was"
mkdir "$W/packed"
tar -C "$s" -c . | tar -C "$W/packed" -x
diff -r --no-dereference "$W/packed" "$W/as-it-was"
eq "$("$s/say" it runs)" "it runs"
eq "$(stat -c %a "$s/setid")" 4755
matches "$(getcap "$s/cat")" 'cap_net_raw'

claim "cd, pwd and .. follow the path by which the tree was reached"
cd "$s/d/a directory"
eq "$(pwd -P)" "$s/d/a directory"
cd ../..
eq "$(pwd -P)" "$s"
cd -P ..
eq "$(pwd -P)" "$M/$top/main"
eq "$(names)" "first "
cd "$M"
eq "$(find "$s" -mindepth 1 | wc -l)" "$(find "$W/as-it-was" -mindepth 1 | wc -l)"

claim "nothing in it, and none of its names, can be changed"
for call in 'open(argv[0] + "/d/1", "w")' 'os.mkdir(argv[0] + "/x")' 'os.unlink(argv[0] + "/large")' \
    'os.chmod(argv[0] + "/large", 0)' 'os.rename(argv[0] + "/large", argv[0] + "/x")' \
    'os.setxattr(argv[0] + "/large", "user.x", b"1")' 'os.utime(argv[0])'; do
    eq "$(errno_of "$call" "$s")" EROFS "$call"
done
for call in 'os.rmdir(argv[0])' 'os.mkdir(argv[0] + "2")' 'os.rmdir(os.path.dirname(argv[0]))' \
    'os.rename(argv[0], argv[0] + "2")'; do
    eq "$(errno_of "$call" "$s")" EPERM "$call"
done
eq "$(tree_digest "$s")" "$want"

claim "a file is brought back by a link, which shares its bytes"
ln "$s/large" main/back
cmp main/back "$W/as-it-was/large"

claim "others than the owner of the mount cannot enter"
fails setpriv --reuid 1000 --regid 1000 --clear-groups ls "$M/$top"
fails setpriv --reuid 1000 --regid 1000 --clear-groups cat "$s/d/1"

claim "a namespace that gets another name keeps its snapshots"
mv main renamed
eq "$(errno_of 'os.stat(argv[0])' "$s")" ENOENT
eq "$(tree_digest $top/renamed/first)" "$want"
mv renamed main
eq "$(tree_digest "$s")" "$want"

claim "in the trash they are hidden with their namespace, and come back with it"
t drop "a name" >/dev/null
eq "$(errno_of 'os.stat(argv[0])' "$M/$top/a name")" ENOENT
t undrop "a name" >/dev/null
eq "$(cat "$top/a name/before it broke/f")" there

claim "who is in a snapshot that is dropped gets ESTALE, also where names and listings were kept"
cd "$s/d"
ls >/dev/null
ls -l "$s" >/dev/null
t drop main@first >/dev/null
eq "$(errno_of 'os.stat(argv[0])' "$s")" ENOENT
eq "$(errno_of 'os.listdir(".")')" ESTALE
eq "$(errno_of 'os.stat("17")')" ESTALE
eq "$(errno_of 'open("18")')" ESTALE
eq "$(errno_of 'os.stat("..")')" ESTALE

claim "its name leads to the next snapshot of that name at once, and who stayed behind does not see that one"
t snapshot main first >/dev/null
eq "$(cat "$s/large")" other
eq "$(errno_of 'os.stat("17")')" ESTALE
cd "$M"
eq "$(cat "$s/new")" new

claim "one in which a file is open is not dropped"
exec 4<"$s/new"
fails t drop main@first
eq "$(cat <&4)" new
exec 4<&-
t drop main@first >/dev/null
eq "$(errno_of 'os.stat(argv[0])' "$M/$top/main")" ENOENT

claim "what goes by itself goes from here, too, and so does a listing that the kernel kept"
mkdir gone
echo x >gone/f
t snapshot gone s >/dev/null
cd "$M/$top/gone/s"
ls >/dev/null
t drop gone >/dev/null
eq "$(names)" "f "
t set flush_interval 1s >/dev/null
t set trash_keep 1s >/dev/null
is_stale() { [[ $(errno_of 'os.listdir(".")') == ESTALE ]]; }
wait_until is_stale
cd "$M"

claim "the daemon makes snapshots by itself, as the namespace says, and drops what is over"
has_made() { compgen -G "$top/main/auto-20*Z" >/dev/null; }
t set ns:main.snapshots "1m*2 1h*24" >/dev/null
wait_until has_made
eq "$(cat $top/main/auto-*/new)" new
matches "$(t branch --ttl 1s main short)" '^ns=short seq=[0-9]+ until=20'
is_over() { [[ ! -e short ]]; }
wait_until is_over
matches "$(t get ns:main.snapshots)" 'ns:main.snapshots="1m\*2 1h\*24" default=off'

claim "with snapdir all who can enter a namespace find its snapshots in it, by a name that is not listed"
user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
chmod 755 main
install -m 4755 /bin/true main/setid
t snapshot main shown >/dev/null
n=$M/main/.tally-snap
fails ls "$n"
eq "$(stat -c %a $top/main/shown/setid)" 4755
t set ns:main.snapdir on >/dev/null
matches "$(t get ns:main.snapdir)" 'ns:main.snapdir=on default=off'
matches "$(user ls "$n")" shown
eq "$(user cat "$n/shown/new")" new
! compgen -G "main/.*snap*" >/dev/null || fail "it is listed"
eq "$(cd "$n/shown" && pwd -P)" "$n/shown"
eq "$(cd -P "$n/shown/.." && pwd -P)" "$n"
eq "$(errno_of 'os.stat(argv[0])' "$M/empty/.tally-snap")" ENOENT
eq "$(errno_of 'os.stat(argv[0])' "$n/17")" ENOENT "a base is shown"
eq "$(errno_of 'os.stat(argv[0])' "$M/main/d/.tally-snap")" ENOENT "it is in every directory"

claim "what is there gives no rights, and cannot be changed"
eq "$(stat -c %a "$n/shown/setid")" 755
eq "$(stat -c %a $top/main/shown/setid)" 755
eq "$(find "$n/shown" -maxdepth 1 -perm /6000)" ""
eq "$(getcap "$n/shown/cat")" ""
eq "$(errno_of 'os.getxattr(argv[0], "security.capability")' "$n/shown/cat")" ENODATA
eq "$(errno_of 'os.link(argv[0], argv[1])' "$n/shown/cat" "$M/empty/cat")" EPERM
ln "$n/shown/setid" empty/setid
eq "$(stat -c %a empty/setid)" 755
eq "$(stat -c %a main/setid)" 4755
matches "$(getcap main/cat)" cap_net_raw
eq "$(errno_of 'open(argv[0], "w")' "$n/shown/new")" EROFS
for call in 'os.rmdir(argv[0])' 'os.rename(argv[0], argv[0] + "2")' 'os.mkdir(argv[0] + "/x")'; do
    eq "$(errno_of "$call" "$n")" EPERM "$call"
done
eq "$(errno_of 'os.mkdir(argv[0])' "$n")" EEXIST

claim "a digest is that of the tree, not of what is shown of it"
t branch main@shown unmasked >/dev/null
eq "$(t digest --wait main@shown | sed 's/ .*//')" "$(t digest --wait unmasked | sed 's/ .*//')"
t drop --now unmasked >/dev/null

claim "it is off when the namespace has a file of that name, and when somebody turns it off"
cd "$n"
t set ns:main.snapdir off >/dev/null
t snapshot main later >/dev/null
eq "$(errno_of 'os.stat(argv[0])' later)" ENOENT "who is in it sees more"
t drop main@later >/dev/null
cd "$M"
eq "$(errno_of 'os.stat(argv[0])' "$n")" ENOENT
eq "$(stat -c %a $top/main/shown/setid)" 755 "who is in it regains rights"
echo mine >"$n"
t set ns:main.snapdir on >/dev/null
eq "$(cat "$n")" mine
rm "$n"
matches "$(user ls "$n")" shown
t branch main twin >/dev/null
eq "$(errno_of 'os.stat(argv[0])' "$M/twin/.tally-snap")" ENOENT "a branch inherits it"

claim "after a remount they are there"
cd /
unmount_store
mount_store
cd "$M"
eq "$(names "$top/a name")" "before it broke "
eq "$(cat "$top/a name/before it broke/f")" there
matches "$(user ls "$n")" shown
t set ns:main.snapdir off >/dev/null
cd /
unmount_store
mount_store
eq "$(stat -c %a "$M/$top/main/shown/setid")" 4755
finish
