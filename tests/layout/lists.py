#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shell statements `A && B`: `set -e` does not see that A fails.

    tests/layout/lists.py SCRIPT...

Prints each as FILE:LINE: STATEMENT, and then fails. Not meant are conditions (`if`, `while`), lists with
a `||` behind the last `&&`, lists in the background, lists whose last command leaves (`A && return`), and
the last statement of a function or a subshell, whose status is that of the whole. Texts for a shell in
quotes of several lines and `$(...)` are looked through as well; here-documents are not.
"""
import re
import sys

LEAVES = {"return", "exit", "break", "continue", "fail", "skip"}
CONDITIONS = {"if", "elif", "while", "until", "!", "wait_until"}
OPENERS = {"do", "then", "else", "{", "time"}


def is_unseen(statement):
    """Does it drop the failure of all but its last command?"""
    words = statement.split()
    while words and words[0] in OPENERS:
        del words[0]
    operators = [i for i, word in enumerate(words) if word in ("&&", "||")]
    if not operators or words[operators[-1]] != "&&" or words[0] in CONDITIONS:
        return False
    return words[operators[-1] + 1:][:1] and words[operators[-1] + 1] not in LEAVES


class Scanner:
    """One pass over a text; `found` gets (line, statement)."""

    def __init__(self, text, line, found):
        self.text, self.at, self.line, self.found = text, 0, line, found
        self.documents = []  # delimiters of here-documents that begin with the next line
        self.statement, self.began = "", line

    def take(self, n=1):
        taken = self.text[self.at:self.at + n]
        self.at += n
        self.line += taken.count("\n")
        return taken

    def end(self, seen):
        """The statement ends; `seen`: whoever started this text sees its status."""
        if not seen and is_unseen(self.statement):
            self.found.append((self.began, " ".join(self.statement.split())))
        self.statement = ""

    def add(self, text):
        if not self.statement.strip():
            self.began = self.line
        self.statement += text

    def quoted(self, quote):
        began = self.line
        self.take()
        text = ""
        while self.at < len(self.text) and not self.text.startswith(quote, self.at):
            if quote == '"' and self.text.startswith("$(", self.at):
                self.take(2)
                self.nested()
            else:
                text += self.take(2 if quote == '"' and self.text[self.at] == "\\" else 1)
        self.take()
        if "\n" in text and quote == "'" and not re.search(r"\b(awk|python3|sed|perl)\b", self.statement):
            Scanner(text, began, self.found).run()
        self.add("_")

    def nested(self):
        """The text of `$(`: up to its own `)`."""
        inner = Scanner(self.text, self.line, self.found)
        inner.at = self.at
        inner.run(")")
        self.at, self.line = inner.at, inner.line

    def balanced(self, close, opening=None):
        """Past `close`."""
        depth = 1
        while self.at < len(self.text) and depth:
            if self.text.startswith(close, self.at):
                depth -= 1
                self.take(len(close))
            elif opening and self.text.startswith(opening, self.at):
                depth += 1
                self.take(len(opening))
            else:
                self.take(2 if self.text[self.at] == "\\" else 1)
        self.add("_")

    def newline(self):
        if not re.search(r"(&&|\|\||\|)\s*$", self.statement):
            ends = re.match(r"\s*(#.*\s+)*[})]", self.text[self.at:]) is not None
            self.end(ends)
        self.take()
        for word in self.documents:
            match = re.compile(rf"^\t*{re.escape(word)}$", re.M).search(self.text, self.at)
            self.take((match.end() if match else len(self.text)) - self.at)
        self.documents = []

    def operator(self):
        """; & && || ( ) and what redirects."""
        rest = self.text[self.at:self.at + 2]
        if rest in ("&&", "||"):
            self.add(f" {self.take(2)} ")
        elif rest == "&>" or (rest[0] == "&" and self.statement[-1:] in ("<", ">")):
            self.add(self.take())
        elif rest[0] == "&":
            self.end(True)
            self.take()
        elif rest[0] == ";":
            self.end(re.match(r";\s*[})]", self.text[self.at:]) is not None)
            self.take()
        elif rest[0] in "()":
            self.end(True)
            self.take()

    def run(self, until=None):
        depth = 0
        while self.at < len(self.text):
            c, rest = self.text[self.at], self.text[self.at:self.at + 3]
            starts = not self.statement or self.statement[-1].isspace()
            if c == ")" and until and depth == 0:
                break
            if c == "\\":
                self.add("_" if self.take(2)[1:] != "\n" else " ")
            elif c in "'\"":
                self.quoted(c)
            elif rest == "$((" or rest[:2] == "((":
                self.take(3 if c == "$" else 2)
                self.balanced("))")
            elif rest[:2] == "$(" or rest[:2] in ("<(", ">("):
                self.take(2)
                self.nested()
                self.add("_")
            elif rest[:2] == "${":
                self.take(2)
                self.balanced("}", "${")
            elif rest[:2] == "$#":
                self.add(self.take(2))
            elif rest[:2] == "[[" and starts:
                self.balanced(" ]]")
            elif c == "#" and starts:
                while self.at < len(self.text) and self.text[self.at] != "\n":
                    self.take()
            elif rest == "<<<":
                self.take(3)
            elif rest[:2] == "<<":
                match = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?").match(self.text, self.at)
                self.documents.append(match[1])
                self.take(match.end() - self.at)
            elif c == "\n":
                self.newline()
            elif c in ";&()" or rest[:2] == "||":
                depth += {"(": 1, ")": -1}.get(c, 0)
                self.operator()
            else:
                self.add(self.take())
        self.end(True)
        self.take(1 if until else 0)


def main(files):
    bad = 0
    for path in files:
        found = []
        with open(path) as f:
            Scanner(f.read(), 1, found).run()
        for line, statement in sorted(found):
            print(f"{path}:{line}: {statement}")
        bad += len(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
