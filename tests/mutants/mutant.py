# SPDX-License-Identifier: Apache-2.0
"""The files *.mutants: one promise or one section each, and the mutants that break it."""
import os
import re
from collections import namedtuple

import place

FIELDS = ("name", "why", "in", "old", "new", "test")
FOLDERS = ("core", "fs", "tools")

# `room` is the folder in which the function is looked for, or None: all of FOLDERS.
Mutant = namedtuple("Mutant", "name breaks why room function old new target args")
Group = namedtuple("Group", "path breaks says mutants")


class Problem(Exception):
    """What is wrong, in a sentence."""


def paragraphs(text):
    """The parts between empty lines, each as (number of its first line, lines); comments are left out."""
    part, begin = [], 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("#"):
            continue
        if line.strip():
            begin = begin if part else number
            part.append(line)
        elif part:
            yield begin, part
            part = []


def fields(where, lines, names):
    """`key: value` for each of the names, in this order; a line that is indented goes on with the value."""
    values, keys = {}, list(names)
    for line in lines:
        if line.startswith("    "):
            if not values:
                raise Problem(f"{where}: it begins with a line that is indented")
            values[key] += "\n" + line[4:]
            continue
        match = re.fullmatch(r"([a-z]+):(?: (.*))?", line)
        if not match or match[1] not in names:
            raise Problem(f"{where}: '{line}' is none of {', '.join(names)}")
        key = match[1]
        if key in values:
            raise Problem(f"{where}: it has '{key}' twice")
        if key != keys[len(values)]:
            raise Problem(f"{where}: '{key}' stands where '{keys[len(values)]}' has to")
        values[key] = match[2] or ""
    if len(values) < len(keys):
        raise Problem(f"{where}: it has no '{keys[len(values)]}'")
    return {key: value.strip("\n") for key, value in values.items()}


def entry(where, lines, breaks):
    """The mutant of these lines."""
    f = fields(where, lines, FIELDS)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", f["name"]):
        raise Problem(f"{where}: a name has small letters, digits and single hyphens, not '{f['name']}'")
    where = f"{where} ({f['name']})"
    if not re.fullmatch(r"[A-Z](?:(?!\. )[^\n])*\.", f["why"]):
        raise Problem(f"{where}: 'why' is one sentence in one line")
    match = re.fullmatch(r"(?:([\w/]+) )?([A-Za-z_]\w*)", f["in"])
    if not match:
        raise Problem(f"{where}: 'in' is a function, or a folder and a function")
    old, new = place.words(f["old"]), place.words(f["new"])
    if not old:
        raise Problem(f"{where}: 'old' is empty")
    if old == new:
        raise Problem(f"{where}: it changes nothing")
    for key, found in (("old", old), ("new", new)):
        if not place.is_balanced(found):
            raise Problem(f"{where}: the brackets of '{key}' do not match")
    if not f["test"].strip():
        raise Problem(f"{where}: 'test' is empty")
    target, *args = f["test"].split()
    return Mutant(f["name"], breaks, f["why"], match[1], match[2], f["old"], f["new"], target, args)


def sections(tree):
    """What a mutant may break: the promises of DESIGN 2, the rights of DESIGN 3, the sections of CONTRACTS."""
    design = (tree / "core/DESIGN.md").read_text()
    promises = re.search(r"^## 2\..*?(?=^## )", design, re.S | re.M)
    contracts = (tree / "core/CONTRACTS.md").read_text()
    return ([f"DESIGN 2.{n}" for n in re.findall(r"^ *\*{0,2}(\d+b?)\.", promises[0], re.M)] +
            ["DESIGN 3"] +
            [f"CONTRACTS {n}" for n in re.findall(r"^## (\d+)\.", contracts, re.M)])


def load(path, known):
    """The group of mutants in that file."""
    parts = list(paragraphs(path.read_text()))
    if not parts:
        raise Problem(f"{path.name}: the file is empty")
    head = fields(path.name, parts[0][1], ("breaks", "says"))
    if head["breaks"] not in known:
        raise Problem(f"{path.name}: there is no section '{head['breaks']}'")
    if len(parts) == 1:
        raise Problem(f"{path.name}: there is no mutant in it")
    mutants = [entry(f"{path.name}:{at}", lines, head["breaks"]) for at, lines in parts[1:]]
    return Group(path, head["breaks"], head["says"], mutants)


def load_all(folder, tree):
    """All groups, in the order of the sections. Each section has one file, and each name is there once."""
    known = sections(tree)
    for path in sorted(folder.glob("*.mutant")):
        raise Problem(f"{path.name}: a mutant stands in one of the files *.mutants")
    groups = [load(path, known) for path in sorted(folder.glob("*.mutants"))]
    seen, names = {}, {}
    for g in groups:
        if g.breaks in seen:
            raise Problem(f"{g.path.name}: {seen[g.breaks]} breaks {g.breaks} already")
        seen[g.breaks] = g.path.name
        for m in g.mutants:
            if m.name in names:
                raise Problem(f"{g.path.name}: {names[m.name]} has a mutant {m.name} already")
            names[m.name] = g.path.name
    for section in known:
        if section not in seen:
            raise Problem(f"no mutant breaks {section}")
    return sorted(groups, key=lambda g: known.index(g.breaks))


def find(m, tree):
    """The file that has the mutant's old expression, and where in it: (path, text, begin, end)."""
    old, defined, hits = place.words(m.old), 0, []
    for path in place.definers(tree, FOLDERS).get(m.function, ()):
        if m.room and tree / m.room not in path.parents:
            continue
        text = path.read_text()
        for function, body in place.functions(text):
            if function == m.function:
                defined += 1
                hits += [(path, text, *span) for span in place.spans(body, old)]
    where = f" in {m.room}" if m.room else ""
    if not defined:
        raise Problem(f"{m.name}: there is no function {m.function}{where}")
    if len(hits) != 1:
        raise Problem(f"{m.name}: 'old' stands {len(hits)} times in {m.function}{where}" +
                      (": " + ", ".join(sorted({str(h[0].relative_to(tree)) for h in hits})) if hits else ""))
    return hits[0]


def is_claim(m):
    """Is the test one claim of a Criterion program, not a whole program?"""
    return len(m.args) == 1 and not m.args[0].startswith("-")


def check_test(m, tree):
    """Does the tree have that program, with that claim?"""
    folder, program = os.path.split(m.target)
    name = program.removeprefix("test-")
    build = tree / folder / "meson.build"
    if not build.is_file() or f"'{name}'" not in build.read_text():
        raise Problem(f"{m.name}: no {program} in {folder}/meson.build")
    if is_claim(m):
        claim = m.args[0].split("/")[-1]
        if not re.search(rf"\b{claim}\b", (build.parent / f"test_{name}.c").read_text()):
            raise Problem(f"{m.name}: no claim {claim} in {folder}/test_{name}.c")
