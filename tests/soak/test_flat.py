#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims of flat.py."""
import json
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from flat import Series  # noqa: E402

R = random.Random(5)


def of_lives(lives, floor=16.0, share=0.1):
    s = Series(floor, share)
    for ys in lives:
        s.begin_life()
        for i, y in enumerate(ys):
            s.add(60.0 * i, y)
            s = Series(floor, share, json.loads(json.dumps(s.s)))  # as a run that is resumed
    return s


def is_flat(lives):
    return of_lives(lives).result()[4]


# Noise is flat, however long.
assert is_flat([[1000 + R.gauss(0, 50) for _ in range(500)]])
# What grows by more than a tenth is not.
assert not is_flat([[1000 + R.gauss(0, 50) + i for i in range(500)]])
# What grows for sure, but by little, is: 20 of 1000.
assert is_flat([[1000 + 0.04 * i for i in range(500)]])
# A step from one daemon to the next is not a growth; what grows in each of them is.
assert is_flat([[level] * 20 for level in (100, 200, 300, 400, 500)])
assert not is_flat([[level + 10 * i for i in range(20)] for level in (500, 400, 300, 200, 100)])
# What falls is flat, and so is what nobody has sampled often enough to say.
assert is_flat([[1000 - i for i in range(500)]])
assert is_flat([[1], [100]]) and is_flat([])
# The slope and its error are those of the textbook.
slope, error, growth, limit, _ = of_lives([[0, 60, 120, 180]]).result()
assert abs(slope - 1) < 1e-9 and error < 1e-6 and abs(growth - 180) < 1e-6 and limit == 16
