#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `run` calls red, green and broken: on a product of one line, whose test does what it is told. What
`mutant.py` refuses, and how `place.py` finds an expression."""
import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run", str(HERE / "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)
mutant = run.mutant

PRODUCT = 'const char *what(void)\n{\n    return "pass";\n}\n'
PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
const char *what(void);
int main(void)
{
    const char *w = what();
    if (!strcmp(w, "hang") || access("slow", F_OK) == 0)
        pause();
    if (!strcmp(w, "usage"))
        return fprintf(stderr, "program: invalid option\n"), 2;
    if (!strcmp(w, "silent"))
        return 1;
    if (!strcmp(w, "signal"))
        return raise(SIGTERM);
    if (!strcmp(w, "none"))
        return puts("[====] Synthesis: Tested: 0 | Passing: 0 | Failing: 0 | Crashing: 0"), 0;
    if (!strcmp(w, "sanitizer")) {
        fprintf(stderr, "==1==ERROR: AddressSanitizer: heap-use-after-free\n");
        abort();
    }
    if (!strcmp(w, "check")) {
        fprintf(stderr, "../tests/model.c:12: read == written (op 7)\n");
        abort();
    }
    int failing = !strcmp(w, "fail"), crashing = !strcmp(w, "crash");
    printf("[====] Synthesis: Tested: 1 | Passing: %d | Failing: %d | Crashing: %d\n",
           !failing && !crashing, failing, crashing);
    return failing || crashing;
}
"""
NINJA = """rule cc
  command = cc -o $out $in
build t/test-claim: cc core/product.c program.c
build t/plain: cc core/product.c program.c
"""
# What the test does under the mutant, and what that is; of a claim, and of a plain program.
CASES = [
    ("fail", "red", "broken"),
    ("crash", "red", "broken"),
    ("check", "broken", "red"),
    ("sanitizer", "red", "red"),
    ("hang", "hung", "hung"),
    ("pass", "green", "green"),
    ("usage", "broken", "broken"),
    ("silent", "broken", "broken"),
    ("signal", "broken", "broken"),
    ("none", "broken", "green"),
]

CODE = r"""
/* int twice(void) { return 1; } */
#define TWICE(x) { twice(x) }
static int once(struct a *a, int (*f)(int));
static const struct b table[] = {{.f = once}, {.s = "} {"}};
static struct c *
once(struct a *a, int (*f)(int)) __attribute__((nonnull(1)))
{
    if (a->n == '{' && f(1) /* ); */
        && f(12))
        return f(
            1 );
    return NULL;
}
int twice(void) { return once(&(struct a){0}, NULL) ? 1 : 0; }
"""
# A function of CODE, an expression, and how often it stands there.
FOUND = [
    ("once", "f(1)", 2),
    ("once", "return f(1);", 1),
    ("once", "a->n=='{'", 1),
    ("once", "f(1) && f(12)", 1),
    ("once", "(1", 2),
    ("once", "n", 1),
    ("once", "static", 0),
    ("once", ");", 1),
    ("twice", "1", 1),
    ("twice", "once", 1),
    ("twice", "return 1", 0),
]

HEAD = "breaks: DESIGN 2.1\nsays: Never the wrong bytes.\n"
GOOD = "name: m\nwhy: It fails.\nin: what\nold: return \"pass\";\nnew:\ntest: t/test-claim suite/claim\n"
# A file that is refused, and the sentence that says why.
BAD = [
    ("", "the file is empty"),
    ("# a comment\n", "the file is empty"),
    (HEAD, "there is no mutant in it"),
    ("breaks: " + "DESIGN" + " 2.99\nsays: So.\n\n" + GOOD, "there is no section 'DESIGN" + " 2.99'"),
    ("breaks: DESIGN 2.1\n\n" + GOOD, "it has no 'says'"),
    (HEAD + "\n" + GOOD.replace("why:", "because:"), "'because: It fails.' is none of"),
    (HEAD + "\n" + GOOD.replace("why: It", "It"), "'It fails.' is none of"),
    (HEAD + "\n    name: m\n", "it begins with a line that is indented"),
    (HEAD + "\n" + GOOD + "test: t/plain\n", "it has 'test' twice"),
    (HEAD + "\n" + GOOD.replace("why: It fails.\n", ""), "'in' stands where 'why' has to"),
    (HEAD + "\n" + GOOD.replace("test: t/test-claim suite/claim\n", ""), "it has no 'test'"),
    (HEAD + "\n" + GOOD.replace("name: m", "name: M_1"), "a name has small letters"),
    (HEAD + "\n" + GOOD.replace("It fails.", "It fails"), "'why' is one sentence"),
    (HEAD + "\n" + GOOD.replace("It fails.", "It fails. It does."), "'why' is one sentence"),
    (HEAD + "\n" + GOOD.replace("in: what", "in: what()"), "'in' is a function"),
    (HEAD + "\n" + GOOD.replace("old: return \"pass\";", "old: /* pass */"), "'old' is empty"),
    (HEAD + "\n" + GOOD.replace("new:", "new: return  \"pass\" ;"), "it changes nothing"),
    (HEAD + "\n" + GOOD.replace("new:", "new: return f(1];"), "the brackets of 'new' do not match"),
    (HEAD + "\n" + GOOD.replace("old: return \"pass\";", "old: (1"), "the brackets of 'old' do not match"),
    (HEAD + "\n" + GOOD.replace("test: t/test-claim suite/claim", "test:"), "'test' is empty"),
]
# A mutant that does not fit the tree, and the sentence that says why.
UNFIT = [
    (GOOD.replace("in: what", "in: which"), "there is no function which"),
    (GOOD.replace("in: what", "in: core/other what"), "there is no function what in core/other"),
    (GOOD.replace("pass", "fail"), "'old' stands 0 times in what"),
    (GOOD.replace("in: what", "in: again"), "'old' stands 2 times in again: core/product.c"),
    (GOOD.replace("t/test-claim", "t/test-nothing"), "no test-nothing in t/meson.build"),
    (GOOD.replace("suite/claim", "suite/clai"), "no claim clai in t/test_claim.c"),
]
DESIGN = ("## 2. The promises\n\n1. **One.** It is\n   so 2.\n   **4b.** Two.\n\n"
          "## 3. What a person sees\n\n7. **No.**\n")


def fail(why):
    """The end of this test."""
    sys.exit(why)


def expect(name, got, want):
    """The test ends where this is not so."""
    if got != want:
        fail(f"{name}: {got}, not {want}")


def refused(name, says, do, *args):
    """It must be refused with that sentence."""
    try:
        do(*args)
    except run.Problem as why:
        if says not in why.args[0]:
            fail(f"{name}: refused with '{why.args[0]}', not '{says}'")
        return
    fail(f"{name}: not refused with '{says}'")


def numbered(i):
    """A good mutant with a name of its own."""
    return GOOD.replace("m\n", f"m{i}\n", 1)


def make_tree(tree):
    """A product, a program, and what the mutants are looked up in."""
    for folder in ("core/mem", "t"):
        (tree / folder).mkdir(parents=True)
    (tree / "core/product.c").write_text(PRODUCT)
    (tree / "core/mem/double.c").write_text(PRODUCT)
    (tree / "core/DESIGN.md").write_text(DESIGN)
    (tree / "core/CONTRACTS.md").write_text("## 1. One\n")
    (tree / "t/meson.build").write_text("foreach name : ['claim', 'plain']\n")
    (tree / "t/test_claim.c").write_text("Test(suite, claim)\n")
    (tree / "program.c").write_text(PROGRAM)
    (tree / "build.ninja").write_text(NINJA)


def verdict(tree, target, args, new):
    """What becomes of the mutant that puts `new` in."""
    m = mutant.Mutant("m", "DESIGN 2.1", "It fails.", None, "what", 'return "pass" ;', new, target, args)
    try:
        says = run.verdict(m, tree, tree, 0, 1)
    except run.Problem:
        says = "broken"
    if (tree / "core/product.c").read_text() != PRODUCT:
        fail(f"{new}: it is still in")
    return says


def verdicts(tree):
    """What is red."""
    for what, of_claim, of_plain in CASES:
        new = f'return "{what}";'
        expect(what, verdict(tree, "t/test-claim", ["suite/claim"], new), of_claim)
        expect(what + ", plain", verdict(tree, "t/plain", ["--seed", "1"], new), of_plain)
    expect("it does not compile", verdict(tree, "t/test-claim", ["suite/claim"], "what"), "broken")
    expect("no such program", verdict(tree, "t/other", ["suite/claim"], 'return "fail";'), "broken")
    (tree / "slow").touch()
    expect("the machine hangs", verdict(tree, "t/test-claim", ["suite/claim"], 'return "hang";'), "broken")
    (tree / "slow").unlink()


def files(tree):
    """What is refused of a file, and of the files together."""
    path, known = tree / "one.mutants", mutant.sections(tree)
    expect("sections", known, ["DESIGN 2.1", "DESIGN 2.4b", "DESIGN 3", "CONTRACTS 1"])
    for text, says in BAD:
        path.write_text(text)
        refused(text, says, mutant.load, path, known)
    for i, breaks in enumerate(known):
        (tree / f"{i}.mutants").write_text(f"breaks: {breaks}\nsays: So.\n\n" + numbered(i))
    path.write_text(HEAD + "\n" + GOOD)
    refused("two files", "0.mutants breaks DESIGN 2.1 already", mutant.load_all, tree, tree)
    path.unlink()
    groups = mutant.load_all(tree, tree)
    expect("order", [g.breaks for g in groups], known)
    expect("chosen", [g.breaks for g in run.chosen(groups, ["m3"], ["4b"])], ["DESIGN 2.4b", "CONTRACTS 1"])
    (tree / "m.mutant").touch()
    refused("one mutant", "m.mutant: a mutant stands in one of the files", mutant.load_all, tree, tree)
    (tree / "m.mutant").unlink()
    (tree / "1.mutants").write_text((tree / "1.mutants").read_text().replace("m1", "m0"))
    refused("two names", "has a mutant m0 already", mutant.load_all, tree, tree)
    (tree / "1.mutants").unlink()
    refused("a section without", "no mutant breaks DESIGN 2.4b", mutant.load_all, tree, tree)


def places(tree):
    """Where an expression is found, and what does not fit."""
    for name, old, count in FOUND:
        got = [s for n, body in mutant.place.functions(CODE) if n == name
               for s in mutant.place.spans(body, mutant.place.words(old))]
        expect(f"{old} in {name}", len(got), count)
    m = mutant.entry("one", GOOD.splitlines(), "DESIGN 2.1")
    expect("the double is none", mutant.find(m, tree)[0], tree / "core/product.c")
    mutant.check_test(m, tree)
    body = "\n{\n    return \"pass\";\n    return\n        \"pass\";\n}\n"
    (tree / "core/product.c").write_text("int what(void)" + body.replace("pass", "p") + PRODUCT +
                                         "const char *again(void)" + body)
    mutant.place.definers.cache_clear()
    for text, says in UNFIT:
        m = mutant.entry("one", text.splitlines(), "DESIGN 2.1")
        refused(text, says, lambda: (mutant.find(m, tree), mutant.check_test(m, tree)))


def summary(tree):
    """What the lines at the end say, and the exit code that comes of it."""
    mutants = [mutant.entry("one", numbered(i).splitlines(), "DESIGN 2.1") for i in range(4)]
    groups = [mutant.Group(tree, "DESIGN 2.1", "So.", mutants)]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        bad = run.total(groups, {"m0": "red", "m1": "green", "m2": "broken", "m3": "hung"})
    expect("not red", bad, 2)
    expect("summary", out.getvalue().splitlines()[-1], "  4 mutants,   2 red, 1 green, 1 broken")


def lanes():
    """All items are done, and an error of one lane ends both."""
    done = []
    run.in_lanes(["a", "b"], range(9), lambda lane, item: done.append(item))
    expect("items", sorted(done), list(range(9)))

    def stop(lane, item):
        raise run.Problem("no more")
    refused("an error", "no more", run.in_lanes, ["a", "b"], range(9), stop)


def main():
    """All of it."""
    run.patience = lambda first: 2
    for part in (verdicts, files, places, summary):
        with tempfile.TemporaryDirectory(prefix="tally-mutants-") as name:
            make_tree(Path(name))
            part(Path(name))
            mutant.place.definers.cache_clear()
    lanes()
    print("well")


main()
