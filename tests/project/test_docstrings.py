"""What docstrings show works, and what is public says what a user has to know of it."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import holdfast as hf

NAMES = [
    "holdfast",
    *(
        module.name
        for module in pkgutil.walk_packages(hf.__path__, "holdfast.")
        if not module.name.endswith("__main__")
    ),
]
PUBLIC = [getattr(hf, name) for name in hf.__all__ if isinstance(getattr(hf, name), type)]
ERRORS = [cls for cls in PUBLIC if issubclass(cls, Exception)]
# Made by holdfast only, so nothing can be built in a doctest of theirs.
NATIVE = [hf.Guard, hf.Outcome, hf.Permit]
MADE = [cls for cls in PUBLIC if cls not in (*ERRORS, *NATIVE, hf.Clock, hf.Policy)]


@pytest.mark.parametrize("name", NAMES)
def test_what_docstrings_show_works(name):
    tried = doctest.testmod(importlib.import_module(name), raise_on_error=True)
    assert tried.failed == 0


@pytest.mark.parametrize("cls", MADE)
def test_each_public_class_shows_its_use_in_few_lines(cls):
    shown = [line for line in cls.__doc__.splitlines() if line.lstrip().startswith((">>>", "..."))]
    assert 1 <= len(shown) <= 4


@pytest.mark.parametrize("cls", [cls for cls in PUBLIC if cls not in ERRORS])
def test_each_public_class_says_who_may_share_it(cls):
    assert any(word in cls.__doc__ for word in ("share", "from any thread"))


@pytest.mark.parametrize("cls", PUBLIC)
def test_each_public_member_is_described(cls):
    described = cls.__doc__
    for name, member in vars(cls).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            assert member.__doc__ or name in described, name


@pytest.mark.parametrize("cls", [cls for cls in MADE if "Args:" in cls.__doc__])
def test_each_argument_is_described(cls):
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    if cls is hf.ManualClock:
        _, *parameters = inspect.signature(cls.__new__).parameters.values()
    described = {line.strip().split(":")[0].lstrip("*") for line in cls.__doc__.splitlines()}
    assert {parameter.name for parameter in parameters} <= described
    assert "Raises:" in cls.__doc__
