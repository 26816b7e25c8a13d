"""The wheel built from the source distribution is complete, lean, and passes the tests."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(350)]


def run(*command: object, **settings: object) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    """Where the source distribution lies, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def python(distributions, tmp_path_factory) -> Path:
    """An interpreter with the wheel installed, and what the tests need from this one."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    [wheel] = distributions.glob("*.whl")
    run(sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps", wheel)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # A path file adds its folders behind the wheel's, and runs no path file found in them: the
    # editable package of this interpreter stays out.
    Path(site, "tools-of-the-tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def contents(distributions: Path) -> list[str]:
    [wheel] = distributions.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_source_distribution_holds_what_the_wheel_is_built_from_and_its_tests(distributions):
    [archive] = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = [*ROOT.glob("csrc/**/*.[ch]"), *ROOT.glob("src/**/*.p*[yxdi]"), *ROOT.glob("cmake/*")]
    for folder in ("tests", "tools", "examples", ".github"):
        for suffix in ("py", "[ch]", "toml", "yml"):
            wanted += ROOT.glob(f"{folder}/**/*.{suffix}")
    assert {path.relative_to(ROOT).as_posix() for path in wanted} <= names
    single = {"CMakeLists.txt", "pyproject.toml", "LICENSE", "README.md", "Makefile"}
    assert {*single, "tools/find-python"} <= names


def test_the_wheel_holds_each_module_with_its_stub(distributions):
    names = contents(distributions)
    native = ROOT / "src" / "holdfast" / "_native"
    stems = {path.stem for path in native.glob("*.pyx")} | {"gate"}
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for stem in stems:
        assert f"holdfast/_native/{stem}{suffix}" in names
        assert f"holdfast/_native/{stem}.pyi" in names
    assert "holdfast/py.typed" in names


def test_the_wheel_holds_nothing_that_is_only_needed_to_build_it(distributions):
    suffixes = {Path(name).suffix for name in contents(distributions)}
    assert not suffixes & {".pyx", ".pxd", ".c", ".h", ".cpp", ".txt.in"}
    tops = {name.split("/")[0] for name in contents(distributions)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "holdfast",
        "pytest_holdfast",
    }


def test_the_wheel_runs(python, tmp_path):
    say = "import holdfast; print(holdfast.__version__, holdfast.__file__)"
    version, file = run(python, "-W", "error", "-c", say, cwd=tmp_path).split()
    assert version in (ROOT / "src" / "holdfast" / "_version.py").read_text()
    assert Path(file).is_relative_to(python.parents[1])
    assert version in run(python.parent / "holdfast", "--version", cwd=tmp_path)


FLOORS = sorted(
    {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    - {"project", "fuzz", "stress"}
)


@pytest.mark.parametrize("floor", FLOORS)
def test_the_wheel_passes_the_tests(python, floor):
    run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{floor}",
        "-m", "not slow and not stress and not fuzz",
        cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
