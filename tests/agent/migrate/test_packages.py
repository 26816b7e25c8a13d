"""`holdfast migrate` names where a project installs a library."""

import pytest

from holdfast.compat.differences import VERSIONS

LIST = """\
tenacity
Tenacity>=8,<10  # retries
limits[redis]==3.0; python_version > "3.8"
    stamina @ https://example.org/stamina.whl
-e ./backoff
# pybreaker
pytest-tenacity
tenacity-extras==1
-r other.txt
"""


def named(report):
    return [(use.line, use.library, use.name) for use in report.uses if use.kind == "requirement"]


@pytest.mark.parametrize(
    "file",
    ["requirements.txt", "requirements-dev.txt", "requirements/base.in", "constraints.txt"],
)
def test_lists_of_requirements_are_read_line_by_line(project, file):
    assert named(project(**{file: LIST})) == [
        (1, "tenacity", "tenacity"),
        (2, "tenacity", "Tenacity>=8,<10  # retries"),
        (3, "limits", 'limits[redis]==3.0; python_version > "3.8"'),
        (4, "stamina", "stamina @ https://example.org/stamina.whl"),
    ]


PYPROJECT = """\
[build-system]
requires = ["setuptools"]
[project]
name = "limits-of-tenacity"
keywords = ["tenacity", "limits"]
dependencies = [
    "tenacity>=8",  # retries
    'limits[redis] ~= 3.0',
]
[project.optional-dependencies]
limits = ["pybreaker", "httpx"]
[dependency-groups]
dev = ["stamina>24", {include-group = "test"}]
[tool.poetry.dependencies]
python = "^3.11"
backoff = "^2"
aiolimiter = {version = "^1", optional = true}
[tool.service]
limits = 5
"""


def test_a_pyproject_is_read_by_its_tables(project):
    assert named(project(**{"pyproject.toml": PYPROJECT})) == [
        (7, "tenacity", "tenacity>=8"),
        (8, "limits", "limits[redis] ~= 3.0"),
        (11, "pybreaker", "pybreaker"),
        (13, "stamina", "stamina>24"),
        (16, "backoff", 'backoff = "^2"'),
        (17, "aiolimiter", 'aiolimiter = {version = "^1", optional = true}'),
    ]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("setup.cfg", "[options]\ninstall_requires =\n    tenacity>=8\n"),
        ("Pipfile", "[packages]\n\ntenacity = '*'\n"),
        ("environment.yml", "dependencies:\n  - python\n  - tenacity=8\n"),
        ("tox.ini", "[testenv]\ndeps =\n    tenacity\n"),
        ("requirements.txt", b"\xef\xbb\xbf\r\n\r\ntenacity\r\n"),
    ],
)
def test_other_lists_are_read_as_well(project, file, text):
    assert [one[:2] for one in named(project(**{file: text}))] == [(3, "tenacity")]


def test_a_setup_py_is_read_by_what_it_requires(project):
    text = """import tenacity
from setuptools import setup
more = REQUIREMENTS = [
    "Limits[redis]>=3",
]
setup(
    name="stamina",
    packages=["backoff"],
    install_requires=["tenacity>=8", "aiolimiter-extra"] + more,
    extras_require={"all": ["pybreaker; python_version > '3.8'"]},
)
"""
    report = project(**{"setup.py": text})
    assert [(use.line, use.kind, use.library) for use in report.uses] == [
        (1, "import", "tenacity"),
        (4, "requirement", "limits"),
        (9, "requirement", "tenacity"),
        (10, "requirement", "pybreaker"),
    ]
    assert b"tenacity>=8" not in b"".join(report.patches)


def test_nothing_of_them_is_changed_and_the_version_of_the_face_is_told(project):
    report = project(**{"requirements.txt": "tenacity==8.0\n"})
    assert report.patches == []
    assert report.uses[0].by_hand.endswith(f"; the face is that of version {VERSIONS['tenacity']}")


def test_a_pyproject_that_is_no_toml_is_a_problem(project):
    report = project("import backoff\n", **{"pyproject.toml": "[tenacity\n"})
    assert [one.reason[:8] for one in report.problems] == ["no TOML:"]
    assert len(report.uses) == 1
