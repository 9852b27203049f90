#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Root without its capabilities, users with some, and the filesystem's user id, as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

# What every snippet begins with: with_caps(set, f) runs f with these capabilities alone.
caps='
CAPS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "FSETID": 4, "SETGID": 6,
        "SETUID": 7, "LINUX_IMMUTABLE": 9, "SYS_ADMIN": 21, "MKNOD": 27, "LEASE": 28}
def with_caps(names, f, uid=0):
    def other():
        c.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
        os.setgroups([]); os.setgid(uid)
        if uid: os.setuid(uid)
        bits = sum(1 << CAPS[n] for n in names)
        c.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", bits, bits, 0, 0, 0, 0))
        print(uid, *names)
        f()
    ended(child(other))
def tries():
    for code in TRIES:
        print(code, outcome(lambda: eval(code) and None)[1])
'
same_caps() { same "$1" < <(printf '%s\n' "$caps" && cat); }

same_caps "what each capability allows, and what root lacks without it" <<'END'
TRIES = ("os.open('f', O_RDWR)", "os.open('f', O_RDONLY)", "os.open('nx/f', O_RDONLY)",
         "ls('nx')", "os.chmod('f', 0o640)", "os.chown('f', 5, 5)", "os.chown('f', -1, 9)",
         "os.utime('f', (1, 2))", "os.unlink('sticky/f')", "os.rename('sticky/g', 'sticky/h')",
         "os.mknod(f'dev{len(ls())}', 0o20600, 259)", "os.mkfifo(f'p{len(ls())}')",
         "os.chmod('mine', 0o2755)", "os.setxattr('f', 'trusted.a', b'x')",
         "os.setxattr('f', 'user.a', b'x')", "os.setxattr('f', 'security.a', b'x')",
         "os.truncate('f', 5)", "os.open('f', O_RDONLY | O_NOATIME)",
         "os.link('f', f'l{len(ls())}')", "os.symlink('x', f's{len(ls())}')")
os.chmod(".", 0o777)
for names in ((), ("CHOWN",), ("DAC_OVERRIDE",), ("DAC_READ_SEARCH",), ("FOWNER",), ("FSETID",),
              ("MKNOD",), ("SYS_ADMIN",), ("CHOWN", "FOWNER", "FSETID")):
    for uid in 0, 1000:
        make("f", b"0123456789"); os.chown("f", NOBODY, 7); os.chmod("f", 0o600)
        os.makedirs("nx", exist_ok=True); make("nx/f"); os.chmod("nx", 0o600)
        os.chown("nx", NOBODY, 7); os.makedirs("sticky", exist_ok=True)
        os.chmod("sticky", 0o1777); os.chown("sticky", 5, 5)
        for n in "fg":
            if n in os.listdir("sticky"): os.unlink(f"sticky/{n}") # with fs.protected_regular make() could not open it
            make(f"sticky/{n}"); os.chown(f"sticky/{n}", NOBODY, 7)
        make("mine"); os.chown("mine", uid, 7); os.chmod("mine", 0o644)
        with_caps(names, tries, uid)
        show("f", "mine"); print(sorted(os.listdir("sticky")))
END

same_caps "set-id bits: kept over writing and truncating with CAP_FSETID alone" <<'END'
TRIES = ("os.write(os.open('w', O_WRONLY), b'x')", "os.truncate('t', 1)", "os.chown('c', 0, 9)",
         "os.chmod('m', 0o6777)")
os.chmod(".", 0o777)
for names in (), ("FSETID",), ("CHOWN", "FOWNER"), ("FSETID", "CHOWN", "FOWNER"):
    for uid in 0, 1000:
        for n in "wtcm":
            make(n, b"abc"); os.chown(n, 1000, 7); os.chmod(n, 0o6777)
        with_caps(names, tries, uid)
        show(*"wtcm")
END

same_caps "the filesystem's own user and group ids (setfsuid)" <<'END'
os.chmod(".", 0o777); make("f", b"x", 0o600); make("g", b"x", 0o640)
os.chown("g", 0, 4242)
def f():
    c.lib.setfsgid(4242)
    c.lib.setfsuid(1000)
    for n in "fg":
        do(os.open, n, O_RDONLY); do(os.open, n, O_RDWR)
    os.close(os.open("made", O_CREAT | O_WRONLY)); os.mkdir("dir")
    os.symlink("x", "link"); do(os.chmod, "f", 0o644); do(os.chmod, "made", 0o600)
ended(child(f)); show("made", "dir", "link")
END

compared
finish
