# SPDX-License-Identifier: Apache-2.0
"""rig: the two sides of the benchmark, side by side on one disk, and what the daemon tells of itself.

    WORKDIR/tally-bench-XXXXXX/ext4/         the plain one
                              /disk/store/   the store
                              /mnt/          its mount
                              /*.image       what ext4/ and disk/ are, if not of WORKDIR's own ext4

"disk": both sides are directories of the ext4 that WORKDIR is on. "image": each has an ext4 of its
own, as mkfs makes it, in a file of WORKDIR, through a loop device. close() takes all of it away,
whatever happened before.
"""
import contextlib
import ctypes
import errno
import json
import mmap
import os
import shutil
import subprocess
import tempfile
import threading
import time

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.05
MKFS = ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"]
libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """It cannot be measured here; the text says why."""


def filesystem_of(path):
    """Type, source and options of the filesystem that `path` is on."""
    out = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", "-T", path], check=True,
                         capture_output=True, text=True).stdout.split()
    return out[0], out[1], out[2]


def own_mounts():
    """Mounts of its own from here on, where that can be had: another program's new mount namespace
    would hold copies of ours, and a device is busy as long as any copy is."""
    if libc.unshare(CLONE_NEWNS) == 0:
        libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        for line in open("/proc/self/mounts"):  # nor keep others' busy, whose daemons would not end
            _, where, kind = line.split()[:3]
            if kind.startswith("fuse"):
                libc.umount2(where.encode().decode("unicode_escape").encode("latin-1"), MNT_DETACH)


def syncfs(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(fd) < 0:
            raise OSError(ctypes.get_errno(), f"syncfs of {path}")
    finally:
        os.close(fd)


def drop_caches(what="3"):
    """"2": names and inodes only."""
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write(f"{what}\n")


def touch_memory(size):
    """So much free memory is there from here on, for a while. What a virtual machine does not use its
    host may take back; to have it again costs 1 to 2 s a GiB, and whoever comes first would pay."""
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as m:
        for at in range(0, size, mmap.PAGESIZE):
            m[at] = 1


def usual_ext4(path):
    """Is it on an ext4 with a journal? (Its options then say which data mode.)"""
    if filesystem_of(path)[0] != "ext4":
        return False
    dev = os.stat(path).st_dev
    device = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}"))
    with open(f"/proc/fs/ext4/{device}/options") as f:
        return any(line.startswith("data=") for line in f)


class Image:
    """An ext4 in a file. Its blocks are written before it is used, so that the filesystem below has
    nothing to allocate any more, and it is not cached twice."""

    def __init__(self, path, where, size, written):
        self.path, self.where, self.device = path, where, None
        os.mkdir(where)
        with open(path, "w") as f:
            os.truncate(f.fileno(), size)
        if written:
            subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=4M", f"count={size >> 22}",
                            "oflag=direct", "conv=notrunc", "status=none"], check=True)

    def attach(self):
        find = ["losetup", "--find", "--show"]
        r = subprocess.run([*find, "--direct-io=on", self.path], capture_output=True, text=True)
        if r.returncode != 0:
            r = subprocess.run([*find, self.path], capture_output=True, text=True)
        if r.returncode != 0:
            raise Refused(f"no loop device: {r.stderr.strip()}")
        self.device = r.stdout.strip()

    def format(self, program=MKFS):
        """A new empty filesystem, which the kernel has not to complete in the background."""
        if self.where_is_mounted():
            subprocess.run(["umount", self.where], check=True)
        subprocess.run([*program, self.device], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["mount", self.device, self.where], check=True)

    def where_is_mounted(self):
        return os.path.ismount(self.where)

    def unmount(self):
        if self.where_is_mounted():
            subprocess.run(["umount", self.where])

    def close(self):
        self.unmount()
        if self.device:
            subprocess.run(["losetup", "--detach", self.device])


class Ext4:
    """With an image each fresh directory is in a fresh filesystem; without one the directory has +T,
    so that ext4 spreads what is made in it over the disk. README.md says why."""
    name, is_tally = "ext4", False
    # What people do instead of a branch, and of its drop.
    copy = ("cp", "-a", "--reflink=auto")
    remove = ("rm", "-rf")

    def __init__(self, root, image):
        self.root, self.image = root, image
        if image:
            image.format()
        else:
            os.mkdir(root)
            subprocess.run(["chattr", "+T", root], check=True)

    def fresh(self, name):
        """A new empty directory."""
        if self.image:
            self.image.format()
        path = f"{self.root}/{name}"
        os.mkdir(path)
        return path

    def discard(self, name):
        if not self.image:
            subprocess.run(["rm", "-rf", f"{self.root}/{name}"], check=True)
            self.durable()

    def durable(self):
        syncfs(self.root)

    def facts(self):
        return None


class Tally:
    """A store with a daemon of its own. A fresh directory is a namespace."""
    name, is_tally = "tallyfs", True

    def __init__(self, program, root, transport):
        self.program, self.store, self.mnt = program, f"{root}/disk/store", f"{root}/mnt"
        self.transport = transport
        self.log = open(f"{root}/daemon.log", "w+")
        self.daemon = None

    def init(self):
        subprocess.run([self.program, "init", "--label", "tests/bench", self.store], check=True)

    def start(self):
        """Mounts the store that init made."""
        os.mkdir(self.mnt)
        # Not in the group that a terminal sends ^C to: close() ends it, in order.
        options = ["-o", f"transport={self.transport}"] if self.transport else []
        self.daemon = subprocess.Popen([self.program, "mount", "-f", *options, self.store, self.mnt],
                                       stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.wait_until_mounted()
        with contextlib.suppress(OSError):  # an earlier program has no trash
            self.command("set trash_keep 0")  # else the drops of all rounds fill the image
        with open(f"{self.mnt}/.tally/stats.json") as f:
            self.transport = json.load(f)["transport"]
        self.measuring = self.cost_of_measuring()

    def wait_until_mounted(self):
        end = time.monotonic() + 30
        while not os.path.ismount(self.mnt):
            if self.daemon.poll() is not None or time.monotonic() > end:
                raise Refused(f"the daemon did not mount: {self.said()}")
            time.sleep(0.02)

    def said(self):
        self.log.seek(0)
        return self.log.read().strip()

    def command(self, line):
        """One command; its reply without the "ok"."""
        fd = os.open(f"{self.mnt}/.tally/control", os.O_RDWR)
        try:
            return self.command_on(fd, line)
        finally:
            os.close(fd)

    @staticmethod
    def command_on(fd, line):
        try:
            os.write(fd, line.encode() + b"\n")
        except OSError:
            os.read(fd, 65536)  # the sentence; the next reply comes after it
            raise
        reply = os.read(fd, 65536).decode()
        if not reply.startswith("ok"):
            raise RuntimeError(f"{line}: {reply}")
        return reply

    def fresh(self, name):
        path = f"{self.mnt}/{name}"
        os.mkdir(path)
        return path

    def discard(self, name):
        self.drop(name)
        self.durable()

    def drop(self, name):
        """The kernel says that a file is closed some time after its last user has ended."""
        end = time.monotonic() + 30
        while True:
            try:
                return self.command(f"drop {name}")
            except OSError as e:
                if e.errno != errno.EBUSY or time.monotonic() > end:
                    raise
            time.sleep(0.01)

    def durable(self):
        self.command("drain")

    # -- what it costs --

    def requests(self):
        with open(f"{self.mnt}/.tally/stats.json") as f:
            return json.load(f)["requests"]

    def cost_of_measuring(self):
        """The requests that one requests() sends, and those of one drain."""
        self.requests()
        a = self.requests()
        b = self.requests()
        self.durable()
        c = self.requests()
        asking = difference(b, a)
        return asking, difference(difference(c, b), asking)

    def cpu_seconds(self):
        with open(f"/proc/{self.daemon.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def anon_bytes(self):
        with open(f"/proc/{self.daemon.pid}/status") as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("the daemon has no RssAnon: it is dead")

    def facts(self):
        return Facts(self)

    # -- the end --

    def close(self):
        """Returns what the daemon said."""
        try:
            if self.daemon and self.daemon.poll() is None:
                subprocess.run([self.program, "umount", self.mnt], timeout=120)
                self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        if os.path.ismount(self.mnt):
            subprocess.run(["umount", "-l", self.mnt])
        said = self.said()
        self.log.close()
        return said


def difference(after, before):
    """Of two tables of counts; zeroes are left out."""
    all_keys = set(after) | set(before)
    delta = {k: after.get(k, 0) - before.get(k, 0) for k in all_keys}
    return {k: n for k, n in delta.items() if n != 0}


class Facts:
    """What the daemon spends between its beginning and end(); a thread looks for the peak."""

    def __init__(self, tally):
        self.tally = tally
        self.before = tally.requests()
        self.cpu = tally.cpu_seconds()
        self.anon = self.peak = tally.anon_bytes()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self.tally.anon_bytes())

    def end(self, operations, drains):
        """Ends it: the figures, requests per operation."""
        t = self.tally
        cpu, anon = t.cpu_seconds() - self.cpu, t.anon_bytes()
        self.over.set()
        self.thread.join()
        requests = difference(difference(t.requests(), self.before), t.measuring[0])
        for _ in range(drains):
            requests = difference(requests, t.measuring[1])
        return {"cpu_seconds": cpu, "anon_before": self.anon, "anon_after": anon,
                "anon_peak": max(self.peak, anon),
                "requests": {k: n / operations for k, n in requests.items() if n > 0}}


class RingSwitch:
    """The kernel's switch for requests by io_uring, on until it is put back."""
    path = "/sys/module/fuse/parameters/enable_uring"

    def __init__(self):
        self.was = None

    def turn_on(self):
        if not os.path.exists(self.path):
            raise Refused("this kernel has no requests by io_uring")
        with open(self.path) as f:
            self.was = f.read().strip()
        self.write("Y")

    def put_back(self):
        if self.was:
            self.write(self.was)

    def write(self, value):
        with open(self.path, "w") as f:
            f.write(value)


class Rig:
    def __init__(self, workdir, program, on, need, written, transport=None, images=2):
        """on: "disk", "image", or None: whichever makes the usual ext4. need: bytes of one side.
        transport: "threads", "uring", or None: as the machine is set. images: room for so many."""
        self.workdir, self.program, self.on = workdir, program, on
        self.need, self.written, self.transport = need, written, transport
        self.switch = RingSwitch()
        self.need_all = images * need
        self.root = self.tally = None
        self.images, self.sides = [], []

    def open(self):
        own_mounts()
        self.check_room()
        if self.on == "disk" and filesystem_of(self.workdir)[0] != "ext4":
            raise Refused(f"{self.workdir} is not on ext4")
        self.on = self.on or ("disk" if usual_ext4(self.workdir) else "image")
        self.root = tempfile.mkdtemp(prefix="tally-bench-", dir=self.workdir)
        if self.on == "image":
            self.make_images()
        else:
            os.mkdir(f"{self.root}/disk")
        self.ext4 = Ext4(f"{self.root}/ext4", self.images[0] if self.images else None)
        self.disk = filesystem_of(self.ext4.root)
        self.tally = Tally(self.program, self.root, self.transport)
        if self.transport == "uring":
            self.switch.turn_on()
        self.tally.init()
        self.tally.start()
        self.sides = [self.ext4, self.tally]

    def check_room(self):
        v = os.statvfs(self.workdir)
        free, need = v.f_bavail * v.f_frsize, self.need_all
        if free < need:
            raise Refused(f"{self.workdir} has {free >> 20} MiB free, {need >> 20} are needed")

    def make_images(self):
        for name in ("ext4", "disk"):
            self.image(name)
        self.images[1].format()

    def image(self, name):
        self.images.append(Image(f"{self.root}/{name}.image", f"{self.root}/{name}", self.need,
                                 self.written))
        self.images[-1].attach()
        return self.images[-1]

    def settle(self, cold):
        """What was written before is on disk, so that nobody pays for it twice."""
        for side in self.sides:
            side.durable()
        if cold:
            drop_caches()

    def close(self):
        """Returns what the daemon said, which should be nothing."""
        for side in self.sides[2:]:
            side.close()
        said = self.tally.close() if self.tally else ""
        self.switch.put_back()
        for image in self.images:
            image.close()
        with open("/proc/self/mounts") as f:
            mounts = [line.split()[1] for line in f]
        if self.root and not any(m.startswith(f"{self.root}/") for m in mounts):
            shutil.rmtree(self.root)
        return said
