"""What docstrings show works, and what is public says what a user has to know of it."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

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

SOURCES = Path(hf.__file__).parent
IDENTIFIER = re.compile(r"\b(?!UTF)[A-Z]{2,3}-\d|\bD-[A-Z]+-\d|\btraps? \d|\bthe specification\b")


def docstrings(source):
    """Yield the texts in a file that users may read: docstrings, and what is quoted as one."""
    text = source.read_text(encoding="utf-8")
    if source.suffix != ".py":
        yield from re.findall(r'"{3}(.*?)"{3}', text, re.DOTALL)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("name", NAMES)
def test_what_docstrings_show_works(name):
    tried = doctest.testmod(importlib.import_module(name), raise_on_error=True)
    assert tried.failed == 0


def test_docstrings_cite_no_identifier_of_the_specification():
    texts = [
        text
        for suffix in ("py", "pyx")
        for source in SOURCES.rglob(f"*.{suffix}")
        for text in docstrings(source)
    ]
    native = [
        getattr(hf, name) for name in ("CircuitBreaker", "Guard", "Outcome", "Permit", "Rejected")
    ]
    texts += [inspect.getdoc(getattr(cls, name)) or "" for cls in native for name in dir(cls)]
    assert len(texts) > 1000
    assert [text for text in texts if IDENTIFIER.search(text)] == []


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


def written(body, owner):
    """Yield the name, the docstring and the object of what a class or a module defines."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and hasattr(owner, node.name):
            yield node.name, ast.get_docstring(node), getattr(owner, node.name)
        elif isinstance(node, ast.If):  # for type checkers
            yield from written(node.body, owner)


def test_editors_show_the_docstrings_of_native_code():
    """They read the stub, and what a class has for type checkers: the same text as help()."""
    stub = ast.parse((SOURCES / "_native" / "gate.pyi").read_text(encoding="utf-8"))
    found = [("gate", *one) for one in written(stub.body, hf._native.gate)]
    for node in stub.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            cls = getattr(hf._native.gate, node.name)
            found.append((node.name, node.name, ast.get_docstring(node), cls))
            found += [(node.name, *one) for one in written(node.body, cls)]
    for cls in (hf.CircuitBreaker, hf.RateLimiter, hf.Bulkhead, hf.Pipeline):
        node = ast.parse(inspect.getsource(cls)).body[0]
        found += [(cls.__name__, *one) for one in written(node.body, cls)]
    public = [one for one in found if not one[1].startswith("_")]
    assert len(public) > 80
    for where, name, text, shown in public:
        if name != "name" and isinstance(getattr(shown, "__doc__", None), str):
            assert text == inspect.getdoc(shown), f"{where}.{name}"


def callables():
    """Yield the name and the function of each public method and function that is Python code."""
    for name in hf.__all__:
        one = getattr(hf, name)
        if inspect.isfunction(one):
            yield name, one
        for base in one.__mro__ if isinstance(one, type) else ():
            if base.__module__.startswith("holdfast") and "_native" not in base.__module__:
                for method, found in vars(base).items():
                    if inspect.isfunction(found) and not method.startswith("_"):
                        yield f"{base.__name__}.{method}", found


@pytest.mark.parametrize(("name", "function"), sorted(dict(callables()).items()))
def test_each_argument_of_a_public_method_is_named_in_its_docstring(name, function):
    named = re.findall(r"\w+", inspect.getdoc(function))
    some = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    missing = {one.name for one in parameters if one.kind not in some} - {"self", "cls", *named}
    assert not missing
