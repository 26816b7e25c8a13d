"""`holdfast migrate` finds each use of a library, and what differs there."""  # RT-18

from types import ModuleType

import pytest


def told(report):
    return [(use.line, use.name) for use in report.uses]


def named(report):
    return [(use.line, use.name) for use in report.uses if use.kind == "name"]


@pytest.mark.parametrize(
    ("statement", "use", "path"),
    [
        ("import tenacity", "tenacity.retry", "tenacity.retry"),
        ("import tenacity as t", "t.retry", "tenacity.retry"),
        ("from tenacity import retry", "retry", "tenacity.retry"),
        ("from tenacity import retry as again", "again", "tenacity.retry"),
        ("import tenacity.stop", "tenacity.stop.stop_any", "tenacity.stop.stop_any"),
        ("import tenacity.stop as s", "s.stop_any", "tenacity.stop.stop_any"),
        ("from tenacity import stop", "stop.stop_any", "tenacity.stop.stop_any"),
        ("from tenacity.stop import stop_any", "stop_any", "tenacity.stop.stop_any"),
        ("import os, tenacity, sys", "tenacity.retry", "tenacity.retry"),
        ("try:\n    import tenacity\nexcept ImportError:\n    tenacity = None",
         "tenacity.retry", "tenacity.retry"),
        ("if 1:\n  from tenacity import retry\nelse:\n  retry = None", "retry", "tenacity.retry"),
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_imported(project, statement, use, path):
    report = project(f"{statement}\n\n\n{use}(1)\n")
    assert named(report) == [(statement.count("\n") + 4, path)]


def test_an_import_within_a_function_is_found_and_holds_there_only(project):
    report = project(
        "def first():\n    from backoff import expo\n    return expo()\n\n\n"
        "def second():\n    return expo()\n"
    )
    assert told(report) == [(2, "from backoff import expo"), (3, "backoff.expo")]


def test_an_import_for_type_checkers_is_one(project):
    report = project(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from limits import RateLimitItem\ndef one(item: 'RateLimitItem') -> None: ...\n"
    )
    assert [use.change for use in report.uses] == [
        "from holdfast.compat.limits import RateLimitItem"
    ]


def test_a_star_brings_the_public_names_of_the_face(project, face):
    face("limits", parse=len, _hidden=len)
    report = project("from limits import *\nparse('1/second')\n_hidden\nother\n")
    assert told(report) == [(1, "from limits import *"), (2, "limits.parse")]


@pytest.mark.parametrize(
    "text",
    [
        "def f(retry):\n    return retry()\n",
        "def f():\n    retry = 1\n    return retry\n",
        "def f():\n    for retry in []: print(retry)\n",
        "f = lambda retry: retry\n",
        "f = lambda *retry: retry\n",
        "f = [retry for retry in []]\n",
        "f = {retry: 1 for retry in []}\n",
        "def f():\n    try: ...\n    except OSError as retry: print(retry)\n",
        "def f():\n    with open('x') as retry: print(retry)\n",
        "def f():\n    def retry(): ...\n    return retry\n",
        "def f():\n    class retry: ...\n    return retry\n",
        "def f():\n    import other as retry\n    return retry\n",
        "def f(x):\n    match x:\n        case [retry, *rest]: print(retry)\n",
        "def f(x):\n    if (retry := x): print(retry)\n",
        "import other\nother.retry\n",
        "from . import tenacity\ntenacity.retry\n",
        "from .tenacity import other\nother\n",
    ],
)
def test_a_name_of_the_program_itself_is_no_use(project, text):
    assert named(project("from tenacity import retry\n" + text)) == []


def test_the_names_of_a_class_are_not_those_of_its_methods(project):
    report = project(
        "from tenacity import retry\nclass A:\n    retry = 1\n    x = retry\n"
        "    def f(self):\n        return retry\n"
    )
    assert named(report) == [(6, "tenacity.retry")]


def test_a_global_name_is_that_of_the_module(project):
    report = project(
        "def load():\n    global tenacity\n    import tenacity\n\n\ndef f():\n"
        "    return tenacity.retry\n"
    )
    assert named(report) == [(7, "tenacity.retry")]


def test_a_chain_of_attributes_is_one_use(project):
    report = project("import tenacity\ntenacity.stop.stop_any(tenacity.stop_never)\n")
    assert named(report) == [(2, "tenacity.stop.stop_any"), (2, "tenacity.stop_never")]


def test_columns_are_counted_in_characters(project):
    report = project("import backoff\nä = 'ö'; backoff.expo\n")
    assert [(use.line, use.column) for use in report.uses] == [(1, 8), (2, 10)]


# ---- what differs ----


class CircuitBreaker:
    def __init__(self, fail_max=5, reset_timeout=60, exclude=None, *, name=None): ...


BREAKER = [
    (("CircuitBreaker.exclude",), "Exclusions."),
    (("CircuitBreaker.call", "CircuitBreaker.calling"), "Calls."),
    (("CircuitBreaker",), "Breakers."),
    (("CircuitBreaker.is_system_error",), "Judges."),
    ((), "Everything."),
]


@pytest.fixture
def breakers(face):
    face("pybreaker", BREAKER, CircuitBreaker=CircuitBreaker, CircuitBreakerError=OSError)


def differing(report):
    return [(use.line, use.differs) for use in report.uses if use.differs]


@pytest.mark.usefixtures("breakers")
class TestWhatDiffers:
    @pytest.mark.parametrize("given", ["exclude=[OSError]", "5, 60, [OSError]", "5, exclude=()"])
    def test_is_told_where_an_argument_is_given(self, project, given):
        report = project(f"import pybreaker\nb = pybreaker.CircuitBreaker({given})\n")
        assert differing(report) == [(2, ("Breakers.", "Exclusions."))]

    def test_is_not_told_of_an_argument_that_is_not_given(self, project):
        report = project("import pybreaker\nb = pybreaker.CircuitBreaker(5, 60)\n")
        assert differing(report) == [(2, ("Breakers.",))]

    @pytest.mark.parametrize(
        "text",
        [
            "b = CircuitBreaker()\nb.call(f)\n",
            "def f():\n    return CircuitBreaker().call(f)\n",
            "b: CircuitBreaker\nb.call(f)\n",
            "def f(b: CircuitBreaker | None):\n    b.call(f)\n",
            "def f(b: 'CircuitBreaker'):\n    b.call(f)\n",
            "class A:\n  def f(s): self.b = CircuitBreaker()\n  def g(self): self.b.call(f)\n",
            "class A:\n    b = CircuitBreaker()\n    def f(self): self.b.call(f)\n",
            "b = c = CircuitBreaker()\nc.call(f)\n",
            "b = c if d else CircuitBreaker()\nb.call(f)\n",
            "class A(CircuitBreaker): ...\nb = A()\nb.call(f)\n",
            "b = CircuitBreaker()\nwith b.calling(): ...\n",
            "@CircuitBreaker()\ndef f(): ...\nf.call(1)\n",
            "b = CircuitBreaker()\n@b\ndef f(): ...\nf.call(1)\n",
        ],
    )
    def test_is_told_where_an_object_is_used(self, project, text):
        report = project("from pybreaker import CircuitBreaker\n" + text)
        assert [use.differs for use in report.uses if "Calls." in use.differs] == [("Calls.",)]

    def test_is_told_of_what_a_loop_yields(self, project, face):
        face("stamina", [(("Attempt.next_wait",), "Pauses.")], retry_context=len, Attempt=int)
        report = project(
            "import stamina\nfor one in stamina.retry_context(on=OSError):\n    one.next_wait\n"
            "for two in [1]:\n    two.next_wait\n"
        )
        assert differing(report) == [(3, ("Pauses.",))]

    def test_is_told_where_a_subclass_overrides(self, project):
        report = project(
            "from pybreaker import CircuitBreaker\nclass A(CircuitBreaker):\n"
            "    def is_system_error(self, error): ...\n"
        )
        assert (3, ("Judges.",)) in differing(report)

    def test_is_told_where_an_argument_of_a_subclass_is_given(self, project):
        report = project(
            "from pybreaker import CircuitBreaker\nclass A(CircuitBreaker): ...\nA(exclude=())\n"
        )
        assert (3, ("Exclusions.",)) in differing(report)

    def test_is_told_at_an_import_of_the_module_it_names(self, project, face):
        face("limits", [(("aio",), "Loops.")], aio=ModuleType("aio"))
        report = project("import limits.aio\nfrom limits.aio import storage\n")
        assert differing(report) == [(1, ("Loops.",)), (2, ("Loops.",))]

    def test_is_not_told_at_an_import_of_a_module_that_is_called_like_a_function(
        self, project, face
    ):
        face("tenacity", [(("retry",), "Retries.")], retry=len)
        report = project("from tenacity.retry import retry_if_result\nfrom tenacity import retry\n")
        assert differing(report) == []

    def test_a_name_that_the_face_does_not_have_is_for_somebody_to_look_at(self, project):
        report = project("from pybreaker import CircuitBreaker, _secret\nimport pybreaker\n"
                         "pybreaker._other\npybreaker.CircuitBreakerError\n")  # fmt: skip
        assert [(use.line, use.by_hand) for use in report.uses if use.by_hand] == [
            (1, "the face has no _secret"), (3, "the face has no such name")
        ]  # fmt: skip


# ---- what modules of the project give to one another ----

SHARED = "import pybreaker\nbank = pybreaker.CircuitBreaker()\n"


@pytest.mark.usefixtures("breakers")
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("other.py", "from breakers import bank\nbank.call(f)\n"),
        ("other.py", "from breakers import bank as b\nb.call(f)\n"),
        ("other.py", "import breakers\nbreakers.bank.call(f)\n"),
        ("other.py", "import breakers as b\nb.bank.call(f)\n"),
        ("pkg/other.py", "from breakers import bank\nbank.call(f)\n"),
        ("breakers_too.py", "from breakers import (\n    bank,\n)\nbank.call(f)\n"),
    ],
)
def test_a_breaker_of_another_module_is_known(project, file, text):
    report = project(**{"breakers.py": SHARED, "pkg/__init__.py": "", file: text})
    found = [use for use in report.uses if use.file.endswith(file)]
    assert [use.differs for use in found] == [("Calls.",)]


@pytest.mark.usefixtures("breakers")
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("src/pkg/other.py", "from .breakers import bank\nbank.call(f)\n"),
        ("src/pkg/other.py", "from . import breakers\nbreakers.bank.call(f)\n"),
        ("src/pkg/sub/other.py", "from ..breakers import bank\nbank.call(f)\n"),
        ("src/pkg/sub/other.py", "from pkg.breakers import bank\nbank.call(f)\n"),
        ("src/pkg/sub/other.py", "import pkg.breakers\npkg.breakers.bank.call(f)\n"),
        ("src/pkg/other.py", "from . import bank\nbank.call(f)\n"),
        ("src/pkg/other.py", "from pkg import bank\nbank.call(f)\n"),
        ("tests/test_it.py", "import pkg\npkg.bank.call(f)\n"),
    ],
)
def test_a_breaker_of_a_package_is_known(project, file, text):
    init = "from .breakers import bank\n"
    report = project(**{
        "src/pkg/__init__.py": init, "src/pkg/sub/__init__.py": "",
        "src/pkg/breakers.py": SHARED, file: text,
    })  # fmt: skip
    found = [use for use in report.uses if use.file.endswith(file)]
    assert [use.differs for use in found] == [("Calls.",)]


def test_a_name_of_a_library_that_another_module_has_imported_is_a_use(project):
    report = project(**{
        "compat.py": "try:\n    from tenacity import retry\nexcept OSError:\n    retry = None\n",
        "service.py": "from compat import retry\n\n\n@retry\ndef f(): ...\n",
        "client.py": "from service import f\nf()\n",
    })  # fmt: skip
    found = [(use.file[-10:], use.line, use.name) for use in report.uses if use.kind == "name"]
    assert found == [("service.py", 4, "tenacity.retry")]


def test_modules_that_import_one_another_in_a_circle_end(project):
    report = project(**{
        "a.py": "from b import retry\nretry\n", "b.py": "from a import retry\nretry\n",
        "c.py": "import tenacity\nfrom d import again\nretry = tenacity.retry\n",
        "d.py": "from c import retry\nagain = retry\n",
    })  # fmt: skip
    assert [use.name for use in report.uses if use.file.endswith("d.py")] == ["tenacity.retry"]


# ---- strings ----


@pytest.mark.parametrize(
    "text",
    [
        "import_module('tenacity')",
        "import_module('.stop', 'tenacity')",
        "import_module('.stop', package='tenacity')",
        "importlib.import_module('tenacity.stop')",
        'pytest.importorskip("tenacity")',
        "mock.patch('tenacity.nap.time.sleep')",
        "mocker.patch('tenacity.nap.time.sleep', f)",
        "monkeypatch.setattr('tenacity.nap.time', f)",
        "mock.patch(target='tenacity.nap.time.sleep')",
        "patch.multiple('tenacity', sleep=f)",
        "mock.patch.multiple(target='tenacity.nap', sleep=f)",
        "mocker.patch.dict('tenacity.nap.__dict__', sleep=f)",
        "import_module(name='tenacity.stop')",
        "sys.modules['tenacity']",
        "sys.modules.pop('tenacity', None)",
        "monkeypatch.setitem(sys.modules, 'tenacity', None)",
    ],
)
def test_a_module_that_is_named_by_a_string_is_found_and_changed(project, text):
    report = project(f"x = {text}\n")
    [use] = report.uses
    assert use.kind == "string"
    assert use.change == use.name.replace("tenacity", "holdfast.compat.tenacity", 1)


def test_the_path_of_something_public_in_any_string_is_for_somebody_to_look_at(project, face):
    face("limits", RateLimitItem=int)
    report = project("x = ['limits.RateLimitItem', 'limits', 'limits.cpu', 'limits are set']\n")
    assert [(use.name, use.change, bool(use.by_hand)) for use in report.uses] == [
        ("'limits.RateLimitItem'", "", True)
    ]


@pytest.mark.parametrize("text", ["client.patch('limits')", "setattr(x, 'limits', 1)"])
def test_a_word_that_is_no_path_is_no_use(project, text):
    assert project(f"x = {text}\n").uses == []


@pytest.mark.parametrize("name", ["limits.json", "limits.no_such_name"])
def test_a_path_that_the_face_does_not_have_is_not_changed(project, face, name):
    face("limits", parse=len)
    report = project(f"client.patch('{name}')\n")
    assert (report.patches, [bool(use.by_hand) for use in report.uses]) == ([], [True])


def test_a_module_that_is_imported_by_dunder_import_is_for_somebody_to_change(project):
    [use] = project("x = __import__('limits')\n").uses
    assert not use.change
    assert "importlib.import_module" in use.by_hand


# ---- modules of the project ----


@pytest.mark.parametrize("own", ["limits.py", "limits/__init__.py", "src/limits.py"])
def test_a_module_of_the_project_is_no_library(project, own):
    report = project("import limits\nimport backoff\n", **{own: ""})
    assert told(report) == [(2, "import backoff")]
    assert [*report.own] == ["limits"]


def test_a_module_within_a_package_is_not_in_the_way_of_the_library(project):
    report = project("import limits\n", **{"pkg/__init__.py": "", "pkg/limits.py": "x = 1\n"})
    assert told(report) == [(1, "import limits")]


def test_a_module_beside_the_outermost_package_is_that_of_the_project(project, tmp_path):
    files = {"limits.py": "", "pkg/__init__.py": "", "pkg/a.py": "import limits\n"}
    report = project(**{f"lib/{name}": text for name, text in files.items()})
    assert report.own == {"limits": [str(tmp_path / "lib/pkg/a.py")]}
