# SPDX-License-Identifier: Apache-2.0
"""rows_share: what copies, opens and a row of a database in a branch cost, in time and on the disk."""
import os
import sqlite3
import subprocess

from row import Row

KV = 1000  # bytes of a row of the database
DATA = ("packs", "objects", "slots", "kv")  # of a store; segments of the log come and go


def used(side):
    """Bytes on the disk of what the side keeps."""
    if getattr(side, "image", None):
        v = os.statvfs(side.root)
        return (v.f_blocks - v.f_bfree) * v.f_frsize
    trees = [f"{side.store}/{d}" for d in DATA] if side.is_tally else [side.root]
    return sum(os.lstat(os.path.join(where, n)).st_blocks * 512
               for tree in trees for where, dirs, files in os.walk(tree) for n in (*dirs, *files))


def grown(b, side, key, work):
    """Records what the side has grown by when work() is durable; what work() gave."""
    b.rig.settle(False)
    before = used(side)
    result = work()
    side.durable()
    b.record(key, side.name, max(0, used(side) - before))
    return result


def make_database(b):
    """Once for all rounds, beside both sides."""
    path = f"{b.rig.root}/database"
    if not os.path.exists(path):
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
            db.execute(f"INSERT INTO t (v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                       f"FROM n WHERE i < {b.size // (KV + 50)}) SELECT randomblob({KV}) FROM n")
        db.close()
    return path


def update_row(path, number):
    db = sqlite3.connect(path)
    with db:
        changed = db.execute(f"UPDATE t SET v = randomblob({KV}) WHERE id = ?", (number,)).rowcount
    db.close()
    if changed != 1:
        raise RuntimeError(f"{path}: no row {number}")


def share(b, side, top, name):
    large, copy = f"{top}/large", f"{top}/copy"
    b.ops("write", large, b.size, b.seed())
    grown(b, side, "cp-growth", lambda: b.measure(
        side, ["cp"], lambda: b.command("cp", large, copy), durable="cp-durable"))
    grown(b, side, "open-growth", lambda: os.close(os.open(copy, os.O_RDWR)))
    os.unlink(large)
    os.unlink(copy)
    subprocess.run(["cp", make_database(b), f"{top}/database"], check=True)
    row = b.seed() % (b.size // (KV + 50)) + 1

    def branch():
        if side.is_tally:
            side.command(f"branch {name} {name}.0")
            return f"{side.mnt}/{name}.0"
        subprocess.run(["cp", "-a", "--reflink=auto", top, f"{top}.0"], check=True)
        return f"{top}.0"

    def update():
        path = f"{branch()}/database"
        b.measure(side, ["update"], lambda: [b.timed(lambda: update_row(path, row))],
                  durable="update-durable")

    grown(b, side, "update-growth", update)
    if side.is_tally:
        side.drop(f"{name}.0")


def values_of(b):
    size = b.text_of(b.size)
    return [Row("share", share, [
        ("cp", f"cp of a file of {size}", "ms"),
        ("cp-durable", "  … until drain / syncfs returns", "ms"),
        ("cp-growth", "  … growth on the disk", "MiB"),
        ("open-growth", "  opened to be written, closed: growth", "MiB"),
        ("update", f"one row of SQLite, {size}, in a branch", "ms"),
        ("update-durable", "  … until drain / syncfs returns", "ms"),
        ("update-growth", "  … growth, with the branch / copy", "MiB")], long=True)]
