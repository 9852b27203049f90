#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How programs save and lock: editors' patterns, sed -i, patch, install, flock, inotify, pipes.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs vim.tiny patch flock perl pgrep
cd "$M/main"

# What a save may leave of a file: owner, mode, links.
look() { stat -c '%u %g %a %h' "$1"; }

claim "vim saves in place and by rename, keeps owner, mode, links, symlinks, and makes backups"
for copy in yes no auto; do
    printf 'one\ntwo\n' >"f-$copy"
    chmod 640 "f-$copy"
    chown 1000:2000 "f-$copy"
    ln "f-$copy" "hard-$copy"
    ln -s "f-$copy" "sym-$copy"
    vim.tiny -es -u NONE "f-$copy" -c "set backup writebackup backupcopy=$copy fsync backupdir=. backupskip=" \
        -c '%s/two/TWO/' -c wq </dev/null
    eq "$(tail -n 1 "f-$copy") $(tail -n 1 "f-$copy~")" "TWO two"
    eq "$(stat -c '%u %g %a' "f-$copy")" "1000 2000 640"
    vim.tiny -es -u NONE "sym-$copy" -c '%s/one/ONE/' -c x </dev/null
    [[ -L sym-$copy ]]
    eq "$(head -n 1 "f-$copy")" ONE
    eq "$(find . -name '*.sw?')" "" "swap files are gone"
done
eq "$(stat -c %h f-yes) $(stat -c %h f-no)" "2 1"
eq "$(tail -n 1 hard-yes) $(tail -n 1 hard-no)" "TWO two"

claim "a swap file is found and recovers what an editor that was killed had not saved"
echo old >v
python3 - <<'END'
import os, pty, time, signal
pid, fd = pty.fork()
if pid == 0:
    os.execvp("vim.tiny", ["vim.tiny", "-u", "NONE", "-N", "--cmd", "set updatecount=1 directory=.", "v"])
os.write(fd, b"ggdGichanged and not saved\x1b:preserve\r")
deadline = time.monotonic() + 200
while not (os.path.exists(".v.swp") and b"not saved" in open(".v.swp", "rb").read()):
    assert time.monotonic() < deadline, "no swap file"
    time.sleep(0.05)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
END
eq "$(cat v)" old
vim.tiny -es -u NONE -r v -c w! -c q </dev/null >/dev/null || true
eq "$(cat v)" "changed and not saved"
rm -f .v.swp

claim "write, fsync, rename, fsync of the directory; backup by link, then rename over"
python3 - <<'END'
import os
for n in range(30):
    fd = os.open("saved.tmp", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(fd, b"version %d\n" % n)
    os.fsync(fd)
    os.close(fd)
    if n:
        if os.path.exists("saved~"):
            os.unlink("saved~")
        os.link("saved", "saved~")
    os.rename("saved.tmp", "saved")
    d = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(d)
    os.close(d)
END
eq "$(cat saved saved~)" "$(printf 'version 29\nversion 28')"
eq "$(stat -c %h saved 'saved~')" "$(printf '1\n1')"

claim "sed -i, perl -i, patch with and without a reject, install, mktemp"
seq 1 1000 >s
chmod 600 s
ln -s s s-link
sed -i 's/^500$/five hundred/' s
sed -i --follow-symlinks 's/^501$/x/' s-link
eq "$(sed -n '500,501p' s | tr '\n' ' ') $(stat -c %a s)" "five hundred x  600"
perl -pi -e 's/^7$/seven/' s
eq "$(sed -n 7p s)" seven
seq 1 1000 | sed 's/^900$/nine hundred/' >new
seq 1 1000 >old
cp old base
diff -u old new >p || true
patch -s old p
cmp old new
patch -s -R old p
cmp old base
echo other >reject
fails patch -s -f reject p
[[ -e reject.rej && -e reject.orig ]]
install -D -m 4711 -o 1000 -g 2000 s deep/er/installed
eq "$(look deep/er/installed)" "1000 2000 4711 1"
temporary=$(mktemp -p .)
eq "$(look "$temporary")" "0 0 600 1"
shred -u s

claim "flock between processes: one at a time, and a lock ends with its process"
echo 0 >counter
for _ in {1..4}; do
    # shellcheck disable=SC2016
    (for _ in {1..25}; do flock lock sh -c 'n=$(cat counter); echo $((n + 1)) >counter'; done) &
    pids+=("$!")
done
wait_all "${pids[@]:1}"
eq "$(cat counter)" 100
flock --close lock sleep 60 & # the child does not inherit it
holder=$!
pids+=("$holder")
wait_until sh -c '! flock -n lock true'
fails flock -n lock true
fails flock -n -s lock true
child=$(pgrep -P "$holder")
pids+=("$child")
kill -KILL "$holder"
wait "$holder" 2>/dev/null || true
wait_until flock -n lock true
kill "$child"
wait_until ended "$child"

claim "fifos and sockets between processes"
mkfifo pipe
(head -c 300000 /dev/zero | tr '\0' x >pipe) &
pids+=("$!")
eq "$(wc -c <pipe)" 300000
python3 - <<'END'
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
s.listen()
if os.fork() == 0:
    c = socket.socket(socket.AF_UNIX)
    c.connect("socket")
    c.sendall(b"through a socket")
    os._exit(0)
assert s.accept()[0].recv(100) == b"through a socket"
END

claim "inotify tells what is done through the mount, names and all, as on any filesystem"
mkdir watched
cat >"$W/inotify.py" <<'END'
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
NAMES = {1: "ACCESS", 2: "MODIFY", 4: "ATTRIB", 8: "CLOSE_WRITE", 16: "CLOSE_NOWRITE", 32: "OPEN",
         64: "MOVED_FROM", 128: "MOVED_TO", 256: "CREATE", 512: "DELETE", 1024: "DELETE_SELF"}
d = sys.argv[1]
fd = libc.inotify_init1(os.O_NONBLOCK)
assert libc.inotify_add_watch(fd, os.fsencode(d), 0x7ff) > 0
p = lambda n: os.path.join(d, n)
with open(p("a"), "w") as f: f.write("x")
os.chmod(p("a"), 0o600)
os.link(p("a"), p("b"))
os.rename(p("b"), p("c"))
os.truncate(p("a"), 0)
os.mkdir(p("d"))
os.rmdir(p("d"))
os.unlink(p("a"))
os.unlink(p("c"))
buf = os.read(fd, 65536)
at = 0
while at < len(buf):
    wd, mask, cookie, n = struct.unpack_from("iIII", buf, at)
    name = buf[at + 16:at + 16 + n].rstrip(b"\0").decode()
    print(name, *[v for k, v in NAMES.items() if mask & k])
    at += 16 + n
END
mkdir "$W/watched"
python3 "$W/inotify.py" "$W/watched" >"$W/want"
python3 "$W/inotify.py" watched | diff "$W/want" -
[[ $(wc -l <"$W/want") -ge 12 ]]

claim "a program can be run from the mount, is busy while it runs, and be replaced by rename"
cp "$(command -v sleep)" prog
./prog 0
./prog 30 &
runner=$!
pids+=("$runner")
wait_until sh -c "readlink /proc/$runner/exe | grep -q /main/prog"
eq "$(errno_of 'os.open("prog", os.O_WRONLY)')" ETXTBSY
cp "$(type -P true)" prog2
mv prog2 prog
./prog
matches "$(readlink "/proc/$runner/exe")" 'prog \(deleted\)'
kill "$runner"
wait "$runner" 2>/dev/null || true

claim "all of it is the same after a remount"
cd /
before=$(tree_digest "$M/main")
unmount_store
mount_store
eq "$(tree_digest "$M/main")" "$before"
finish
