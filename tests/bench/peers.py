# SPDX-License-Identifier: Apache-2.0
"""peers: sides of the benchmark beside ext4 and tallyfs, for those who ask for them (--peers).

Each has a fresh filesystem for each fresh directory. All but the floor are on one image, which they
have one after the other: on it there is either a btrfs, an xfs, or an ext4 that they lie upon. What
cannot be had here is left out with its reason.
"""
import os
import resource
import shlex
import shutil
import subprocess
import time

import rig as rigs

FLOOR = "tests/bench/bench-floor"  # where meson makes it
FAILURES = (rigs.Refused, subprocess.CalledProcessError, OSError, RuntimeError)
EXAMPLES = "/usr/share/doc/libfuse3-dev/examples"


def run(*words):
    r = subprocess.run(words, capture_output=True, text=True)
    if r.returncode != 0:
        said = (r.stderr + r.stdout).strip().splitlines() or [f"exit code {r.returncode}"]
        raise rigs.Refused(f"{words[0]}: {said[-1]}")


def program(name):
    if not shutil.which(name):
        raise rigs.Refused(f"there is no {name}")


class Before(rigs.Tally):
    """Another program of tallyfs, with a store and a mount of its own for the whole run, as the one
    that is measured has. What its daemon spends is looked at likewise, since that costs time, and not
    kept."""

    def __init__(self, rig, name, program_path):
        root = f"{rig.root}/{name}"
        os.mkdir(root)
        super().__init__(program_path, root, rig.transport)
        self.name = name
        if rig.on == "image":
            rig.image(f"{name}/disk").format()
        else:
            os.mkdir(f"{root}/disk")


class Peer:
    """fresh() makes the filesystem and a directory in it, discard() ends it. `copy` and `remove` are
    what they are for ext4."""
    copy, remove, is_tally = rigs.Ext4.copy, rigs.Ext4.remove, False
    on_image = True

    def __init__(self, rig, image):
        self.rig, self.image, self.daemon = rig, image, None
        self.root = f"{rig.root}/{self.name}"

    def prepare(self):
        """Once. Refused: it cannot be had here."""

    def fresh(self, name):
        self.close()
        self.begin()
        path = f"{self.root}/{name}"
        self.make_directory(path)
        return path

    def make_directory(self, path):
        os.mkdir(path)

    def discard(self, _name):
        self.close()

    def durable(self):
        """Of the image's filesystem: syncfs of a FUSE mount reaches no daemon."""
        if self.image.where_is_mounted() and os.path.ismount(self.root):
            rigs.syncfs(self.image.where)

    def facts(self):
        return None

    # -- daemons --

    def start(self, *words):
        os.makedirs(self.root, exist_ok=True)
        self.log = open(f"{self.rig.root}/{self.name}.log", "w+")
        self.daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + 30
        while not os.path.ismount(self.root):
            if self.daemon.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise rigs.Refused(f"it did not mount: {self.log.read().strip()}")
            time.sleep(0.02)

    def close(self):
        if os.path.ismount(self.root):
            subprocess.run(["umount", "-i", self.root])
        if self.daemon:
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.log.close()
            self.daemon = None
        if self.image:
            self.image.unmount()


class Floor(Peer):
    """Nothing but FUSE: floor.c, with the transport that tallyfs has."""
    name, heading, on_image = "floor", "floor", False
    program = None  # open_all has it

    def prepare(self):
        self.transport = {"io_uring": "uring"}.get(self.rig.tally.transport, "threads")

    def begin(self):
        self.start(self.program, "-o", f"transport={self.transport}", self.root)

    def durable(self):
        """It never is."""


class Btrfs(Peer):
    """A fresh directory is a subvolume: its copy is a snapshot."""
    name = heading = "btrfs"
    copy = ("btrfs", "subvolume", "snapshot")
    remove = ("btrfs", "subvolume", "delete")

    def prepare(self):
        program("mkfs.btrfs")
        self.root = self.image.where

    def begin(self):
        self.image.format(["mkfs.btrfs", "-q", "-f", "-K"])

    def make_directory(self, path):
        subprocess.run(["btrfs", "subvolume", "create", path], check=True,
                       stdout=subprocess.DEVNULL)


class Xfs(Peer):
    name = heading = "xfs"
    copy = ("cp", "-a", "--reflink=auto")

    def prepare(self):
        program("mkfs.xfs")
        self.root = self.image.where

    def begin(self):
        self.image.format(["mkfs.xfs", "-q", "-f", "-K"])


class Over(Peer):
    """Upon an ext4: with an empty layer below the one that is written."""

    def layers(self):
        self.image.format()
        paths = [f"{self.image.where}/{name}" for name in ("lower", "upper", "work")]
        for path in paths:
            os.mkdir(path)
        return ",".join(f"{key}dir={shlex.quote(path)}"
                        for key, path in zip(("lower", "upper", "work"), paths))


class Overlay(Over):
    name, heading = "overlayfs", "overlay"

    def begin(self):
        os.makedirs(self.root, exist_ok=True)
        options = self.layers()
        run("mount", "-t", "overlay", "overlay", "-o", options, self.root)


class FuseOverlay(Over):
    name, heading = "fuse-overlayfs", "fuse-ovl"

    def prepare(self):
        program("fuse-overlayfs")

    def begin(self):
        options = self.layers()
        self.start("fuse-overlayfs", "-f", "-o", options, self.root)


class PassthroughLl(Peer):
    """libfuse's example, which keeps what it has told the kernel for a day. It has a file open for
    each one that the kernel knows."""
    name, heading = "passthrough_ll", "pass_ll"

    def prepare(self):
        source = f"{EXAMPLES}/passthrough_ll.c"
        if not os.path.exists(source):
            raise rigs.Refused(f"there is no {source}: apt-get install libfuse3-dev")
        self.program = f"{self.rig.root}/passthrough_ll.bin"
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True,
                               capture_output=True, text=True).stdout.split()
        run("cc", "-O2", "-w", "-D_GNU_SOURCE", "-pthread", f"-I{EXAMPLES}", "-o", self.program,
            source, *flags)

    def begin(self):
        self.image.format()
        inside = f"{self.image.where}/inside"
        os.mkdir(inside)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        try:
            self.start(self.program, "-f", "-o", f"source={inside},cache=always", self.root)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


KINDS = (Floor, Btrfs, Xfs, Overlay, FuseOverlay, PassthroughLl)
NAMES = tuple(kind.name for kind in KINDS)
HEADINGS = {kind.name: kind.heading for kind in KINDS}


def names_of(text):
    """What the option says; ValueError: it names none."""
    names = NAMES if text == "all" else tuple(text.split(",") if text else ())
    wrong = set(names) - set(NAMES)
    if wrong:
        raise ValueError(f"there is no peer {', '.join(sorted(wrong))}; there are "
                         f"{', '.join(NAMES)}; all")
    return [name for name in NAMES if name in names]


def before_of(text):
    """What --before says, as pairs of a name and a program; ValueError: it says something else."""
    pairs = [tuple(word.partition("=")[::2]) for word in text.split(",")]
    names = [name for name, _ in pairs]
    for name, path in pairs:
        if not name.isalnum() or name in (*NAMES, "ext4", "tallyfs", "disk", "mnt"):
            raise ValueError(f"{name or text} is no name for a program")
        if names.count(name) > 1:
            raise ValueError(f"{name} stands twice")
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            raise ValueError(f"{path or name} is no program")
    return [(name, os.path.realpath(path)) for name, path in pairs]


def open_before(rig, pairs):
    """Adds a side for each program."""
    for name, path in pairs:
        side = Before(rig, name, path)
        rig.sides.append(side)
        side.init()
        side.start()


def need_image(names):
    return any(kind.on_image for kind in KINDS if kind.name in names)


def open_all(rig, names, floor):
    """Adds the sides to the rig's; returns those that cannot be had, with the reason. Each has been
    made once. floor: its program."""
    skipped, Floor.program = [], floor
    image = rig.image("peers") if need_image(names) else None
    for kind in (k for k in KINDS if k.name in names):
        peer = kind(rig, image if kind.on_image else None)
        rig.sides.append(peer)
        try:
            peer.prepare()
            peer.fresh("first")
            peer.close()
        except FAILURES as e:
            skipped.append(drop(rig, peer, e))
    return skipped


def drop(rig, peer, error):
    """It goes on without that one."""
    rig.sides.remove(peer)
    peer.close()
    return {"peer": peer.name, "reason": " ".join(str(error).split())}
