"""The documents say which tests prove what, and the tool that writes them sees what it should."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("citations", ROOT / "tools" / "citations.py")
citations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(citations)

PYTHON = '''\
"""About trap 9, which no comment cites."""

def test_one():  # CB-06, trap 2
    # D-CB-3 is shown by the last line
    assert "GEN-08"

# CB-07
# traps 3, 4 and 5
@decorated
def test_two():
    pass

def helper():  # CB-01
    pass

def test_three():  # EV-08..10, D-C-9..11.
    pass
'''

C = """\
/*
 * A file of tests. RL-01
 */

/* trap 36: checking and taking are one step. */
HF_TEST(a_full_bulkhead_refuses) /* BH-02 */
{
    check("CB-09"); // trap 34
}

HF_TEST(next)
{
}
"""


@pytest.fixture
def tree(tmp_path):
    shutil.copytree(ROOT / "tools" / "specification", tmp_path / "tools" / "specification")
    (tmp_path / "tests" / "c").mkdir(parents=True)
    (tmp_path / "tests" / "test_a.py").write_text(PYTHON)
    (tmp_path / "tests" / "c" / "test_b.c").write_text(C)
    return tmp_path


def cited_by(found, item):
    return [test.name for test in found.get(item, [])]


def test_the_documents_are_up_to_date_and_everything_required_is_cited():
    assert citations.faults(ROOT, citations.citations(ROOT)) == []


@pytest.mark.parametrize(
    ("item", "name"),
    [
        *((item, "test_one") for item in ("CB-06", "trap 2", "D-CB-3")),
        *((item, "test_two") for item in ("CB-07", "trap 3", "trap 5")),
        *((item, "a_full_bulkhead_refuses") for item in ("BH-02", "trap 36", "trap 34")),
        *((item, "") for item in ("CB-01", "RL-01")),
    ],
)
def test_a_citation_belongs_to_the_test_around_or_below_it_or_to_the_file(tree, item, name):
    assert cited_by(citations.citations(tree), item) == [name]


def test_only_comments_cite(tree):
    found = citations.citations(tree)
    assert not {"trap 9", "GEN-08", "CB-09"} & found.keys()


def test_an_item_that_must_be_proven_and_is_not_is_a_fault(tree):
    assert "CB-02: no test cites it" in citations.faults(tree, citations.citations(tree))


def test_a_citation_of_nothing_is_a_fault(tree):
    (tree / "tests" / "test_c.py").write_text("def test_three():  # CB-99, trap 68\n    pass\n")
    found = citations.faults(tree, citations.citations(tree))
    assert "CB-99: no such item, cited in tests/test_c.py: test_three" in found
    assert "trap 68: no such item, cited in tests/test_c.py: test_three" in found


def test_a_document_out_of_date_is_a_fault(tree):
    cited = citations.citations(tree)
    for path, text in citations.documents(tree, cited).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    stale = "docs/traps.md: out of date, run `make docs`"
    assert stale not in citations.faults(tree, cited)
    (tree / "docs" / "traps.md").write_text("old")
    assert stale in citations.faults(tree, cited)


def test_a_document_names_each_item_once_with_its_tests_as_sentences(tree):
    texts = citations.documents(tree, citations.citations(tree)).values()
    lines = [line for text in texts for line in text.splitlines() if line.startswith("- **BH-02**")]
    assert len(lines) == 1
    assert "[a full bulkhead refuses](../tests/c/test_b.c)" in lines[0]


def test_of_many_tests_those_in_different_directories_are_named_first():
    places = [("fuzz", ""), ("c", "one"), ("c", "two"), ("gate", "three"), ("gate", "four")]
    tests = [citations.Test(f"tests/{folder}/test.py", name) for folder, name in places]
    assert [test.name for test in citations.spread(tests)] == ["one", "three", "two", "four", ""]


def test_ranges_of_the_parts_are_spelled_out(tree):
    parts = tree / "tools" / "specification" / "parts.toml"
    parts.write_text('[[part]]\nitems = ["CB-09..11", "trap 2", "D-CB-1..2"]\n')
    assert citations.required(tree) == ["CB-09", "CB-10", "CB-11", "trap 2", "D-CB-1", "D-CB-2"]


def test_a_range_in_a_comment_is_each_of_its_items(tree):
    found = citations.citations(tree)
    for item in ("EV-08", "EV-09", "EV-10", "D-C-9", "D-C-10", "D-C-11"):
        assert cited_by(found, item) == ["test_three"]
    assert not {"EV-07", "EV-11", "D-C-8", "D-C-12"} & found.keys()
