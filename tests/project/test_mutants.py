"""The list of planted faults fits the code: a line that changed would be planted nowhere."""

import re
from pathlib import Path

import pytest

from tools.mutants import native

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = native.mutants()
PROGRAMS = [path.stem for path in (ROOT / "tests" / "c").glob("*_*.c")]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_fault_has_one_place_and_tests_that_must_find_it(mutant):
    assert native.place(mutant) is not None
    assert mutant.before != mutant.after
    if mutant.ctest:
        assert any(re.search(mutant.ctest, program) for program in PROGRAMS)
    else:
        for argument in mutant.pytest.split():
            assert not argument.startswith("tests/") or (ROOT / argument.split("::")[0]).exists()


def test_every_planted_fault_has_a_name_of_its_own():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_line_that_is_not_there_or_more_than_once_has_no_place():
    assert native.place(MUTANTS[0]._replace(before="no such line")) is None
    assert (
        native.place(MUTANTS[0]._replace(before="return", file="csrc/holdfast/hf_clock.h")) is None
    )
    assert native.place(MUTANTS[0]._replace(file="csrc/no_such_file.h")) is None
    assert native.place(MUTANTS[0]._replace(file="csrc/holdfast/*.h")) is not None


def test_a_fault_proves_nothing_if_its_tests_fail_without_it(monkeypatch):
    monkeypatch.setattr(native, "controls", {})
    monkeypatch.setattr(native.tree, "COPY", ROOT)
    monkeypatch.setattr(native.tree, "control", lambda tests: (60, "1 failed"))
    assert native.judge(MUTANTS[0], lambda: "", ("ctest",), "") == ("void", "1 failed")
