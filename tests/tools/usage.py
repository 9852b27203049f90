#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of verbs (tools/verbs/verbs.c) is what the program takes, what the man pages have under
SYNOPSIS, and what bash completes.

The table is read as `tally --help` and `tally VERB --help` print it. Exit code 77: there is no
man(1) to render pages.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
TALLY = os.path.realpath(os.environ["TALLY"])
IN_MOUNT = ["[-C MNT]", "[--json]"]
bad = 0


def same(what, got, wanted):
    """Note where they differ."""
    global bad
    if got != wanted:
        print(f"{what}:\n    has   {got}\n    wants {wanted}")
        bad += 1


def run(*argv, **more):
    return subprocess.run(argv, text=True, capture_output=True, timeout=200, check=False, **more)


# ---- ways to call a verb ----

def words(call):
    """Its words: a bracket with all that is in it is one."""
    call = re.sub(r"\s*\|\s*", "|", re.sub(r"\s*\.\.\.", "...", call))
    found, depth = [], 0
    for word in call.split():
        if depth:
            found[-1] += " " + word
        else:
            found.append(word)
        depth += word.count("[") - word.count("]")
    return found


def way(call):
    """Options in any order, and the other words in theirs."""
    found = words(call)
    options = sorted(w for w in found if w.startswith("[-"))
    return options, [w for w in found if not w.startswith("[-")]


def ways_in_help(verb, usage):
    """Those of "usage: tally VERB A | B". What begins with a keyword is about a mount."""
    common = " ".join(IN_MOUNT)
    rest = usage.removeprefix(f"usage: tally {verb}").strip()
    is_in_mount = rest.startswith(common)
    ways = []
    for one in rest.removeprefix(common).split(" | "):
        asks_mount = is_in_mount or re.match(r"[a-z]", one.strip())
        ways.append(way(f"tally {verb} {common if asks_mount else ''} {one}"))
    return ways


def ways_in_page(verb):
    """Those that tally-VERB(1) has, one a line; those of mount(8) and umount(8) left out."""
    env = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="1000", MAN_KEEP_FORMATTING="")
    page = run("man", "-l", TOOLS / "man" / f"tally-{verb}.1", env=env)
    text = run("col", "-b", input=page.stdout, env=env).stdout
    section = re.search(r"^SYNOPSIS\n(.*?)^\S", text, re.M | re.S)
    lines = section.group(1).splitlines() if section else []
    return [way(line) for line in lines if line.split()[:1] == ["tally"]]


def keyword_of(one):
    """The word behind the verb, where it is no argument: a list with it, or an empty one."""
    return [w for w in one[1][2:3] if re.fullmatch("[a-z]+", w)]


def options_of(options):
    """("--grace", "DUR") and ("--wait", "") for each; a bracket may have others in it."""
    options = [re.sub(r"\[=[A-Z]+\]", "", o) for o in options]  # a value that may be left out
    return re.findall(r"\[(--?[a-z][a-z-]*) ?([A-Za-z]\S*?)?(?=[] ])", " ".join(options))


# ---- the claims ----

def check_taken(verb, ways):
    """The program takes all options of each way, and complains of the one behind them."""
    for one in ways:
        given = keyword_of(one)
        for option, value in options_of(one[0]):
            given += [option, *(["ro"] if value else [])]
        same(f"tally {verb} {' '.join(given)} --colour",
             run(TALLY, verb, *given, "--colour").stderr.split("\n")[0],
             f"tally {verb}: unrecognized option '--colour'")


def record(help_of, where):
    """A program in the place of tally that says the same when it is asked for help, and starts sooner."""
    for verb, text in help_of.items():
        Path(where, verb).write_text(text)
    program = Path(where, "tally")
    program.write_text(f'#!/bin/sh\n[ "$2" = --help ] && exec cat "{where}/$1"\nexit 1\n')
    program.chmod(0o755)
    return program


def complete(line, cwd, program=TALLY):
    """What bash offers where the last of these words stands."""
    script = """source "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
                _tally; printf "%s\\n" "${COMPREPLY[@]}" """
    done = run("bash", "-c", script, TOOLS / "completions/tally", program, *line, cwd=cwd)
    same(f"what completing {line} says", done.stderr, "")
    return sorted(filter(None, done.stdout.split("\n")))


def check_completion(verb, ways, help_text, program):
    """Its options as they are in the help, and its keywords where no option has begun."""
    options = {"--help", *re.findall(r"^  -\w, (--[a-z-]+)", help_text, re.M)}
    keywords = set()
    for one in ways:
        options |= {option for option, _ in options_of(one[0])}
        keywords |= set(keyword_of(one))
    same(f"options of {verb} in completion", complete([verb, "-"], "/", program), sorted(options))
    lacking = keywords - set(complete([verb, ""], "/", program))
    same(f"keywords of {verb} that completion lacks", lacking, set())


def check_mount_options(help_text, cwd):
    """Each word behind -o that `tally mount --help` names is offered."""
    named = set()
    for line in re.findall(r"^    (\S.*?)(?:  |$)", help_text, re.M):
        named |= {w.split("=")[0] for w in line.split(" and ")[0].split(", ")}
    offered = {w.split("=")[0] for w in complete(["mount", "-o", ""], cwd)}
    same("-o of mount in completion lacks", named - offered, set())


def check_hostile_names(cwd):
    """The name of a namespace is offered as it is, whatever stands in it, and never run."""
    names = ["$(touch hit)", "`touch hit`", "a b", "main"]
    for name in names:
        os.mkdir(os.path.join(cwd, name))
    offered = complete(["drop", ""], cwd)
    same("namespaces that are offered", [n for n in offered if not n.startswith("-")], names)
    same("what completion ran", os.path.exists(os.path.join(cwd, "hit")), False)


def check_list(text, help_of):
    """`tally --help` has each way to call each verb, as its own help has it, in 80 columns."""
    same("lines that are too wide", [line for line in text.splitlines() if len(line) > 80], [])
    for one in re.split(r"\n(?=  [a-z])", text)[1:]:
        listed = " ".join(one.split())
        verb = listed.split()[0]
        usage = help_of[verb].splitlines()[0].removeprefix("usage: tally ").replace(" " + " ".join(IN_MOUNT), "")
        same(f"the call of {verb} in tally --help", listed[:len(usage)], usage)


def main():
    if not shutil.which("man") or not shutil.which("col"):
        print("skipped: there is no man or col")
        return 77
    listed = run(TALLY, "--help").stdout
    verbs = re.findall(r"^  ([a-z][a-z-]*) ", listed, re.M)
    same("at least 30 verbs", len(verbs) >= 30, True)
    with tempfile.TemporaryDirectory(prefix="tally-usage-") as cwd:
        words_first = sorted([*verbs, "-C", "--help", "--version"])
        same("verbs in completion", complete([""], cwd), words_first)
        help_of = {verb: run(TALLY, verb, "--help").stdout for verb in verbs}
        check_list(listed, help_of)
        check_mount_options(help_of["mount"], cwd)
        check_hostile_names(cwd)
    with tempfile.TemporaryDirectory(prefix="tally-usage-") as where:
        program = record(help_of, where)
        for verb, help_text in help_of.items():
            ways = ways_in_help(verb, help_text.splitlines()[0])
            same(f"SYNOPSIS of tally-{verb}(1)", ways_in_page(verb), ways)
            check_taken(verb, ways)
            check_completion(verb, ways, help_text, program)
    pages = (TOOLS / "man/tally.1").read_text()
    same("verbs that tally(1) lacks", [v for v in verbs if not re.search(rf"\b{v}\b", pages)], [])
    built = (TOOLS / "meson.build").read_text()
    same("pages that are not installed", [v for v in verbs if f"'{v}'" not in built], [])
    print(f"{len(verbs)} verbs, {bad} differences")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
