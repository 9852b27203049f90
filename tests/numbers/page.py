# SPDX-License-Identifier: Apache-2.0
"""page: NUMBERS.md and its pictures, and the README's figure, from what was measured. Nothing here measures."""
import math
import re
from xml.sax.saxutils import escape

PEERS = ("tallyfs", "btrfs", "xfs", "overlayfs", "fuse-overlayfs")  # of the pictures
COLUMNS = (*PEERS, "floor")
COLORS = {"tallyfs": "#e8590c", "btrfs": "#228be6", "xfs": "#37b24d", "overlayfs": "#be4bdb", "fuse-overlayfs": "#868e96"}
# What the table shows, under headings: (key, what it is). A key is a string given to measure() in tests/bench/rows*.py; the row
# that records it is one of beside.ROWS. page.sh fails for a key that was not measured.
TABLE = (
    ("Large files", (
        ("write", "write 1 GiB"), ("write-fsync", "… until `fsync` returns"),
        ("cached-read-cold", "read 1 GiB that may be written, cold"), ("cached-read-warm", "… warm"),
        ("native-read-cold", "read 1 GiB that nobody may write, cold"), ("native-read-warm", "… warm"),
        ("cached-map-warm", "map 1 GiB that may be written, warm"), ("native-map-warm", "… that nobody may write"),
        ("write-at-median", "write 4 KiB amid 1 GiB"), ("write-at-fsync", "2,000 of these and `fsync`"))),
    ("Small files of 4 KiB", (
        ("create", "create"), ("create-durable", "… until all of it is on the disk"),
        ("small-stat-cold", "`stat`, cold"), ("small-stat-warm", "… warm"),
        ("small-read-cold", "open, read, close, cold"), ("small-read-warm", "… warm"), ("delete", "unlink"),
        ("fsync-new-median", "create, `fsync`"), ("fsync-append-median", "append, `fsync`"),
        ("fsync-new-by", "create, `fsync`, 16 threads, each"), ("fsync-append-by", "append, `fsync`, 16 threads, each"))),
    ("The source of Linux 6.1", (
        ("untar", "`tar -x`"), ("untar-durable", "… until all of it is on the disk"), ("walk-cold", "`find -newer`, cold"),
        ("walk-warm", "… warm"), ("cat-cold", "`cat` of all, cold"), ("cat-warm", "… warm"), ("rm", "`rm -rf`"),
        ("ls", "`ls -lR` of a part, warm"), ("grep", "`grep -r` of a part, warm"),
        ("git-warm", "`git status` of a part, warm"))),
    ("Builds, copies and branches", (
        ("make", "`make -j2` of tallyfs"), ("make-nothing", "`make` again"), ("cp", "`cp` of 1 GiB"),
        ("branch-median", "branch of 10,000 files (others: copy or snapshot)"),
        ("first-overwrite-median", "first write to a file in the branch"),
        ("drop-branch", "drop of the branch (others: `rm -rf` or delete)"))))
PICTURE = (
    ("write-fsync", "write 1 GiB and fsync"), ("native-read-cold", "read 1 GiB, cold"), ("create", "create a file of 4 KiB"),
    ("small-stat-cold", "stat, cold"), ("small-read-cold", "open, read, close 4 KiB, cold"),
    ("small-read-warm", "open, read, close 4 KiB, warm"), ("delete", "unlink"), ("fsync-new-median", "create and fsync"),
    ("fsync-append-by", "append and fsync, 16 threads"), ("untar", "tar -x of Linux"), ("walk-cold", "find in Linux, cold"),
    ("cat-cold", "cat of all of Linux, cold"), ("cat-warm", "cat of all of Linux, warm"), ("rm", "rm -rf of Linux"),
    ("make", "make"), ("cp", "cp of 1 GiB"), ("branch-median", "branch, or copy, of 10,000 files"),
    ("drop-branch", "drop it"))
SECONDS = {"s": 1, "ms": 1e-3, "us": 1e-6}
STYLE = """\
text{font:13px sans-serif;fill:#212529} .small{font-size:11px;fill:#495057} .line{stroke:#ced4da} .one{stroke:#495057}
rect.back{fill:#ffffff}
@media (prefers-color-scheme:dark){text{fill:#f1f3f5} .small{fill:#ced4da} .line{stroke:#495057} .one{stroke:#ced4da}
rect.back{fill:#1a1b1e}}
"""


def digits(x):
    """Two or three digits that count."""
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.2f}" if x >= 0.1 else f"{x:.2g}" if x >= 0.0001 else f"{x:.5f}"


def duration(seconds):
    for unit, factor in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor or unit == "µs":
            return f"{float(f'{seconds / factor:.3g}'):,g} {unit}"
    return ""


def values_of(bench):
    return {v["key"]: v for v in bench["values"] if v["unit"] in SECONDS}


def seconds_of(v, side):
    return v["medians"][side] * SECONDS[v["unit"]] if side in v["medians"] else None


def ratio(v, side):
    """A side's median in times of ext4's; None where there is none."""
    a, b = seconds_of(v, side), seconds_of(v, "ext4")
    return a / b if a and b else None


def table_beside(bench):
    values = values_of(bench)
    out = []
    for heading, rows in TABLE:
        there = [(values[key], what) for key, what in rows if key in values and "ext4" in values[key]["medians"]]
        if not there:
            continue
        out += ["", f"| {heading} | ext4 | " + " | ".join(COLUMNS) + " |", "|---|" + "--:|" * (1 + len(COLUMNS))]
        for v, what in there:
            ratios = [f"{digits(r)}" if (r := ratio(v, side)) is not None else "–" for side in COLUMNS]
            out.append(f"| {what} | {duration(seconds_of(v, 'ext4'))} | **{ratios[0]}** | " + " | ".join(ratios[1:]) + " |")
    return out


def scale_of(bench, pattern):
    """side -> [(size, seconds)] of values whose key is like that."""
    curves = {}
    for v in bench["values"]:
        found = re.fullmatch(pattern, v["key"])
        for side in ("tallyfs", "btrfs") if found else ():
            if (s := seconds_of(v, side)) is not None:
                curves.setdefault(side, []).append((int(found.group(1)), s))
    return {side: sorted(points) for side, points in curves.items()}


BUSY = " while data is flushed and garbage is collected"
SCALE = (("branch-(\\d+)-median", "a branch (btrfs: a snapshot)"), ("busy-branch-(\\d+)-median", "a branch" + BUSY),
         ("first-(\\d+)", "the first write to a file in it"), ("drop-(\\d+)-median", "its drop (btrfs: delete)"))


def table_branches(bench):
    sizes = [size for size, _ in scale_of(bench, SCALE[0][0]).get("tallyfs", [])]
    out = ["", "| files of the tree | " + " | ".join(f"{s:,}" for s in sizes) + " |", "|---|" + "--:|" * len(sizes)]
    for pattern, what in SCALE:
        for side, points in scale_of(bench, pattern).items():
            at = dict(points)
            out.append(f"| {what}, {side} | " + " | ".join(duration(at[s]) if s in at else "–" for s in sizes) + " |")
    depths = scale_of(bench, r"depth-(\d+)").get("tallyfs", [])
    if depths:
        out += ["", "A lookup that the kernel has not cached, by the depth of branches of branches: "
                + ", ".join(f"{duration(s)} at {d}" for d, s in depths) + "."]
    return out


def headline(bench):
    """The README's sentence about speed."""
    curves = scale_of(bench, SCALE[0][0])
    size, mine = curves["tallyfs"][-1]
    others = dict(curves.get("btrfs", []))
    beside = f"; a btrfs snapshot of it took {duration(others[size])} in the same run" if size in others else ""
    return f"A branch of {size:,} files takes {duration(mine)}{beside}."


def rows(measured, *headings):
    out = ["", "| " + " | ".join(headings) + " |", "|---|--:|---|"]
    for what, much, seen in measured["rows"]:
        much = f"{much:,}" if isinstance(much, int) else much
        seen = seen.replace(" us", " µs") if headings[-1] == "seen" else f"`{seen}`"
        out.append(f"| {what} | {much} | {seen} |")
    return out


def text(measured):
    bench, limits, proofs = (measured[part] for part in ("bench", "limits", "proofs"))
    left_out = f" Left out here: {', '.join(bench['skipped'])}." if bench["skipped"] else ""
    return "\n".join([
        "# Numbers", "",
        "`tests/numbers/publish WORKDIR` measures all of this and writes this page. The figures are of one machine: another one has",
        "others. Times are medians; lower is better.",
        "", "## Beside other filesystems", "",
        f"{bench['date']}, commit {bench['commit']}, {bench['machine']}; requests by io_uring; {bench['rounds']} rounds, of rows that "
        f"take long {bench['rounds_long']}.",
        "In each round all took part in turn, each on an image of its own on the same disk." + left_out
        + " The column ext4 is its time.",
        "The others are times in those of ext4: 0.5 is twice as fast. tallyfs and fuse-overlayfs run in user space. Only tallyfs",
        "hashes contents and counts references. The floor is a filesystem in memory by FUSE that does nothing else: what FUSE costs.",
        "[The benchmark](../bench/README.md) says what each row does and what is unfair in it.",
        "", "![Times of tallyfs and other filesystems in those of ext4](beside.svg)", *table_beside(bench),
        "", "## Branches of large trees", "",
        "A snapshot of btrfs is durable when the call returns. A branch is durable with the next drain, in order with all else.",
        "", "![Time of a branch by the size of its tree](branches.svg)", *table_branches(bench),
        "", "## Limits that were tried", "",
        f"{limits['date']}, {limits['machine']}. Each size works, in a new store, which `tally check` then found sound. It is the "
        "most that is possible only",
        "where the row says so. The programs that try it are Python, whose own time is included.",
        *rows(limits, "what", "tried", "seen"),
        "", "## What was proved, and how", "",
        f"{proofs['date']}, {proofs['machine']}. The first four lines count what there is; what the others count was tried "
        "without a single failure,",
        "by a build that is not instrumented. `$B` is a build; the same seeds try the same again. `tools/check` runs the claims, and",
        "parts of the others, under AddressSanitizer, UBSan and ThreadSanitizer.",
        *rows(proofs, "what", "count", "command"), ""])


# ---- pictures ----

def svg(width, height, title, desc, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-labelledby="t d">\n<title id="t">{escape(title)}</title>\n<desc id="d">{escape(desc)}</desc>\n'
            f'<style>\n{STYLE}</style>\n<rect class="back" width="{width}" height="{height}"/>\n' + "\n".join(body) + "\n</svg>\n")


def label(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind and f" class={chr(34)}{kind}{chr(34)}"}>{escape(words)}</text>'


def line(x1, y1, x2, y2, kind="line"):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def legend(sides, x, y):
    out = []
    for side in sides:
        out += [f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{COLORS[side]}"/>', label(x + 10, y, side)]
        x += 40 + 8 * len(side)
    return out


def decades(low, high):
    return [10.0 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def picture_beside(bench):
    """A line for each operation, a dot for each filesystem; where a dot is says how its time is to ext4's."""
    values = values_of(bench)
    shown = [(what, values[key]) for key, what in PICTURE if key in values and "ext4" in values[key]["medians"]]
    width, left, right, top, step = 900, 260, 30, 84, 24
    height = top + step * len(shown) + 40
    ratios = [r for _, v in shown for side in PEERS if (r := ratio(v, side))]
    ticks = decades(min(ratios, default=0.1), max(ratios, default=10))

    def at(r):
        return left + (width - left - right) * math.log(r / ticks[0]) / math.log(ticks[-1] / ticks[0])
    body = [label(14, 26, "Time of an operation, in times of ext4's (left of 1 is faster)"), *legend(PEERS, 20, 52)]
    for t in ticks:
        body += [line(at(t), top - 12, at(t), height - 34, "one" if t == 1 else "line"),
                 label(at(t), height - 16, "ext4" if t == 1 else f"{t:g}", "middle", "small")]
    for i, (what, v) in enumerate(shown):
        y = top + step * i + 4
        body += [label(left - 14, y + 4, what, "end"), line(left, y, width - right, y)]
        for side in reversed(PEERS):
            if (r := ratio(v, side)):
                body.append(f'<circle cx="{at(r):.1f}" cy="{y}" r="{7 if side == "tallyfs" else 5}" fill="{COLORS[side]}">'
                            f'<title>{escape(f"{side}, {what}: {digits(r)}")}</title></circle>')
    return svg(width, height, "tallyfs beside other filesystems",
               "For each operation the time of each filesystem, divided by that of ext4, on a logarithmic scale.", body)


def picture_branches(bench):
    """Time of a branch by the number of files, on logarithmic scales."""
    curves = [(side, busy, points) for busy, (pattern, _) in enumerate(SCALE[:2])
              for side, points in scale_of(bench, pattern).items()]
    width, height, left, right, top, bottom = 900, 400, 90, 70, 84, 60
    sizes = [s for _, _, points in curves for s, _ in points] or [1]
    times = [t for _, _, points in curves for _, t in points] or [1e-6]
    ticks = decades(min(times), max(times))

    def x(n):
        return left + (width - left - right) * math.log(n / min(sizes)) / (math.log(max(sizes) / min(sizes)) or 1)

    def y(t):
        return height - bottom - (height - top - bottom) * math.log(t / ticks[0]) / math.log(ticks[-1] / ticks[0])
    body = [label(14, 26, "Time of a branch, or of a snapshot, by the number of files"), *legend(("tallyfs", "btrfs"), 20, 52),
            label(240, 52, "dashed:" + BUSY, "start", "small")]
    for t in ticks:
        body += [line(left, y(t), width - right, y(t)), label(left - 10, y(t) + 4, duration(t), "end", "small")]
    for n in sorted(set(sizes)):
        body.append(label(x(n), height - bottom + 24, f"{n:,} files", "middle", "small"))
    for side, busy, points in curves:
        path = " ".join(f"{x(n):.1f},{y(t):.1f}" for n, t in points)
        dashes = ' stroke-dasharray="7 5"' if busy else ""
        body.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[side]}" stroke-width="2.5"{dashes}/>')
        body += [f'<circle cx="{x(n):.1f}" cy="{y(t):.1f}" r="4" fill="{COLORS[side]}"><title>'
                 f'{escape(f"{side}, {n:,} files: {duration(t)}")}</title></circle>' for n, t in points]
    return svg(width, height, "Time of a branch by the number of files",
               "tallyfs and btrfs, alone and beside flushes, on logarithmic scales.", body)
