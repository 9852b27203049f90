#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# File handles (open_by_handle_at, as an NFS server and overlayfs use them) lead to the file
# whatever the kernel has forgotten, also at the next mount, and to nothing once it is gone.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs unshare
handle() { "${test_file%/*}/handles.py" "$@"; }
take() { handle take "$1"; }
at() { handle open "$M" "$1"; }
# The kernel has none of the inodes any more.
evict() {
    echo 2 >/proc/sys/vm/drop_caches
}
remount() {
    unmount_store
    mount_store
}

mkdir -p "$M/main/a/b/c" "$M/other/x"
echo text >"$M/main/a/b/f"
echo other >"$M/other/x/f"
ln "$M/main/a/b/f" "$M/main/hard"
ln -s nowhere "$M/main/link"
ln -s main "$M/toplink"
mkfifo "$M/main/fifo"
seq 30 | head -c 60 >"$M/main/a/g"
declare -A h want
for path in . main main/a main/a/b main/a/b/c main/a/b/f main/link main/fifo main/a/g other other/x other/x/f toplink; do
    h[$path]=$(take "$M/$path") want[$path]=$(stat -c %i "$M/$path")
done
all_lead_there() {
    local path
    for path in "${!h[@]}"; do
        eq "$(handle ino "$M" "${h[$path]}")" "${want[$path]}" "$1: $path"
    done
    eq "$(at "${h[main/a/b/f]}")" text "$1"
    eq "$(at "${h[main/a/b]}")" "c f" "$1"
    eq "$(at "${h[main/a/g]}")" "$(<"$M/main/a/g")" "$1"
}

claim "they lead to the file, cached or not, and at the next mount"
all_lead_there cached
evict
all_lead_there evicted
remount
all_lead_there remounted
remount
eq "$(at "${h[other/x/f]}")" other "nothing else was looked at"

claim "a directory is found with its path, a file that was renamed under its new one"
remount
eq "$(handle where "$M" "${h[main/a/b/c]}")" "$M/main/a/b/c"
mv "$M/main/a/b" "$M/main/moved"
mv "$M/main/moved/f" "$M/main/moved/ff"
evict
eq "$(handle where "$M" "${h[main/a/b/c]}")" "$M/main/moved/c"
eq "$(at "${h[main/a/b/f]}")" text
eq "$(handle where "$M" "${h[main]}")" "$M/main"
eq "$(at "${h[.]}")" "main other toplink"

claim "by whatever name it has left"
rm "$M/main/moved/ff"
evict
eq "$(at "${h[main/a/b/f]}")" text "by its other name"

claim "what is gone is ESTALE, also when others came after it, and at the next mount"
rm "$M/main/hard"
rmdir "$M/main/moved/c"
rm "$M/main/link" "$M/main/fifo" "$M/toplink"
for i in {1..50}; do echo "$i" >"$M/main/new$i"; done
ln -s main "$M/toplink"
gone=(main/a/b/c main/a/b/f main/link main/fifo toplink)
for when in now evicted remounted; do
    [[ $when != evicted ]] || evict
    [[ $when != remounted ]] || remount
    for path in "${gone[@]}"; do
        eq "$(handle ino "$M" "${h[$path]}")" ESTALE "$when: $path"
    done
done

claim "one that is unlinked and open is still itself"
echo held >"$M/main/held"
held=$(take "$M/main/held")
exec 8<"$M/main/held"
rm "$M/main/held"
evict
eq "$(cat <&8)" held
exec 8<&-
evict
eq "$(at "$held")" ESTALE

claim "those of a namespace that is dropped, or replaced under its name and number"
"$TALLY" -C "$M" drop other >/dev/null
for i in {1..5}; do
    eq "$(at "${h[other/x/f]}")" ESTALE
    eq "$(at "${h[other]}")" ESTALE
    mkdir -p "$M/other/x"
    echo "new $i" >"$M/other/x/f"
    evict
    eq "$(at "${h[other/x/f]}")" ESTALE "after $i"
    eq "$(at "$(take "$M/other/x/f")")" "new $i"
    [[ $i == 5 ]] || "$TALLY" -C "$M" drop other >/dev/null
    drain
done

claim "nothing of .tally is reached by a handle that was made up, or kept"
kept=$(take "$M/.tally/status")
evict
eq "$(at "$kept")" ESTALE
exec 8<"$M/.tally/status" 9<"$M/.tally"
for path in .tally .tally/status .tally/control .tally/objects; do
    node=$(stat -c %i "$M/$path")
    for generation in 0 1; do
        made=81:$(python3 -c 'import struct, sys
n, g = int(sys.argv[1]), int(sys.argv[2])
print(struct.pack("=III", n >> 32, n & 0xffffffff, g).hex())' "$node" "$generation")
        eq "$(at "$made")" ESTALE "$path"
    done
done
exec 8<&- 9<&-

claim "overlayfs with index and nfs_export: numbers stay after a copy-up, hard links stay one file"
mkdir -p "$M/main/lower/d" "$W/upper" "$W/work" "$W/merged"
echo low >"$M/main/lower/d/one"
ln "$M/main/lower/d/one" "$M/main/lower/d/two"
cat >"$W/inner" <<'END'
set -euo pipefail
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3,index=on,nfs_export=on" "$4"
options=$(grep " $4 overlay" /proc/self/mounts)
[[ $options == *,index=on,* && $options == *,nfs_export=on\ * ]]
before=$(stat -c %i "$4/d/one")
handle=$("$5" take "$4/d/one")
echo more >>"$4/d/one"
[[ $(stat -c %i "$4/d/one") == "$before" && $(stat -c %i "$4/d/two") == "$before" ]]
[[ $(<"$4/d/two") == "$(printf 'low\nmore')" ]]
echo 2 >/proc/sys/vm/drop_caches
[[ $("$5" open "$4" "$handle") == "$(printf 'low\nmore')" ]]
[[ $(stat -c %i "$4/d/two") == "$before" ]]
END
unshare -m --propagation private bash -x "$W/inner" "$M/main/lower" "$W/upper" "$W/work" "$W/merged" \
    "${test_file%/*}/handles.py" >"$W/said" 2>&1 || fail "$(tail -n 5 "$W/said")"
eq "$(cat "$M/main/lower/d/one")" low
finish
