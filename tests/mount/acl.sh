#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# POSIX ACLs and the umask as on ext4; and that what copies files keeps them.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs setfacl getfacl rsync tar
begin
begin_compare

# What every snippet begins with.
helpers=$(
    cat <<'END'
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
def acl(text):
    """"u:rw- u7:r-x g:r-- g9:--- m:rw- o:r--" in the form of the xattr"""
    v = struct.pack("<I", 2)
    for e in text.split():
        kind, (who, perm) = e[0], e[1:].split(":")
        tag = {"u": 2, "g": 8}[kind] if who else {"u": 1, "g": 4, "m": 16, "o": 32}[kind]
        v += struct.pack("<HHI", tag, sum(b for b, c in zip((4, 2, 1), perm) if c != "-"), int(who or 2**32 - 1))
    return v
def tell(*paths):
    """Mode, attributes and lists."""
    for p in paths:
        show(p, fields="mode uid gid"); print(sorted(os.listxattr(p, follow_symlinks=False)))
        if not os.path.islink(p): print(subprocess.run(["getfacl", "-cpn", p], capture_output=True, text=True).stdout)
def setfacl(*args): print("setfacl", *args, subprocess.run(["setfacl", *args], capture_output=True, text=True))
os.chmod(".", 0o777)
END
)
with_helpers() { printf '%s\n%s\n' "$helpers" "$(cat)"; }

same "an access list: mode, mask, listing; chmod changes it" < <(with_helpers <<'END'
for text in ("u:rw- g:r-- o:---", "u:rwx u7:rw- g:r-x m:r-- o:--x", "u:rwx g:r-x m:rwx o:---", "u:--- g:--- g1:rwx m:rwx o:---",
             "u:rw- u7:r-- u7:rw- g:--- m:r-- o:---", "u:rw- u9:r-- u7:rw- g:--- m:r-- o:---"):
    for mode in 0o644, 0o4755, 0o2755, 0o1777:
        make("f", b"", mode); os.mkdir("d"); os.chmod("d", mode)
        for p in "f", "d":
            do(os.setxattr, p, ACCESS, acl(text)); tell(p); do(os.getxattr, p, ACCESS)
            for m in 0o600, 0o777, 0o2070, 0o4707: do(os.chmod, p, m); tell(p)
            do(os.removexattr, p, ACCESS); tell(p); do(os.removexattr, p, ACCESS); do(os.removexattr, p, DEFAULT)
        os.unlink("f"); os.rmdir("d")
END
)

same "lists that are no lists, and in the wrong places" < <(with_helpers <<'END'
make("f"); os.mkdir("d"); os.symlink("f", "l"); os.mkfifo("p")
good = acl("u:rwx u7:r-x g:r-x m:rwx o:---")
bad = [b"", b"\2", good[:-1], good + b"\0", good[4:], b"\1" + good[1:], good[:4], good[:12]]
bad += [acl(t) for t in ("", "u:rwx", "u:rwx o:rwx", "u:rwx g:rwx", "g:rwx u:rwx o:rwx", "u:rwx u7:rwx g:rwx o:rwx",
                         "u:rwx g:rwx m:rwx m:rwx o:rwx", "u:rwx g:rwx u7:rwx m:rwx o:rwx", "u:rwx u:rwx g:rwx o:rwx")]
bad += [good[:6] + b"\x08" + good[7:], good[:4] + b"\x03" + good[5:], good[:16] + b"\xff" * 4 + good[20:]]
for p in "f", "d":
    os.setxattr(p, ACCESS, good)
    for name in ACCESS, DEFAULT:
        for v in bad: do(os.setxattr, p, name, v)
        for flags in 1, 2: do(os.setxattr, p, name, good, flags)
    tell(p)
for p in "f", "p", "l":
    for name in ACCESS, DEFAULT:
        for follow in True, False:
            do(os.setxattr, p, name, good, follow_symlinks=follow); do(os.getxattr, p, name, follow_symlinks=follow)
            do(os.removexattr, p, name, follow_symlinks=follow)
END
)

same "what is made: every umask, mode and kind, with and without a default list" < <(with_helpers <<'END'
lists = None, "u:rwx g:r-x o:---", "u:rwx u7:rwx g:r-x m:rwx o:r-x", "u:r-x g:rwx m:-w- o:--x", "u:--- g:--- o:---"
for text in lists:
    for umask in 0, 0o022, 0o077, 0o777:
        d = f"{lists.index(text)}-{umask:o}"; os.mkdir(d); os.chmod(d, 0o2777 if umask == 0o022 else 0o777)
        if text: os.setxattr(d, DEFAULT, acl(text))
        os.umask(umask); os.chdir(d)
        for mode in 0o777, 0o666, 0o640, 0o4711, 0o2755:
            os.close(os.open(f"f{mode:o}", O_WRONLY | O_CREAT, mode)); os.mkdir(f"d{mode:o}", mode)
            os.mkfifo(f"p{mode:o}", mode); os.mknod(f"n{mode:o}", mode | stat.S_IFREG)
        os.symlink("x", "l")
        s = socket.socket(socket.AF_UNIX); s.bind("s"); s.close()
        fd = os.open(".", O_RDWR | O_TMPFILE, 0o666); tell(f"/proc/self/fd/{fd}"); os.close(fd)
        tell(*ls()); os.chdir(".."); os.umask(0o022)
END
)

same "a default list is handed down, set and removed" < <(with_helpers <<'END'
os.mkdir("d")
setfacl("-d", "-m", "u:7:rwx,g:8:r-x", "d"); tell("d")
os.makedirs("d/e/f"); make("d/e/g"); tell("d/e", "d/e/f")
setfacl("-k", "d"); tell("d"); os.mkdir("d/after"); tell("d/after", "d/e")
setfacl("-R", "-m", "u:9:rwX", "d"); tell("d", "d/e", "d/e/f", "d/e/g")
setfacl("-R", "-b", "d"); tell("d", "d/e", "d/e/f", "d/e/g")
os.rename("d/e/f", "moved"); os.link("d/e/g", "linked"); tell("moved", "linked")
END
)

same "which times move" < <(with_helpers <<'END'
make("f"); os.mkdir("d"); v = acl("u:rwx u7:r-x g:r-x m:rwx o:---")
moved(lambda: os.setxattr("f", ACCESS, v), "f", ".")
moved(lambda: os.setxattr("f", ACCESS, v), "f", ".")
moved(lambda: os.setxattr("f", ACCESS, acl("u:rwx u8:r-x g:r-x m:rwx o:---")), "f", ".")
moved(lambda: os.chmod("f", 0o600), "f", ".")
moved(lambda: os.removexattr("f", ACCESS), "f", ".")
moved(lambda: os.removexattr("f", ACCESS), "f", ".")
for i in range(2): moved(lambda: os.setxattr("f", ACCESS, acl("u:rwx g:r-x o:r--")), "f", ".")
for i in range(2): moved(lambda: os.setxattr("d", DEFAULT, v), "d", ".")
moved(lambda: os.removexattr("d", DEFAULT), "d", ".")
moved(lambda: os.getxattr("d", DEFAULT), "d", of="amc")
END
)

same "who may do what: users, groups, the mask" < <(with_helpers <<'END'
def look(p):
    for how in O_RDONLY, O_WRONLY, O_RDWR:
        fd, what = outcome(os.open, p, how); print(p, how, what)
    for how in os.R_OK, os.W_OK, os.X_OK: print(os.access(p, how), end=" ")
    print()
for text in ("u:rw- u1001:rw- g:--- m:rw- o:---", "u:rw- u1001:rw- g:--- m:r-- o:---", "u:--- u1001:--- g:rwx m:rwx o:rwx",
             "u:rw- g:--- g2001:rw- m:rw- o:---", "u:rw- g:r-- g2001:-w- m:rw- o:r--", "u:rw- u1001:r-- g:rwx g2001:-w- m:rwx o:r-x",
             "u:rw- g:--- g2001:--- m:rwx o:rwx", "u:rw- g:r-- o:---"):
    make("f", b"bytes"); os.chown("f", 1000, 2000); os.setxattr("f", ACCESS, acl(text)); print(text)
    for uid, gid, groups in (0, 0, ()), (1000, 1, ()), (1001, 1, ()), (1002, 2000, ()), (1002, 1, (2001,)), (1002, 1, (2000, 2001)), (1003, 3, ()):
        print(uid, gid, groups); as_user(uid, lambda: look("f"), gid=gid, groups=groups)
    os.unlink("f")
os.mkdir("d"); os.chown("d", 1000, 2000)
for text in "u:rwx u1001:rwx g:--- m:rwx o:---", "u:rwx u1001:--x g:--- m:rwx o:---", "u:rwx u1001:r-- g:--- m:rwx o:---":
    os.setxattr("d", ACCESS, acl(text)); print(text); make("d/in", b"", 0o666)
    def f():
        do(os.listdir, "d"); do(os.mkdir, "d/new"); do(os.stat, "d/in"); do(os.rmdir, "d/new"); look("d/in"); do(os.chmod, "d", 0o777); do(os.setxattr, "d", ACCESS, acl(text))
    for uid in 1001, 1002: as_user(uid, f)
END
)

same "a change is seen at once, also by who was refused or allowed before" < <(with_helpers <<'END'
make("f", b"bytes", 0o640)
def can(): print(outcome(os.open, "f", O_RDONLY)[1], outcome(os.open, "f", O_RDWR)[1])
for change in (lambda: os.setxattr("f", ACCESS, acl("u:rw- u1001:rw- g:r-- m:rw- o:---")), lambda: os.chmod("f", 0o640), lambda: os.chmod("f", 0o600),
               lambda: os.chmod("f", 0o660), lambda: os.setxattr("f", ACCESS, acl("u:rw- u1001:r-- g:r-- m:rw- o:---")), lambda: os.removexattr("f", ACCESS),
               lambda: os.setxattr("f", ACCESS, acl("u:rw- g:r-- o:r--"))):
    as_user(1001, can); do(change); as_user(1001, can)
END
)

same "the set-gid bit: a list set by one who is not of the group costs it" < <(with_helpers <<'END'
for owner, gid, groups in (1000, 1, ()), (1000, 2000, ()), (1000, 1, (2000,)):
    for what in "file", "dir":
        for text in "u:rwx u7:r-x g:r-x m:rwx o:r-x", "u:rwx g:r-x o:r-x":
            for name in ACCESS, DEFAULT:
                if what == "file": make("x")
                else: os.mkdir("x")
                os.chown("x", 1000, 2000); os.chmod("x", 0o6755)
                as_user(owner, lambda: do(os.setxattr, "x", name, acl(text)), gid=gid, groups=groups); tell("x")
                as_user(owner, lambda: do(os.chmod, "x", 0o2775), gid=gid, groups=groups); tell("x")
                os.unlink("x") if what == "file" else os.rmdir("x")
END
)

differs "how long a list may be" "the kernel asks FUSE for at most a page of an ACL" \
    "$(printf '%s\n' "100 OK" "400 OK" "507 OK" "508 OK")" \
    "$(printf '%s\n' "100 OK" "400 OK" "507 OK" "508 E2BIG")" < <(with_helpers <<'END'
make("f")
for n in 100, 400, 507, 508:
    text = "u:rwx " + " ".join(f"u{1000 + i}:r--" for i in range(n)) + " g:r-x m:r-x o:---"
    print(n, outcome(os.setxattr, "f", ACCESS, acl(text))[1])
END
)

compared

claim "lists survive a remount, a branch has them, a link into another namespace takes them along"
cd "$M/main"
mkdir kept
setfacl -m u:7:rwx,g:8:--x kept
setfacl -d -m u:9:r-x kept
mkdir kept/sub
echo x >kept/sub/f
lists() { (cd "$1" && getfacl -pnR kept); }
lists "$M/main" >"$W/lists"
cd "$W"
unmount_store
mount_store
"$TALLY" -C "$M" branch main dev >/dev/null
lists "$M/main" | cmp - "$W/lists"
lists "$M/dev" | cmp - "$W/lists"
chmod 700 "$M/dev/kept"
lists "$M/main" | cmp - "$W/lists"
mkdir "$M/other"
ln "$M/main/kept/sub/f" "$M/other/f"
eq "$(getfacl -cpn "$M/other/f")" "$(getfacl -cpn "$M/main/kept/sub/f")"

claim "a namespace is made less the umask, and its default list is handed on"
(umask 027 && mkdir "$M/masked")
eq "$(stat -c %A "$M/masked")" drwxr-x---
setfacl -d -m u:7:rwx "$M/masked"
(umask 077 && echo >"$M/masked/f")
eq "$(getfacl -cpn "$M/masked/f" | head -2 | tr '\n' ' ')" "user::rw- user:7:rwx	#effective:rw- "

for to in "$E" "$M/other"; do
    for tool in cp rsync tar; do
        claim "$tool keeps them, from tallyfs to ${to#"$W/"}"
        mkdir "$to/to"
        case $tool in
        cp) cp -a "$M/main/kept" "$to/to/" ;;
        rsync) rsync -aHAX "$M/main/kept" "$to/to/" ;;
        tar) tar -C "$M/main" --acls -cf - kept | tar -C "$to/to" --acls -xpf - ;;
        esac
        lists "$to/to" | cmp - "$W/lists"
        rm -r "$to/to"
    done
done

finish
