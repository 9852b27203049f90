#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rooms of core: what each includes is what its meson.build links it with and what its README says that
it stands on; all of that lies below it; an include that points up does not compile; a header *_impl.h is
included in its own folder alone. Each README of a room of core, fs or tools is short. That a call which
points up does not link is seen to by the executables "stands-ROOM" (meson.build here)."""
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', '..')
DOUBLES = ['base/mem', 'kv/mem', 'shard/mem']
OPEN_STORE = 'core/store/store_impl.h'  # puts the private parts of all rooms together
FILES_MOST = 25  # .c files of a room
README_MOST = 20  # lines of the README of a room
bad = []


def read(*path):
    with open(os.path.join(ROOT, *path), encoding='utf-8') as f:
        return f.read()


def names(room, end):
    return sorted(n for n in os.listdir(os.path.join(ROOT, 'core', room)) if n.endswith(end))


def includes(room):
    found = set()
    for name in names(room, ('.c', '.h')):
        found.update(re.findall(r'^#include "([^"]+)"', read('core', room, name), re.M))
    return found


def linked(room):
    """The rooms in the first list of dependencies of its library."""
    text = read('core', room, 'meson.build')
    deps = re.search(r'static_library\(.*?dependencies: \[(.*?)\]', text, re.S).group(1)
    return set(re.findall(r'(\w+)_dep\b', deps))


def said(room):
    try:
        text = read('core', room, 'README.md')
    except FileNotFoundError:
        return None
    line = re.search(r'^Stands on: (.*)\.$', text, re.M)
    return set() if not line or line.group(1) == 'nothing' else set(line.group(1).split(', '))


def listed(room):
    """The files that its README has in reading order; of those that differ in their ending one name."""
    try:
        lines = read('core', room, 'README.md').split('In reading order:')[1].splitlines()
    except (FileNotFoundError, IndexError):
        return set()
    return {n for line in lines if line.startswith('- ') for n in re.findall(r'`([\w.]+)`', line.split(': ')[0])}


def compiles(header, rooms):
    run = subprocess.run([os.environ.get('CC', 'cc'), '-std=c17', '-D_GNU_SOURCE', '-fsyntax-only', '-x', 'c', '-'] +
                         ['-I' + os.path.join(ROOT, 'core', r) for r in rooms],
                         input=f'#include <stddef.h>\n#include "{header}"\n', text=True, capture_output=True, check=False)
    return run.returncode == 0


def findable(headers, rooms):
    """Those headers that an include finds there."""
    run = subprocess.run([os.environ.get('CC', 'cc'), '-E', '-P', '-x', 'c', '-'] + ['-I' + os.path.join(ROOT, 'core', r) for r in rooms],
                         input=''.join(f'#if __has_include("{h}")\nfound "{h}"\n#endif\n' for h in headers), text=True,
                         capture_output=True, check=True)
    return re.findall(r'^found "(.*)"$', run.stdout, re.M)


def intrusions(path, text):
    """Private headers of other folders that a file with this text would include."""
    folder = os.path.dirname(path)
    own = [folder] + [f'core/{d.split("/")[0]}' for d in DOUBLES if folder == f'core/{d}']
    headers = re.findall(r'^[ \t]*#[ \t]*include[ \t]*["<](?:[^">\n]*/)?(\w+_impl\.h)[">]', text, re.M)
    return [h for h in headers if path != OPEN_STORE and not any(os.path.exists(os.path.join(ROOT, d, h)) for d in own)]


def reachable(room, below):
    rooms = {room}
    for r in below[room]:
        rooms |= reachable(r, below)
    return rooms


order = re.findall(r"^subdir\('core/(\w+)'\)", read('meson.build'), re.M)
rooms_fs = re.findall(r"^subdir\('(\w+)'\)", read('fs', 'meson.build'), re.M)
rooms_tools = re.findall(r"^subdir\('(\w+)'\)", read('tools', 'meson.build'), re.M)
folders = sorted(d for d in os.listdir(os.path.join(ROOT, 'core')) if os.path.isdir(os.path.join(ROOT, 'core', d)))
if folders != sorted(order):
    bad.append(f'folders of core {folders} are not the rooms of meson.build {order}')
stands = re.findall(r'\b(\w+)_lib\b', re.search(r'foreach room : \[(.*?)\]', read('tests', 'layout', 'meson.build'), re.S).group(1))
for lib in [*order, *(d.replace('/', '_') for d in DOUBLES), 'fs', *('fs_' + r for r in rooms_fs), *rooms_tools]:
    if lib not in stands:
        bad.append(f'tests/layout/meson.build does not link {lib}_lib as a whole')
owner = {}
for room in order:
    if len(names(room, '.c')) > FILES_MOST:
        bad.append(f'core/{room} has more than {FILES_MOST} .c files')
    for header in names(room, '.h'):
        if header in owner:
            bad.append(f'{header} stands in core/{owner[header]} and in core/{room}')
        owner[header] = room
for room in rooms_tools:
    if len([n for n in os.listdir(os.path.join(ROOT, 'tools', room)) if n.endswith('.c')]) > FILES_MOST:
        bad.append(f'tools/{room} has more than {FILES_MOST} .c files')
below = {room: linked(room) for room in order}
for i, room in enumerate(order):
    used = {owner[h] for h in includes(room) if h in owner} - {room}
    for up in sorted(r for r in used if order.index(r) > i):
        bad.append(f'core/{room} includes a header of core/{up}, which is above it')
    if used != below[room]:
        bad.append(f'core/{room} includes {sorted(used)}, and is linked with {sorted(below[room])}')
    if said(room) != used:
        bad.append(f'core/{room} includes {sorted(used)}, and its README says that it stands on {said(room)}')
    files = {n.rsplit('.', 1)[0] for n in names(room, ('.c', '.h'))} | set(names(room, '.md')) - {'README.md'}
    if files != listed(room):
        bad.append(f'core/{room}: its README lists, or does not list, {sorted(files ^ listed(room))}')
    visible = reachable(room, below)
    for header in names(room, '.h'):
        if not compiles(header, visible):
            bad.append(f'core/{room}/{header} does not compile alone, with only the rooms that it stands on')
    for header in findable([h for other in order if other not in visible for h in names(other, '.h')], visible):
        bad.append(f'core/{room} can include {header} of core/{owner[header]}')
inner = sorted(f'{r}/{d}' for r in order for d in os.listdir(os.path.join(ROOT, 'core', r))
               if os.path.isdir(os.path.join(ROOT, 'core', r, d)))
if inner != DOUBLES:
    bad.append(f'folders in rooms of core are {inner}, and not {DOUBLES}')
for doubles in inner:
    room = doubles.split('/')[0]
    visible = reachable(room, below)
    if 'In `mem`, for tests:' not in read('core', room, 'README.md'):
        bad.append(f'the README of core/{room} does not say what stands in core/{doubles}')
    for header in names(doubles, '.h'):
        if header in owner:
            bad.append(f'{header} stands in core/{owner[header]} and in core/{doubles}')
        if not compiles(header, visible | {d for d in inner if d.split('/')[0] in visible}):
            bad.append(f'core/{doubles}/{header} does not compile alone, with core/{room}, what that stands on, and their doubles')
        if findable([header], order):
            bad.append(f'the product can include core/{doubles}/{header}')
    for folder, _, files in (w for top in ('core', 'fs', 'tools') for w in os.walk(os.path.join(ROOT, top))):
        path = os.path.join(folder, 'meson.build')
        if 'meson.build' in files and not folder.endswith(tuple('core/' + d for d in inner)):
            with open(path, encoding='utf-8') as f:
                if f'{room}_mem_' in f.read():
                    bad.append(f'{os.path.relpath(path, ROOT)} links core/{doubles}, which is for tests')
for path, header, wrong in [('core/scrub/restore.c', '"check_impl.h"', True), ('core/check/check.c', '"check_impl.h"', False),
                            ('core/view/view.c', '"../flush/flush_impl.h"', True), ('core/view/view.h', '<job_impl.h>', True),
                            ('core/store/store.c', '"gc_store_impl.h"', True), (OPEN_STORE, '"gc_store_impl.h"', False),
                            ('fs/fs.c', '"store_impl.h"', True), ('core/shard/mem/disk_mem.c', '"disk_impl.h"', False)]:
    if bool(intrusions(path, f'/* probe */\n#include {header}\n')) != wrong:
        bad.append(f'an include of {header} in {path} is {"not " if wrong else ""}refused')
for folder, _, files in (w for top in ('core', 'fs', 'tools') for w in os.walk(os.path.join(ROOT, top))):
    for name in (n for n in files if n.endswith(('.c', '.h'))):
        path = os.path.relpath(os.path.join(folder, name), ROOT)
        for header in intrusions(path, read(path)):
            bad.append(f'{path} includes {header}, which is private to another folder')
for room in rooms_tools:  # those of fs: tests/fs/rooms.sh
    text = read('tools', room, 'README.md')
    for name in sorted({n.rsplit('.', 1)[0] for n in os.listdir(os.path.join(ROOT, 'tools', room)) if n.endswith(('.c', '.h'))}):
        if not re.search(rf'`{name}(\.h)?`', text):
            bad.append(f'the README of tools/{room} does not name {name}')
readmes = [os.path.relpath(os.path.join(folder, 'README.md'), ROOT) for top in ('core', 'fs', 'tools')
           for folder, _, files in os.walk(os.path.join(ROOT, top)) if 'README.md' in files]
for path in set(readmes) - {'core/README.md'}:  # that one is of all rooms
    if read(path).count('\n') > README_MOST:
        bad.append(f'{path} has more than {README_MOST} lines')
if len(readmes) < len(order) + 9:
    bad.append(f'too few READMEs: {readmes}')
for line in bad:
    print(line, file=sys.stderr)
sys.exit(1 if bad else 0)
