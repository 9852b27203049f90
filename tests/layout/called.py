#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each global function of the product is called by the product: reached from main(), from a table, or from
a macro. What only a test calls is not proved by that test to be of use. And each is named in another file
than its own, of the product or of the tests: else it is static. The folders `mem` hold doubles and count
as tests.

usage: called.py TOP
"""
import os
import re
import sys

# Functions that tests alone call, and may: name -> why.
SEAMS = {
    'beneath_go_slowly': 'shows opens to a fault injection',
    'log_scan_now': 'frames of a log that others append to meanwhile',
    'replay_frame': 'one frame, without a log',
    'report_reset': 'a process that runs many stores',
    'ship_step': 'a round in the thread of a test',
}

TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
NAME = re.compile(r'[A-Za-z_]\w*')
# A function, or its prototype, begins in the first column; the first name before a bracket is its own.
HEAD = re.compile(r'(?!typedef\b|struct \w+ \{|enum\b)(?P<before>[A-Za-z_][\w\s*]*?)\b(?P<name>[A-Za-z_]\w*)\(')
ATTRIBUTES = re.compile(r'__attribute__\(\(.*?\)\)\)?\s*')


def sources(top):
    """The files of the product, and of its tests: (path, whether it is of the product)."""
    for part in ('core', 'fs', 'tools', 'tests'):
        for folder, _, files in os.walk(os.path.join(top, part)):
            product = part != 'tests' and os.path.basename(folder) != 'mem'
            yield from ((os.path.join(folder, f), product) for f in sorted(files) if f.endswith(('.c', '.h')))


def plain(text):
    """The same lines without comments and strings."""
    return TEXT.sub(lambda m: '\n' * m.group().count('\n') + ' ', text)


def chunks(lines):
    """What begins in the first column, with the indented lines and brackets that belong to it. A macro is
    one line that ends without a backslash."""
    chunk = []
    for line in lines:
        inside = chunk and chunk[-1].endswith('\\')
        if chunk and not inside and (NAME.match(line) or line.startswith('#')):
            yield '\n'.join(chunk)
            chunk = []
        chunk.append(line)
    yield '\n'.join(chunk)


class Calls:
    def __init__(self):
        self.globals = {}           # name -> the file that defines it
        self.named_by = {None: set()}  # function (None: a table or a macro) -> the names in it
        self.named_in = {}          # file -> the names in it, but for those of prototypes

    def read(self, path, text, product):
        for chunk in chunks(plain(text).split('\n')):
            head = not chunk.startswith('#') and HEAD.match(ATTRIBUTES.sub('', chunk))
            if head and not re.search(r'^\{', chunk, re.M):
                continue  # a prototype
            names = set(NAME.findall(chunk)) - {head['name'] if head else None}
            self.named_in.setdefault(path, set()).update(names)
            if product:
                self.named_by.setdefault(head['name'] if head else None, set()).update(names)
            if product and head and path.endswith('.c') and 'static' not in head['before'].split():
                self.globals[head['name']] = path

    def unreached(self):
        seen, todo = set(), ['main', None]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self.named_by.get(name, ())
        return sorted(set(self.globals) - seen)

    def private(self):
        """What no other file names."""
        files = {}
        for path, names in self.named_in.items():
            for name in names & self.globals.keys():
                files.setdefault(name, set()).add(path)
        return sorted(n for n, path in self.globals.items() if n != 'main' and files.get(n, {path}) == {path})


def main():
    top = sys.argv[1]
    calls = Calls()
    for path, product in sources(top):
        with open(path, encoding='utf-8') as f:
            calls.read(path, f.read(), product)
    found = calls.unreached()
    wrong = [f'{os.path.relpath(calls.globals[n], top)}: {n} is called by no function of the product'
             for n in found if n not in SEAMS]
    wrong += [f'{os.path.relpath(calls.globals[n], top)}: {n} is named nowhere else, and not static'
              for n in calls.private()]
    wrong += [f'called.py: {n} is in the list of seams, and need not be' for n in SEAMS if n not in found]
    print('\n'.join(wrong) or f'{len(calls.globals)} functions, {len(SEAMS)} for tests only')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
