"""The places of a TOML document are those of what tomllib reads, key by key."""

import random
import tomllib

import pytest

from holdfast.agent.config.reports import Reports
from holdfast.agent.config.toml_file import read_toml

DOCUMENT = """\
title = "a # b = c"
[owner]  # a table
"full name" = 'Tom "x"'
'single' . "quoted\\u0041" = 1
born = 1979-05-27 07:32:00
[servers.alpha]
ports = [ 1, # one
  2,
  [ 3, "]" ],
]
inline = { x = 1, y.z = [ { w = "}" } ], e = {} }
long = \"\"\"
[not] = "a table"
ends \\\" in "\"\"\"\"
raw = '''
a = ''b''''
empty = [""]
[[fruit]]
name = "apple"
[fruit.physical]
color = "red"
[[fruit.variety]]
name = "red delicious"
[[fruit.variety]]
name = "granny smith"
[[fruit]]
name = "banana"
[[fruit.variety]]
name = 'plantain'
"""


def paths(value, path=()):
    """Yield the keys that lead to every value."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*path, number))


def test_every_key_and_every_value_has_its_place():
    tree = read_toml("f", DOCUMENT, Reports())
    assert tree.value == tomllib.loads(DOCUMENT)
    assert set(tree.marks) == set(paths(tree.value))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("title",), (1, 1), (1, 9)),
        (("owner",), (2, 2), (2, 2)),
        (("owner", "full name"), (3, 1), (3, 15)),
        (("owner", "single", "quotedA"), (4, 1), (4, 29)),
        (("servers", "alpha", "ports", 1), (8, 3), (8, 3)),
        (("servers", "alpha", "ports", 2, 1), (9, 8), (9, 8)),
        (("servers", "alpha", "inline", "y", "z", 0, "w"), (11, 29), (11, 33)),
        (("servers", "alpha", "raw"), (15, 1), (15, 7)),
        (("fruit", 0, "physical", "color"), (21, 1), (21, 9)),
        (("fruit", 0, "variety", 1, "name"), (25, 1), (25, 8)),
        (("fruit", 1, "variety", 0, "name"), (29, 1), (29, 8)),
    ],
)
def test_a_place_is_line_and_column(path, key, value):
    marks = read_toml("f", DOCUMENT, Reports()).marks[path]
    assert (marks.key.line, marks.key.column) == key
    assert (marks.value.line, marks.value.column) == value


PIECES = [
    *("a", "b", "c-1", "'q r'", '"s"', " = ", "=", ".", "[", "]", "[[", "]]", "{", "}", ", ", "\n"),
    *("\n[a]\n", "\n[[b]]\n", "\n[a.b]\n", "a = 1\n", "b.c = 2\n", "'x'", '"y"', "'''z\n'''", "1"),
    *('"""w\\""" """', "-1.5e3", "true", "nan", "2026-11-30", "2026-11-30 10:00:00", "# c\n", " "),
    *("[1, 2]", "{a = 1}", "{}", "[]", "[{a = 1}, {b.c = 2}]", '""', "''", "\t"),
]


def test_whatever_tomllib_reads_has_all_its_places():
    chance = random.Random(7)
    read = 0
    for _ in range(6000):
        text = "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 9)))
        try:
            expected = tomllib.loads(text)
        except ValueError:
            continue
        reports = Reports()
        tree = read_toml("f", text, reports)
        assert not reports, text
        # nan is not equal to itself
        assert repr(tree.value) == repr(expected), text
        assert set(tree.marks) == set(paths(expected)), text
        read += len(expected) > 0
    assert read > 100
