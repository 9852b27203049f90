# SPDX-License-Identifier: Apache-2.0
"""report: samples to a table and to JSON. Everything is a time: lower is better. The ratio is that
of the medians, tallyfs / ext4; its range is that of the rounds, each a pair."""
import statistics

UNITS = {"s": 1, "ms": 1e3, "us": 1e6}
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
    """One line, as JSON has it. samples: side -> list of seconds, one a round."""
    v = {"key": key, "label": label, "unit": unit}
    for side in SIDES:
        v[side] = summary(samples[side], unit)
    pairs = [t / e for e, t in zip(samples["ext4"], samples["tallyfs"])]
    v["ratio"] = v["tallyfs"]["median"] / v["ext4"]["median"]
    v["ratio_of_rounds"] = {"min": min(pairs), "max": max(pairs)}
    if costs:
        v["tallyfs_costs"] = median_costs(costs)
    return v


def short(x):
    """Three digits."""
    if x >= 100:
        return f"{x:,.0f}"
    digits = 1 if x >= 10 else 2 if x >= 1 else 3 if x >= 0.1 else 4 if x >= 0.01 else 5
    return f"{x:.{digits}f}"


def spread(s):
    return f"{short(s['median']):>7} {'(' + short(s['min']) + '–' + short(s['max']) + ')':<18}"


def line_of(v):
    pair = v["ratio_of_rounds"]
    text = (f"{v['label']:<{LABEL}} {v['unit']:>2} {spread(v['ext4'])} {spread(v['tallyfs'])} "
            f"{short(v['ratio']):>6} {'(' + short(pair['min']) + '–' + short(pair['max']) + ')':<17}")
    c = v.get("tallyfs_costs")
    if c:
        text += (f"{c['cpu_seconds']:7.2f} {c['rss_anon_before_bytes'] / 2**20:6.1f} "
                 f"{c['rss_anon_after_bytes'] / 2**20:6.1f} {c['rss_anon_peak_bytes'] / 2**20:6.1f}")
    return text.rstrip()


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
           f"{'':<{LABEL}}    {'ext4':>7} {'':18} {'tallyfs':>7} {'':18} {'x':>6} {'':17}"
           f"{'CPU s':>7} {'before':>6} {'after':>6} {'peak':>6}"]
    for row in result["rows"]:
        out.append(f"-- {row['name']}")
        out += [line_of(v) for v in row["values"]]
    for s in result["skipped"]:
        out.append(f"-- {s['row']}: skipped: {s['reason']}")
    out += ["", f"{'Requests of the kernel to the daemon':<{LABEL}} {'all':>8}  by opcode, each per "
                "operation (README.md)"]
    for row in result["rows"]:
        out += [requests_line(f"{v['label']} /{v['tallyfs_costs']['operations']}", v["tallyfs_costs"])
                for v in row["values"] if "tallyfs_costs" in v]
    return "\n".join(out) + "\n"
