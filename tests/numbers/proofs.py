# SPDX-License-Identifier: Apache-2.0
"""proofs: what is tried by machines. Each is a command of tests/README.md with its seed; the counts are what it prints, or
what it was asked for. One that fails ends the run. What is only counted and not run comes first, from claims()."""
import concurrent.futures
import glob
import os
import re
import shlex
import subprocess
import sys
import time

PROJECT = os.path.realpath(f"{os.path.dirname(os.path.abspath(__file__))}/../..")
SEED = 20261127


def run(build, words, **variables):
    """What a command prints. It runs at the top of the project, and must succeed."""
    shown = " ".join([*(f"{k}={shlex.quote(str(v))}" for k, v in variables.items()), *words]).replace(f"{build}/", "$B/")
    print(f"proofs: {shown}", file=sys.stderr)
    environment = dict(os.environ, TALLY=f"{build}/tools/tally", BUILD=build, **{k: str(v) for k, v in variables.items()})
    done = subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{shown}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr, shown


def total(text, pattern):
    """The sum of what the group of the pattern matched."""
    found = [int(n) for n in re.findall(pattern, text)]
    if not found:
        raise RuntimeError(f"nothing is like {pattern} in: {text[-500:]}")
    return sum(found)


def sources(pattern):
    for path in glob.glob(f"{PROJECT}/tests/{pattern}"):
        with open(path, errors="replace") as f:
            yield f.read()


def claims(_b, _quick):
    units = sum(len(re.findall(r"^Test\(", text, re.M)) for text in sources("*/*.c"))
    mounts = sum(len(re.findall(r'^ *claim "(?!all of)', text, re.M)) for text in sources("*/*.sh"))
    posix = sum(len(re.findall(r"^ *same ", text, re.M)) for text in sources("mount/posix_*.sh"))
    mutants = sum(len(re.findall(r"^name: ", text, re.M)) for text in sources("mutants/*"))
    return [("claims about rooms, each a test", units, "tools/check"),
            ("claims about a mount, with its tools", mounts, "tools/check"),
            ("groups of chosen POSIX calls that are compared with ext4", posix, "tools/check"),
            ("promises broken on purpose (mutants), each with the test that must turn red", mutants, "tests/mutants/run")]


def cuts(b, quick):
    text, shown = run(b, [f"{b}/tests/crash/crash_store", "--fault", "cut", "--every", "400" if quick else "1",
                          "--jobs", "2"])
    writes = total(text, r"(\d+) of \d+ writes cut")
    recoveries = total(text, r"beside them (\d+) distinct cuts of a recovery")
    return [("losses of power at a write of a workload, each followed by a start and a comparison", writes, shown),
            ("losses of power in the midst of such a start", recoveries, shown)]


def kills(b, quick):
    text, shown = run(b, ["bash", "tests/mount/kill.sh", "2" if quick else "150", str(SEED)])
    return [("kills of a daemon under load", total(text, r"(\d+) kills, \d+ by auto"), shown),
            ("calls whose result was looked at after a kill", total(text, r"(\d+) calls verified"), shown)]


def pool(b, quick):
    text, shown = run(b, [f"{b}/tests/sim/sim", "--seeds", "1..2" if quick else "1..300"])
    return [("changes in stores that share a pool, simulated beside cuts, losses and a clock that jumps",
             total(text, r"changes=(\d+)"), shown),
            ("comparisons of the whole pool with the model", total(text, r"checks=(\d+)"), shown)]


def calls(b, quick):
    seeds, count = (1, 100) if quick else (100, 1000)
    _, shown = run(b, ["bash", "tests/mount/posix_random.sh"], SEED=1, SEEDS=seeds, COUNT=count)
    return [("POSIX calls, drawn by seeds, whose results are those of ext4", seeds * count, shown)]


def on_a_mount(b, quick):
    text, shown = run(b, ["bash", "tests/mount/fsx.sh"], SEEDS=SEED, OPS=500 if quick else 500000, PROCS=2,
                      FSX=f"{b}/tests/fsx/fsx")
    return [("operations on files of a mount, with branches in between, as a model says", total(text, r"(\d+) operations in"),
             shown)]


MODELS = (("tree", "--ops", 5_000_000), ("vfs", "--ops", 200_000), ("handles", "--ops", 2_000_000), ("shards", "--ops", 20_000),
          ("diff", "--rounds", 5_000), ("log", "--rounds", 5_000), ("archive", "--rounds", 200))


def models(b, quick):
    rows = []
    for name, option, n in MODELS:
        steps = max(20, n // 1000) if quick else n
        _, shown = run(b, [f"{b}/tests/property/property_{name}", "--seed", str(SEED), option, str(steps)])
        what = "operations" if option == "--ops" else "rounds"
        rows.append((f"{what} of the model of {name}", steps, shown))
    return rows


INPUTS, SLOW_INPUTS, SLOW = 1_000_000, 100_000, ("items", "lmdb")  # of each target; these two take minutes for a million


def fuzzing(b, quick):
    targets = [p for p in sorted(glob.glob(f"{b}/tests/fuzz/fuzz-*")) if os.access(p, os.X_OK) and os.path.isfile(p)]

    def feed(target):
        name = os.path.basename(target)[len("fuzz-"):]
        n = 100 if quick else SLOW_INPUTS if name in SLOW else INPUTS
        run(b, [target, f"tests/fuzz/corpus/{name}", str(n), str(SEED)])
        return n
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        counts = list(both.map(feed, targets))
    return [(f"mutated inputs to {len(targets)} decoders", sum(counts),
             f"$B/tests/fuzz/fuzz-NAME tests/fuzz/corpus/NAME {max(counts)} {SEED}")]


ALL = (claims, cuts, kills, pool, calls, on_a_mount, models, fuzzing)


def measure(build, _workdir, quick):
    rows = []
    for function in ALL:
        start = time.monotonic()
        rows += function(build, quick)
        print(f"proofs: {function.__name__}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return {"rows": rows}
