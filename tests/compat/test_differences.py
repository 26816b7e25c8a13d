"""What differs from each library is data that a program can use."""

import sys
from types import ModuleType

import pytest

from holdfast.compat import differences
from holdfast.compat.differences import LIBRARIES, Difference, differences_of


def test_a_library_without_a_face_is_refused_with_those_that_have_one():
    with pytest.raises(ValueError, match=r"library: got 'requests', allowed one of aiobreaker, "):
        differences_of("requests")


def test_the_differences_of_a_library_are_those_of_its_module(monkeypatch):
    module = ModuleType("backoff")
    module.DIFFERENCES = (Difference(("expo",), "It waits."),)
    monkeypatch.setitem(sys.modules, f"{differences.__name__}.backoff", module)
    assert differences_of("backoff") == (Difference(("expo",), "It waits."),)


def test_libraries_are_in_order():
    assert list(LIBRARIES) == sorted(LIBRARIES)
