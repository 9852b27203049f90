# SPDX-License-Identifier: Apache-2.0
"""report: samples to a table and to JSON. Lower is better, always. The ratio is that of the medians,
tallyfs / ext4; its range is that of the rounds, each a pair. A value may lack a side, and there may be
others beside the two ("peers")."""
import statistics

import peers

UNITS = {"s": 1, "ms": 1e3, "us": 1e6, "MiB": 2**-20, "%": 100}
SIDES = ("ext4", "tallyfs")
LABEL = 45


def summary(samples, unit):
    scaled = [s * UNITS[unit] for s in samples]
    return {"median": statistics.median(scaled), "min": min(scaled), "max": max(scaled),
            "samples": scaled}


def median_costs(costs):
    """Of a value's rounds: medians, and the peak of all."""
    kinds = sorted({k for c in costs for k in c["requests"]})
    requests = {k: statistics.median(c["requests"].get(k, 0) for c in costs) for k in kinds}
    return {"cpu_seconds": statistics.median(c["cpu_seconds"] for c in costs),
            "rss_anon_before_bytes": statistics.median(c["anon_before"] for c in costs),
            "rss_anon_after_bytes": statistics.median(c["anon_after"] for c in costs),
            "rss_anon_after_each_round_bytes": [c["anon_after"] for c in costs],
            "rss_anon_peak_bytes": max(c["anon_peak"] for c in costs),
            "operations": costs[0]["operations"], "requests_per_operation": requests}


def value_of(key, label, unit, samples, costs):
    """One line, as JSON has it. samples: side -> what was recorded, one a round. Other sides
    than the two are in "peers"."""
    v = {"key": key, "label": label, "unit": unit}
    for side, recorded in samples.items():
        where = v if side in SIDES else v.setdefault("peers", {})
        where[side] = summary(recorded, unit)
    if "ext4" in v and "tallyfs" in v and unit != "%" and min(samples["ext4"]) > 0:
        pairs = [t / e for e, t in zip(samples["ext4"], samples["tallyfs"])]
        v["ratio"] = v["tallyfs"]["median"] / v["ext4"]["median"]
        v["ratio_of_rounds"] = {"min": min(pairs), "max": max(pairs)}
    if costs:
        v["tallyfs_costs"] = median_costs(costs)
    return v


def short(x):
    """Three digits."""
    if abs(x) >= 100:
        return f"{x:,.0f}"
    size = abs(x)
    digits = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4 if size >= 0.01 else 5
    return f"{x:.{digits}f}" if x else "0"


def spread(s):
    if not s:
        return f"{'–':>7} {'':<18}"
    return f"{short(s['median']):>7} {'(' + short(s['min']) + '–' + short(s['max']) + ')':<18}"


def line_of(v):
    text = f"{v['label']:<{LABEL}} {v['unit']:>3} {spread(v.get('ext4'))} {spread(v.get('tallyfs'))} "
    if "ratio" in v:
        pair = v["ratio_of_rounds"]
        text += (f"{short(v['ratio']):>6} "
                 f"{'(' + short(pair['min']) + '–' + short(pair['max']) + ')':<17}")
    else:
        text += f"{'':24}"
    c = v.get("tallyfs_costs")
    if c:
        text += (f"{c['cpu_seconds']:7.2f} {c['rss_anon_before_bytes'] / 2**20:6.1f} "
                 f"{c['rss_anon_after_bytes'] / 2**20:6.1f} {c['rss_anon_peak_bytes'] / 2**20:6.1f}")
    return text.rstrip()


def lines_of(v, before_names):
    """The two sides, and a line for each other that has no column below."""
    return [line_of(v)] + [f"{'      ' + name:<{LABEL}} {v['unit']:>3} {spread(s)}".rstrip()
                           for name, s in v.get("peers", {}).items()
                           if name not in (*peers.NAMES, *before_names)]


def peers_of(v):
    return [name for name in v.get("peers", {}) if name in peers.NAMES]


def in_terms_of(side, v, base):
    """The ratio of the medians, if there are both."""
    a, b = ([v.get("peers", {}), v][name in SIDES].get(name) for name in (side, base))
    there = v["unit"] != "%" and a and b and b["median"] > 0
    return short(a["median"] / b["median"]) if there else "–"


def beside_line(v, names):
    """The ratios to ext4, and the one to the floor."""
    base = short(v["ext4"]["median"]) if "ext4" in v else "–"
    text = f"{v['label']:<{LABEL}} {v['unit']:>3} {base:>7}" + "".join(
        f"{in_terms_of(name, v, 'ext4'):>9}" for name in ("tallyfs", *names))
    return text + (f"{in_terms_of('tallyfs', v, 'floor'):>14}" if "floor" in names else "")


def before(result):
    """The table of earlier programs; nothing, if there are none."""
    names = result["before"]
    out = []
    if names:
        out += ["", "Beside other programs of tallyfs: their medians, and in brackets tallyfs's in times of "
                "theirs.", "",
                f"{'':<{LABEL}}     {'tallyfs':>8}" + "".join(f"{name:>17}" for name in names)]
    for row in result["rows"] if names else []:
        lines = [before_line(v, names) for v in row["values"]
                 if "tallyfs" in v and not set(names).isdisjoint(v.get("peers", {}))]
        out += [f"-- {row['name']}", *lines] if lines else []
    return out


def before_line(v, names):
    text = f"{v['label']:<{LABEL}} {v['unit']:>3} {short(v['tallyfs']['median']):>8}"
    for name in names:
        there = v["peers"].get(name)
        ratio = f" ({in_terms_of('tallyfs', v, name)})" if there else ""
        text += f"{(short(there['median']) if there else '–') + ratio:>17}"
    return text


def beside(result):
    """The table of the peers; nothing, if there are none."""
    names = [p["name"] for p in result["peers"]]
    out = []
    if names:
        out += ["", "Times of others in those of ext4 (README.md, \"Peers\"), the ratios of the medians; "
                "t / floor: tallyfs in those of the floor.", "",
                f"{'':<{LABEL}}     {'ext4':>7}{'tallyfs':>9}"
                + "".join(f"{peers.HEADINGS[name]:>9}" for name in names)
                + (f"{'t / floor':>14}" if "floor" in names else "")]
    for row in result["rows"] if names else []:
        if any(peers_of(v) for v in row["values"]):
            out.append(f"-- {row['name']}")
        out += [beside_line(v, names) for v in row["values"] if peers_of(v)]
    out += [f"-- {s['peer']}: skipped: {s['reason']}" for s in result["peers_skipped"]]
    return out


def requests_line(label, c):
    shown = sorted(((n, k) for k, n in c["requests_per_operation"].items() if n >= 0.005),
                   reverse=True)
    total = sum(n for n, _ in shown)
    kinds = "  ".join(f"{k} {n:.2f}" for n, k in shown)
    return f"{label:<{LABEL}} {total:8.2f}  {kinds}".rstrip()


def table(result):
    """The whole answer as text."""
    facts = result["machine"]
    disk = facts["workdir"]
    out = [f"{facts['cpu']} x{facts['cpus']}, {facts['memory_mib']} MiB, Linux {facts['kernel']}",
           f"on {'images in ' if facts['on'] == 'image' else ''}{disk['source']} {disk['type']} "
           f"({disk['options']}); requests by {facts['transport']}",
           f"{result['tally']}, commit {result['commit']}; rounds: {result['rounds']}, "
           f"of the long rows {result['rounds_long']}; {result['seconds']} s; load average at the "
           f"start {facts['load_at_start']:.1f}", "",
           "Times, lower is better: median (min–max) of the rounds. x: tallyfs / ext4. CPU seconds of "
           "the daemon,", "its RssAnon in MiB before, after and at the peak.", "",
           f"{'':<{LABEL}}     {'ext4':>7} {'':18} {'tallyfs':>7} {'':18} {'x':>6} {'':17}"
           f"{'CPU s':>7} {'before':>6} {'after':>6} {'peak':>6}"]
    for row in result["rows"]:
        out.append(f"-- {row['name']}")
        out += [line for v in row["values"] for line in lines_of(v, result["before"])]
    for s in result["skipped"]:
        out.append(f"-- {s['row']}: skipped: {s['reason']}")
    out += before(result) + beside(result)
    out += ["", f"{'Requests of the kernel to the daemon':<{LABEL}} {'all':>8}  by opcode, each per "
                "operation (README.md)"]
    for row in result["rows"]:
        out += [requests_line(f"{v['label']} /{v['tallyfs_costs']['operations']}", v["tallyfs_costs"])
                for v in row["values"] if "tallyfs_costs" in v]
    return "\n".join(out) + "\n"
