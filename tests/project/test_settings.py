"""The files that other programs read are what those programs expect."""

import copy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from validate_pyproject.api import Validator
from validate_pyproject.errors import ValidationError

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def check_workflows(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def validate() -> Validator:
    """Checks a pyproject table; one for all tests, since putting it together takes seconds."""
    return Validator()


@pytest.mark.parametrize(
    "schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"]
)
def test_workflows_agree_with_their_schema(schema):
    assert WORKFLOWS
    done = check_workflows(schema, *WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_a_planted_fault_in_a_workflow_is_found(tmp_path):
    planted = tmp_path / "ci.yml"
    planted.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs-at:"))
    assert check_workflows("vendor.github-workflows", planted).returncode == 1


def test_pyproject_agrees_with_the_schemas_of_packaging_and_of_each_tool(validate):
    assert validate(copy.deepcopy(PYPROJECT))["project"]["name"] == "holdfast"


@pytest.mark.parametrize(("table", "key", "value"), [
    (("tool", "cibuildwheel"), "build-frontend", "by hand"),
    (("tool", "scikit-build"), "built-dir", "build"), (("tool", "ruff"), "line-length", "long"),
    (("project",), "classifiers", ["Typing :: Mostly Typed"]),
])  # fmt: skip
def test_a_planted_fault_in_pyproject_is_found(validate, table, key, value):
    planted = copy.deepcopy(PYPROJECT)
    inner = planted
    for name in table:
        inner = inner[name]
    inner[key] = value
    with pytest.raises(ValidationError):
        validate(planted)


def test_wheels_are_built_for_every_supported_python_with_and_without_the_gil():
    assert PYPROJECT["tool"]["cibuildwheel"]["build"] == [
        *(f"cp3{minor}-*" for minor in (11, 12, 13, 14, 15)),
        "cp314t-*",
        "cp315t-*",
    ]
