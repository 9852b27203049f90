# SPDX-License-Identifier: Apache-2.0
"""Where in C code an expression stands: in the body of a function, compared token by token."""
import functools
import re

TOKEN = re.compile(
    r"""^[ \t]*\#(?:\\\n|[^\n])*            # a line of the preprocessor: no token
      | /\*.*?\*/ | //[^\n]*                # nor is a comment
      | (?P<token> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
          | [A-Za-z_]\w* | \.?[0-9](?:[eEpP][+-]|[\w.])*
          | \.\.\. | <<= | >>= | -> | \+\+ | -- | << | >> | && | \|\|
          | [-+*/%&|^<>=!]= | \S )""", re.S | re.M | re.X)
OPEN, CLOSE = "([{", ")]}"


@functools.lru_cache(maxsize=64)
def tokens(text):
    """What a compiler sees: (token, where it begins, where it ends)."""
    return [(m["token"], m.start(), m.end()) for m in TOKEN.finditer(text) if m["token"]]


def words(text):
    """The tokens alone."""
    return [token for token, _, _ in tokens(text)]


def is_balanced(found):
    """Does each bracket among these tokens have its other one?"""
    depth = []
    for token in found:
        if token in OPEN:
            depth.append(CLOSE[OPEN.index(token)])
        elif token in CLOSE and (not depth or depth.pop() != token):
            return False
    return not depth


def name_before(found, end):
    """Of which function the parameters end at the token before `end`? None: they are no parameters."""
    depth = 0
    for i in range(end - 1, -1, -1):
        depth += (found[i][0] == ")") - (found[i][0] == "(")
        if depth == 0:
            name = found[i - 1][0] if i > 0 else ""
            if name == "__attribute__":
                return name_before(found, i - 1)
            return name if re.fullmatch(r"[A-Za-z_]\w*", name) else None
    return None


@functools.lru_cache(maxsize=None)
def functions(text):
    """The functions that `text` defines: (name, the tokens of its body)."""
    found, depth, begin, all_of_them = tokens(text), 0, None, []
    for i, (token, _, _) in enumerate(found):
        if token == "{":
            if depth == 0 and i > 0 and found[i - 1][0] == ")":
                begin = i + 1
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0 and begin is not None:
                all_of_them.append((name_before(found, begin - 1), found[begin:i]))
                begin = None
    return all_of_them


@functools.lru_cache(maxsize=None)
def definers(tree, folders):
    """function -> the C files that may define it: a line that is not indented names it."""
    found = {}
    for folder in folders:
        for path in sorted((tree / folder).rglob("*.[ch]")):
            if "mem" not in path.relative_to(tree).parts: # doubles of tests
                for line in re.findall(r"^[A-Za-z_].*\(", path.read_text(), re.M):
                    for name in re.findall(r"\w+(?=\()", line):
                        found.setdefault(name, {})[path] = True
    return found


def spans(body, old):
    """Where in `text` the tokens `old` stand in that body: (begin, end) each."""
    for i in range(len(body) - len(old) + 1):
        if [token for token, _, _ in body[i:i + len(old)]] == old:
            yield body[i][1], body[i + len(old) - 1][2]
