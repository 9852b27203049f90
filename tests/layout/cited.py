#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What documents and comments cite is there: each file NAME.c, NAME.h, NAME.sh or NAME.py, with its folder if one
stands before it; and the functions of the walks of core/README.md are defined in the file that is named beside
them. A header of the system is known if a source includes it; a name with capitals in it (cmd_VERB.c) stands
for many, and paths of the kernel's sources are not looked for."""
import ast
import io
import os
import re
import subprocess
import sys
import tokenize

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', '..'))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests', 'mutants'))
import place  # noqa: E402

CITED = re.compile(r'(?<![\w/.*$-])((?:[\w.-]+/)*[\w-]+\.(?:c|h|sh|py))(?![\w*/])')
KERNEL = ('fs/fuse/', 'linux/')
C_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
SHELL_COMMENT = re.compile(r'(?:^|(?<=\s))#.*', re.M)
FUNCTION = r'`[a-z]\w*`'
BESIDE = re.compile(rf'({FUNCTION}(?:,\s+{FUNCTION})*)\s+\(`([\w/]+\.c)`')


def project_files():
    """The files of the project, in or out of a checkout."""
    run = subprocess.run(['git', '-c', 'safe.directory=*', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, text=True,
                         capture_output=True, check=False)
    found = run.stdout.splitlines() if run.returncode == 0 else [
        os.path.relpath(os.path.join(d, n), ROOT) for top in ('core', 'fs', 'tools', 'tests', 'README.md')
        for d, _, names in ([(ROOT, [], [top])] if top.endswith('.md') else os.walk(os.path.join(ROOT, top))) for n in names]
    return sorted(f for f in found if os.path.isfile(os.path.join(ROOT, f)))


def python_prose(text):
    """Comments and docstrings."""
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    said = [ast.get_docstring(node) or '' for node in ast.walk(ast.parse(text)) if isinstance(node, scopes)]
    said += [t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT]
    return '\n'.join(said)


def prose(path, text):
    """What of a file is read by people alone."""
    if path.endswith('.md'):
        return text
    if path.endswith(('.c', '.h')):
        return '\n'.join(C_COMMENT.findall(text))
    if path.endswith(('.sh', '.build', '.mutants')):
        return '\n'.join(SHELL_COMMENT.findall(text))
    return python_prose(text) if path.endswith('.py') else ''


def missing(text, files, system):
    """The files that `text` cites and that are not among `files` (as "/path") nor headers of the system."""
    return [c for c in sorted(set(CITED.findall(text)))
            if not re.search('[A-Z]', c) and not c.startswith(KERNEL) and c not in system
            and not any(f.endswith('/' + c) for f in files)]


def walked(text):
    """(function, file) of the walks."""
    walks = text.split('\n## Three walks\n')[1].split('\n## ')[0]
    return [(f, file) for names, file in BESIDE.findall(walks) for f in re.findall(r'`(\w+)`', names)]


def undefined(pairs, sources):
    """Those that are in no file of that name; `sources`: path -> text."""
    def defines(function, file):
        return any(function in (name for name, _ in place.functions(text))
                   for path, text in sources.items() if path.endswith('/' + file))
    return [(function, file) for function, file in pairs if not defines(function, file)]


def main():
    bad = []
    listed = project_files()
    texts = {}
    for path in listed:
        if path.endswith(('.md', '.c', '.h', '.sh', '.py', '.mutants')) or path.endswith('meson.build'):
            with open(os.path.join(ROOT, path), encoding='utf-8') as f:
                texts[path] = f.read()
    system = {h for text in texts.values() for h in re.findall(r'^ *# *include <([^>]+)>', text, re.M)}
    system |= {h.rsplit('/', 1)[-1] for h in system}
    files = ['/' + path for path in listed]
    count = 0
    for path, text in texts.items():
        count += len(CITED.findall(prose(path, text)))
        bad += [f'{path} cites {name}, which is not there' for name in missing(prose(path, text), files, system)]
    if count < 800:
        bad.append(f'only {count} citations of files were looked at')
    pairs = walked(texts['core/README.md'])
    if len(pairs) < 50:
        bad.append(f'only {len(pairs)} functions of the walks were looked at')
    core = {path: text for path, text in texts.items() if path.startswith('core/')}
    bad += [f'core/README.md: {file} does not define {function}' for function, file in undefined(pairs, core)]
    # The test itself: what it must find.
    if missing('core/gone.c, state/txn.c, flush/txn.c, cmd_VERB.c, <stdio.h>', files, {'stdio.h'}) != ['core/gone.c', 'flush/txn.c']:
        bad.append('files that are not there are overlooked')
    if undefined([('txn_begin', 'state/txn.c'), ('txn_begin', 'change.c')], core) != [('txn_begin', 'change.c')]:
        bad.append('functions that are in another file are overlooked')
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
