#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A store of each version that ever was, as tests/stores/make.sh left it: by its own program, which
# was killed, so that its last changes are in the log alone. Each is read, mounted and written here.
# What a store has outside of itself has the name /mnt (make.sh), in a mount namespace of its own.
set -euo pipefail
if [[ $(id -u) -eq 0 && -z ${TALLY_OWN_MNT-} ]]; then
    TALLY_OWN_MNT=1 exec unshare --mount --propagation private bash "$0" "$@"
fi
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs python3 mountpoint tar unshare xz
stores=$(realpath "${test_file%/*}/../stores")
version_now=6

unpack() { # VERSION
    umount /mnt 2>/dev/null || true
    rm -rf "$S" "$W/outside"
    tar -C "$W" -xJf "$stores/v$1.tar.xz"
    [[ ! -d $W/outside ]] || mount --bind "$W/outside" /mnt
}
first_of_store() { head -n 1 "$S/tally-store"; }
bytes_of_store() (
    cd "$S"
    find . -type f ! -name lock ! -name lock.mdb -print0 | sort -z | xargs -0 sha256sum
)
same_as_then() { # VERSION
    "$stores/manifest.py" "$M" >"$W/sums"
    diff "$stores/v$1.sums" "$W/sums" >"$W/differs" || fail "$(head -n 20 "$W/differs")"
}

# What came with version 6.
has_six() {
    eq "$(readlink "$M/short")" "main/a"
    fails touch "$M/ice/new"
    "$TALLY" -C "$M" get sweep_interval | grep -q "^sweep_interval=2h " || fail "a setting is not what it was"
    eq "$(digest "$M/ice/six/away")" "$(digest "$M/main/six/away")"
    eq "$(python3 -c 'import os, sys; f = os.open(sys.argv[1], 0); print(os.lseek(f, 0, os.SEEK_HOLE))' \
        "$M/main/six/holes")" 8192
    [[ ! -e $M/main/open ]] || fail "what had no name has one"
}

for version in $(seq 2 "$version_now") $(seq -f %.0f-pool 2 "$version_now"); do
    unpack "$version"

    claim "a store of version $version is clean, and check leaves it as it is"
    [[ $(first_of_store) == "tallyfs store ${version%-pool}"?(" in a pool") ]] || fail "it is $(first_of_store)"
    before=$(bytes_of_store)
    check_clean
    eq "$(bytes_of_store)" "$before"

    claim "version $version: what its log has is not lost"
    mount_store
    grep -q '^tally: note: recovered [1-9][0-9]* changes from the log' "$W/log" || fail "nothing was in the log"

    claim "version $version: each name, byte, mode, link and xattr is as it was"
    same_as_then "$version"
    [[ $(first_of_store) == "tallyfs store $version_now"?(" in a pool") ]] || fail "it is $(first_of_store)"
    ((${version%-pool} < 6)) || has_six

    claim "version $version: it is written, and a branch of it made"
    yes "a new one" | head -c 200000 >"$W/new" || true
    cp "$W/new" "$M/main/a/new"
    printf PATCHED | dd of="$M/main/a/b/large" bs=1 seek=4096 conv=notrunc status=none
    want=$(digest "$M/main/a/b/large")
    "$TALLY" -C "$M" branch main third >/dev/null
    mv "$M/main/a/b/c" "$M/main/moved"
    rm -r "$M/twin/a"
    unmount_store
    check_clean

    claim "version $version: all of that is there in the next mount"
    : >"$W/log"
    mount_store
    cmp "$W/new" "$M/main/a/new"
    eq "$(digest "$M/main/a/b/large")" "$want"
    eq "$(names "$M/third/a/b/c")" "$(names "$M/main/moved")"
    eq "$(names "$M/third/a")" "b holes late2 link new nothing small "
    eq "$(names "$M/twin")" "before dangling empty fifo late moved unlinked "
    ((${version%-pool} < 6)) || has_six
    unmount_store
    check_clean
    : >"$W/log"
done

claim "one of version 1, which had no checksums in its tables, is refused, and left as it is"
unpack 1
before=$(tree_digest "$S")
for call in "mount -f $S $M" "check $S" "check --repair $S"; do
    # shellcheck disable=SC2086 # words
    fails "$TALLY" $call
    grep -q "was made by an older version" "$W/said" || fail "$call says: $(cat "$W/said")"
done
eq "$(tree_digest "$S")" "$before"

claim "one of the next version is refused, and left as it is"
unpack "$version_now"
sed -i "1s/.*/tallyfs store $((version_now + 1))/" "$S/tally-store"
before=$(tree_digest "$S")
fails "$TALLY" mount -f "$S" "$M"
grep -q "was written by a newer version" "$W/said" || fail "it says: $(cat "$W/said")"
fails "$TALLY" check "$S"
grep -q "was written by a newer version" "$W/said" || fail "it says: $(cat "$W/said")"
eq "$(tree_digest "$S")" "$before"
claim "all of ${test_file##*/}"
