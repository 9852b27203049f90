#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several processes on the same names and bytes: what holds on ext4 whoever comes first.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

# What every snippet begins with: four processes run f(0) … f(3) at once, from one start.
crowd='
def crowd(f, n=4):
    r, w = os.pipe()
    def one(k): os.close(w); os.read(r, 1); f(k)
    pids = [child(one, k) for k in range(n)]
    os.close(w)
    for pid in pids: ended(pid)
def lines(path): return sorted(content(path).decode().split())
def note(path, text):
    fd = os.open(path, O_WRONLY | O_APPEND | O_CREAT)
    os.write(fd, f"{text}\n".encode()); os.close(fd)
'
same_crowd() { same "$1" < <(printf '%s\n' "$crowd" && cat); }

same_crowd "O_EXCL, mkdir, link, symlink and NOREPLACE: one wins each name" <<'END'
for k in range(4): make(f"mine{k}")
def f(k):
    for i in range(60):
        os.close(os.open(f"r{k}-{i}", O_CREAT))
        for how, act in (("creat", lambda: os.close(os.open(f"c{i}", O_CREAT | O_EXCL))),
                         ("mkdir", lambda: os.mkdir(f"d{i}")),
                         ("symlink", lambda: os.symlink("t", f"s{i}")),
                         ("link", lambda: os.link(f"mine{k}", f"l{i}")),
                         ("rename", lambda: rename2(f"r{k}-{i}", f"n{i}", RENAME_NOREPLACE))):
            if outcome(act)[1] == "OK": note("won", f"{how}-{i}")
crowd(f)
won = lines("won")
print(len(won), len(set(won)), len([n for n in ls() if n[0] == "r"]))
print(sum(os.stat(f"mine{k}").st_nlink for k in range(4)))
END

same_crowd "one unlinks, removes or renames away; the others find nothing" <<'END'
for i in range(100):
    make(f"f{i}"); os.mkdir(f"d{i}"); make(f"m{i}")
def f(k):
    for i in range(100):
        for act in (lambda: os.unlink(f"f{i}"), lambda: os.rmdir(f"d{i}"),
                    lambda: os.rename(f"m{i}", f"to{k}-{i}")):
            note("how", outcome(act)[1])
crowd(f)
how = lines("how")
print(how.count("OK"), how.count("ENOENT"), len(how))
print(len([n for n in ls() if n[:2] == "to"]))
END

same_crowd "a name that is replaced again and again is always there, and whole" <<'END'
make("f", b"0" * 5000)
def f(k):
    if k < 2:
        for i in range(150):
            make(f"tmp{k}", b"%d" % (i % 10) * 5000); os.rename(f"tmp{k}", "f")
    else:
        for i in range(400):
            text, how = outcome(content, "f")
            if how == "ESTALE": continue  # replaced twice in one open: tallyfs(7)
            if len(text) != 5000 or len(set(text)) != 1:
                note("bad", f"{len(text)}-{len(set(text))}")
crowd(f)
print(ls())
END

same_crowd "names that are exchanged: neither is ever missing, nothing is lost" <<'END'
make("a", b"a"); make("b", b"b"); os.mkdir("p"); os.mkdir("q"); make("p/x"); make("q/y")
def f(k):
    for i in range(200):
        if k < 2:
            rename2("a", "b", RENAME_EXCHANGE)
            rename2("p", "q", RENAME_EXCHANGE)
        else:
            for n in "abpq":
                if outcome(os.stat, n)[1] != "OK": note("bad", n)
crowd(f)
print(sorted((content("a"), content("b"))), sorted(ls("p") + ls("q")), ls())
END

same_crowd "directories moved into each other never make a loop" <<'END'
for n in "abcd": os.mkdir(n)
def f(k):
    import random
    r = random.Random(k)
    names = list("abcd")
    for i in range(300):
        x, y = r.sample(names, 2)
        outcome(os.rename, x, f"{y}/{x}")
        outcome(os.rename, f"{y}/{x}", x)
crowd(f)
found = sorted(n for _, ds, _ in os.walk(".") for n in ds)
print(found)
END

same_crowd "making in a directory that another removes: it is gone or it is full" <<'END'
def f(k):
    for i in range(150):
        outcome(os.mkdir, "d")
        if k < 2:
            made = outcome(make, f"d/{k}")[1]
            note("how", f"made-{made}")
            outcome(os.unlink, f"d/{k}")
        else: note("how", f"gone-{outcome(os.rmdir, 'd')[1]}")
crowd(f)
print(set(lines("how")) <= {"made-OK", "made-ENOENT", "gone-OK", "gone-ENOENT",
                            "gone-ENOTEMPTY"})
print([n for n in ls() if n not in ("how", "d")], ls("d") if os.path.isdir("d") else [])
END

same_crowd "writers to their own parts of one file, through write and through a mapping" <<'END'
make("f", b"\0" * 400000)
def f(k):
    fd = os.open("f", O_RDWR)
    m = mmap.mmap(fd, 400000)
    for i in range(100):
        at = (4 * i + k) * 1000
        if i % 2: os.pwrite(fd, bytes([65 + k]) * 1000, at)
        else: m[at:at + 1000] = bytes([97 + k]) * 1000
crowd(f)
text = content("f")
print(len(text), all(len(set(text[i:i + 1000])) == 1 for i in range(0, 400000, 1000)),
      hashlib.md5(text).hexdigest())
END

same_crowd "link counts add up" <<'END'
make("f"); os.mkdir("d")
def f(k):
    for i in range(200):
        os.link("f", f"{k}-{i}"); os.mkdir(f"d/{k}-{i}")
        if i % 3:
            os.unlink(f"{k}-{i}"); os.rmdir(f"d/{k}-{i}")
crowd(f)
show("f", "d"); print(len(ls()), len(ls("d")))
END

same_crowd "O_TRUNC and growth at once: a size that one of them made" <<'END'
def f(k):
    for i in range(100):
        fd = os.open("f", O_RDWR | O_CREAT | (O_TRUNC if k % 2 else 0))
        os.pwrite(fd, b"x" * 1000, k * 1000); os.ftruncate(fd, 4000); os.close(fd)
crowd(f)
print(os.stat("f").st_size, set(content("f")) <= {0, 120})
END

compared
finish
