#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Extended attributes as on ext4; and that what copies files keeps them.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs setfattr getfattr setcap getcap rsync tar
begin
begin_compare

same "set, get, list, remove: results and errnos" <<'END'
def attrs(p, **kw):
    print(p, [(n, word(os.getxattr(p, n, **kw))) for n in sorted(os.listxattr(p, **kw))])
make("f")
attrs("f")
for name in ("user.a", "user.ä", "trusted.t", "security.s", "user.", "trusted.", "security.", "user", "", "x",
             "foo.bar", "system.foo", "system.posix_acl_accessory", "system.", "user.n" + "x" * 249, "user.n" + "x" * 250,
             "USER.a", "os2.x", "btrfs.compression", "user.with space", "user.\n"):
    do(os.getxattr, "f", name); do(os.setxattr, "f", name, b"value"); do(os.getxattr, "f", name)
    do(os.removexattr, "f", name); do(os.setxattr, "f", name, b""); do(os.removexattr, "f", name); do(os.removexattr, "f", name)
attrs("f")
for flags in os.XATTR_CREATE, os.XATTR_REPLACE, 3, 4:
    for name in "user.new", "user.old", "user.old":
        do(os.setxattr, "f", name, str(flags).encode(), flags)
    attrs("f")
for n in 0, 1, 255, 3000, 4096, 60000, 65536, 65537:
    do(os.setxattr, "f", "user.v", b"v" * n)
    do(os.getxattr, "f", "user.v")
    do(os.setxattr, "f", "user.old", b"next to it"); do(os.removexattr, "f", "user.v")
os.setxattr("f", "user.v", b"12345678")
libc = ctypes.CDLL(None, use_errno=True)
for room in 0, 7, 8, 9, 65536, 70000:
    buf = ctypes.create_string_buffer(70000)
    print(room, libc.getxattr(b"f", b"user.v", buf, room), ctypes.get_errno(), buf.value)
    ctypes.set_errno(0)
    print(room, libc.listxattr(b"f", buf, min(room, 9) if room < 70000 else room), ctypes.get_errno())
    ctypes.set_errno(0)
END

same "of everything there is, by path, link and descriptor" <<'END'
make("f"); os.mkdir("d"); os.symlink("f", "l"); os.symlink("none", "dangling"); os.mkfifo("p")
os.mknod("c", 0o666 | stat.S_IFCHR, os.makedev(1, 3)); os.link("f", "hard")
fd = os.open("f", O_RDONLY); dd = os.open("d", O_RDONLY)
for p in "f", "d", "l", "dangling", "p", "c", "none", fd, dd:
    for name in "user.u", "trusted.t", "security.s":
        for follow in (True, False) if isinstance(p, str) else (True,):
            do(os.setxattr, p, name, b"of it", 0, follow_symlinks=follow); do(os.getxattr, p, name, follow_symlinks=follow)
    for follow in (True, False) if isinstance(p, str) else (True,):
        r, how = outcome(os.listxattr, p, follow_symlinks=follow); print(how, r and sorted(r))
print(sorted(os.listxattr("hard")), os.getxattr("hard", "user.u"))
END

same "an unlinked open file keeps them; a renamed one too" <<'END'
make("f"); os.setxattr("f", "user.a", b"1"); os.setxattr("f", "user.big", b"x" * 60000)
fd = os.open("f", O_RDWR)
os.rename("f", "g"); print(sorted(os.listxattr("g")))
os.unlink("g")
do(os.getxattr, fd, "user.a"); do(os.getxattr, fd, "user.big"); do(os.setxattr, fd, "user.late", b"2")
do(os.removexattr, fd, "user.a"); print(sorted(os.listxattr(fd)))
make("old"); os.setxattr("old", "user.old", b"1"); make("new"); os.setxattr("new", "user.new", b"1")
os.rename("new", "old"); print(os.listxattr("old"))
END

same "which times move" <<'END'
make("f"); os.mkdir("d")
for p in "f", "d":
    moved(lambda: os.setxattr(p, "user.a", b"1"), p, ".")
    moved(lambda: os.setxattr(p, "user.a", b"22"), p, ".")
    moved(lambda: os.getxattr(p, "user.a"), p, ".", of="amc")
    moved(lambda: os.listxattr(p), p, ".", of="amc")
    moved(lambda: os.setxattr(p, "user.a", b"1", os.XATTR_CREATE), p)
    moved(lambda: os.removexattr(p, "user.a"), p, ".")
    moved(lambda: os.removexattr(p, "user.a"), p)
END

same "what other users may do, and see" <<'END'
os.chmod(".", 0o777)
for mode in 0o600, 0o644, 0o666:
    for owner in 0, NOBODY:
        p = f"{mode:o}-{owner}"; make(p, b"", mode); os.chown(p, owner, owner)
        for n in "user.u", "trusted.t", "security.s": os.setxattr(p, n, b"by root")
        def f():
            r, how = outcome(os.listxattr, p); print(p, how, r and sorted(r))
            for n in "user.u", "trusted.t", "security.s", "user.none", "trusted.none", "foo.none":
                do(os.getxattr, p, n); do(os.setxattr, p, n, b"mine"); do(os.removexattr, p, n)
        as_user(NOBODY, f)
os.mkdir("sticky"); os.chmod("sticky", 0o1777)
as_user(NOBODY, lambda: do(os.setxattr, "sticky", "user.u", b"1"))
END

same "file capabilities: set, seen, and lost by writing, truncating and a change of owner" <<'END'
def caps(p): print(subprocess.run(["getcap", p], capture_output=True, text=True).stdout, word(outcome(os.getxattr, p, "security.capability")))
def ways():
    yield "read", lambda: content("f")
    yield "write", lambda: os.pwrite(os.open("f", O_WRONLY), b"x", 0)
    yield "append", lambda: os.write(os.open("f", O_WRONLY | O_APPEND), b"x")
    yield "truncate", lambda: os.truncate("f", 1)
    yield "O_TRUNC", lambda: os.open("f", O_WRONLY | O_TRUNC)
    yield "chown", lambda: os.chown("f", 1, 1)
    yield "chown to the same", lambda: os.chown("f", 0, 0)
    yield "chmod", lambda: os.chmod("f", 0o700)
    yield "utime", lambda: os.utime("f")
    yield "rename", lambda: os.rename("f", "g") or os.rename("g", "f")
    yield "link", lambda: os.link("f", "h")
    yield "open", lambda: os.open("f", O_RDWR)
    def mapped():
        m = mmap.mmap(os.open("f", O_RDWR), 4); m[0:1] = b"m"; m.flush()
    yield "mmap", mapped
for who in 0, NOBODY:
    for name, way in ways():
        make("f", b"program", 0o777); os.chown("f", 0, 0)
        subprocess.run(["setcap", "cap_net_raw+ep", "f"], check=True)
        print(name, who)
        if who: as_user(who, lambda: do(way))
        else: do(way)
        caps("f"); show("f", fields="mode"); os.unlink("f")
END

compared

claim "many attributes and large values survive a remount, a branch has them, and each side its own"
cd "$M/main"
python3 - <<'END'
import os
with open("many", "w"): pass
for i in range(1500): os.setxattr("many", f"user.number{i}", str(i).encode() * (i % 50))
with open("large", "w"): pass
for i in range(40): os.setxattr("large", f"user.large{i}", bytes([i]) * 65536)
END
getfattr --absolute-names -d many large | sort | sha256sum >"$W/before"
cd "$W"
unmount_store
mount_store
"$TALLY" -C "$M" branch main dev >/dev/null
for ns in main dev; do
    (cd "$M/$ns" && getfattr --absolute-names -d many large | sort | sha256sum) | cmp - "$W/before"
done
setfattr -n user.number7 -v changed "$M/dev/many"
setfattr -x user.large3 "$M/dev/large"
(cd "$M/main" && getfattr --absolute-names -d many large | sort | sha256sum) | cmp - "$W/before"
eq "$(getfattr --absolute-names --only-values -n user.number7 "$M/dev/many")" changed
drain

claim "equal large values are one object, which goes with the last of them"
mkdir "$M/count"
python3 - "$M/count" <<'END'
import os, sys
os.chdir(sys.argv[1])
for i in range(20):
    with open(f"f{i}", "w"): pass
    os.setxattr(f"f{i}", "user.same", b"same" * 10000)
END
"$TALLY" -C "$M" drop dev >/dev/null
rm "$M/main/many" "$M/main/large"
rm -r "$M/main/w"
drain
eq "$(find "$M/.tally/objects" -type f | wc -l)" 1
eq "$(stat -c %h "$M"/.tally/objects/*/*)" 20
rm "$M"/count/f{1..19}
eq "$(stat -c %h "$M"/.tally/objects/*/*)" 1
setfattr -x user.same "$M/count/f0"
drain
eq "$(find "$M/.tally/objects" -type f | wc -l)" 0

claim "a link into another namespace takes them along"
echo bytes >"$M/main/f"
setfattr -n user.a -v 1 "$M/main/f"
setfattr -n trusted.big -v "$(head -c 9000 /dev/zero | tr '\0' b)" "$M/main/f"
ln "$M/main/f" "$M/count/linked"
eq "$(getfattr --absolute-names -d -m - "$M/count/linked" | tail -n +2 | sort)" "$(getfattr -d -m - "$M/main/f" | tail -n +2 | sort)"

claim "the answers of tallyfs are got by name, never listed, and cannot be set"
eq "$(getfattr --absolute-names --only-values -n user.tally.refs "$M/main/f")" 2
eq "$(getfattr --absolute-names -d "$M/main/f" | grep -c '^user.tally' || true)" 0
eq "$(errno_of 'os.setxattr(argv[0], "user.tally.refs", b"7")' "$M/main/f")" EPERM
eq "$(errno_of 'os.removexattr(argv[0], "user.tally.refs")' "$M/main/f")" EPERM

claim "the mount root has none and takes none; .tally neither"
for p in "$M" "$M/.tally" "$M/.tally/control"; do
    eq "$(errno_of 'os.setxattr(argv[0], "user.a", b"1")' "$p")" EPERM
    eq "$(errno_of 'os.getxattr(argv[0], "user.a")' "$p")" ENODATA
    eq "$(getfattr --absolute-names -d -m - "$p")" ""
done

# An original on ext4 and one on tallyfs, copied in, out and within, by each tool.
attrs_of() { (cd "$1" && find . | sort | xargs getfattr -h -d -m '^(user|trusted|security)\.' --); }
fill() {
    mkdir -p "$1/sub"
    echo one >"$1/one"
    echo two >"$1/sub/two"
    ln "$1/one" "$1/hard"
    ln -s one "$1/link"
    setfattr -n user.a -v value "$1/one"
    setfattr -n user.large -v "$(head -c 30000 /dev/zero | tr '\0' l)" "$1/sub/two"
    setfattr -n user.empty "$1/sub"
    setfattr -n trusted.t -v root "$1/sub/two"
    setfattr -h -n trusted.l -v link "$1/link"
    cp "$(type -P true)" "$1/program"
    setcap cap_net_bind_service+ep "$1/program"
}
mkdir "$M/copy"
for from in "$E/from" "$M/main/from"; do
    fill "$from"
    for to in "$E" "$M/copy"; do
        for tool in cp rsync tar; do
            claim "$tool keeps them, from ${from#"$W/"} to ${to#"$W/"}"
            mkdir "$to/to"
            case $tool in
            cp) cp -a "$from/." "$to/to/" ;;
            rsync) rsync -aHAX "$from/" "$to/to/" ;;
            tar) tar -C "$from" --xattrs --xattrs-include='*' -cf - . | tar -C "$to/to" --xattrs --xattrs-include='*' -xf - ;;
            esac
            diff <(attrs_of "$from") <(attrs_of "$to/to")
            if [[ $tool == rsync ]]; then
                eq "$(rsync -aHAXi "$from/" "$to/to/")" "" "the second run copies nothing"
            fi
            rm -r "$to/to"
        done
    done
done

finish
