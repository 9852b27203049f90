# SPDX-License-Identifier: Apache-2.0
"""flat: is a number that was sampled over a long time flat? With sums only, so weeks take no memory.

A daemon that is started anew begins with other numbers. So samples are of *lives*, and the slope is
that of the least squares with one offset a life: what happens within lives counts, and a step from one
life to the next does not. A metric of the store (`whole`) has one life.

A number is *not flat* if it grows significantly and much: the slope is above twice its standard error
(an error that one flat series in forty makes), and over the longest life it adds more than the
tenth (of latencies the half) of the mean, and more than `floor`. Both are needed: with many samples
the smallest drift is significant, and with few any slope looks large. The floor of each metric is what
caches, pools of threads and packs that are being filled move it by, however long the run.
"""
import math


class Series:
    def __init__(self, floor, share=0.1, saved=None):
        self.floor, self.share = floor, share
        self.s = saved or {"xx": 0.0, "xy": 0.0, "yy": 0.0, "n": 0, "lives": 0, "span": 0.0, "sum": 0.0,
                           "least": None, "most": None, "first": None, "last": None, "life": None}

    def begin_life(self):
        """The samples that follow are of another life."""
        life = self.s["life"]
        if life and life["n"] > 1:
            n = life["n"]
            self.s["xx"] += life["xx"] - life["x"] ** 2 / n
            self.s["xy"] += life["xy"] - life["x"] * life["y"] / n
            self.s["yy"] += life["yy"] - life["y"] ** 2 / n
            self.s["lives"] += 1
            self.s["n"] += n
            self.s["span"] = max(self.s["span"], life["last"])
        self.s["life"] = None

    def add(self, x, y):
        """x: seconds since the life began."""
        s = self.s
        life = s["life"] = s["life"] or {"n": 0, "x": 0.0, "y": 0.0, "xx": 0.0, "xy": 0.0, "yy": 0.0, "last": 0.0}
        for key, value in (("n", 1), ("x", x), ("y", y), ("xx", x * x), ("xy", x * y), ("yy", y * y)):
            life[key] += value
        life["last"] = x
        s["sum"] += y
        s["count"] = s.get("count", 0) + 1
        s["least"] = y if s["least"] is None else min(y, s["least"])
        s["most"] = y if s["most"] is None else max(y, s["most"])
        s["first"] = y if s["first"] is None else s["first"]
        s["last"] = y

    def result(self):
        """(slope a second, its standard error, growth over the longest life, limit, flat?)"""
        now = Series(self.floor, self.share, {**self.s})
        now.begin_life()
        s = now.s
        mean = s["sum"] / s["count"] if s.get("count") else 0.0
        limit = max(self.floor, self.share * abs(mean))
        free = s["n"] - s["lives"] - 1
        if free < 1 or s["xx"] <= 0:
            return 0.0, math.inf, 0.0, limit, True
        slope = s["xy"] / s["xx"]
        error = math.sqrt(max(s["yy"] - slope * s["xy"], 0.0) / free / s["xx"])
        growth = slope * s["span"]
        return slope, error, growth, limit, not (slope > 2 * error and growth > limit)
