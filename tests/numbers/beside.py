# SPDX-License-Identifier: Apache-2.0
"""beside: the part bench: the rows of tests/bench that are published, each filesystem in turn in the same rounds."""
import json
import os
import subprocess

PROJECT = os.path.realpath(f"{os.path.dirname(os.path.abspath(__file__))}/../..")
ROWS = "seq,small,linux,walk,make,fsync,read,branch,share,scale"
PEERS = "floor,btrfs,xfs,overlayfs,fuse-overlayfs"


def measure(build, workdir, quick):
    samples = f"{workdir}/bench.json"  # it stays if the benchmark fails at its end
    environment = dict(os.environ, TALLY=f"{build}/tools/tally", FILL=f"{build}/tests/bench/bench-fill",
                       FLOOR=f"{build}/tests/bench/bench-floor")
    subprocess.run([f"{PROJECT}/tests/bench/bench", "--only", ROWS, "--peers", PEERS, "--rounds", "3",
                    "--transport", "uring", "--json", samples, *(["--quick"] if quick else []), workdir],
                   check=True, env=environment, stdout=subprocess.DEVNULL)
    with open(samples) as f:
        result = json.load(f)
    os.unlink(samples)
    return {"commit": result["commit"], "rounds": result["rounds"], "rounds_long": result["rounds_long"],
            "load_at_start": result["machine"]["load_at_start"],
            "skipped": [s["row"] for s in result["skipped"]] + [s["peer"] for s in result["peers_skipped"]],
            "values": [short(v) for row in result["rows"] for v in row["values"]]}


def short(v):
    """A value with the medians of all filesystems, and the range of tallyfs's ratio to ext4."""
    sides = {name: v[name] for name in ("ext4", "tallyfs") if name in v} | v.get("peers", {})
    return {"key": v["key"], "label": v["label"], "unit": v["unit"],
            "medians": {name: float(f"{s['median']:.4g}") for name, s in sides.items()},
            **({"ratio_of_rounds": [float(f"{v['ratio_of_rounds'][m]:.3g}") for m in ("min", "max")]} if "ratio" in v else {})}
