"""Run the test suites of other libraries against our faces of them: ``make peers``.

Each suite is fetched by pip with the version that ``suites.toml`` names, unpacked in
``build/peers`` and run unmodified, in a process of its own where the library's name means our face
(``alias``). What cannot pass is listed with its reason in ``docs/migration.md``, under the heading
of the library. Anything else that fails is an error, and so is a listed test that passes.

    python -m tools.peers                            # all suites
    python -m tools.peers tenacity limits            # some
    python -m tools.peers --suite pybreaker=~/pybreaker --tests tests/pybreaker_test.py
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "build" / "peers"
TOOLS = PEERS / "tools"  # what only these suites need: apart, or pytest would load it for ours
PAGE = ROOT / "docs" / "migration.md"
# A suite has its own configuration. What is ours, or reports on what is not under test, stays out.
PYTEST = [
    *("-q", "-p", "peers.alias", "-p", "no:cacheprovider", "-p", "no:holdfast", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-W", "ignore::pytest.PytestUnknownMarkWarning"),
    *("-o", "addopts=", "-o", "asyncio_default_fixture_loop_scope=function"),
]


@dataclass
class Suite:
    """The tests of one library."""

    library: str
    version: str = ""
    tests: list[str] = field(default_factory=lambda: ["tests"])
    options: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    is_wheel: bool = False
    folder: Path | None = None

    def fetch(self) -> None:
        """Have the suite in ``folder``, from pip unless it is there."""
        if self.folder is not None:
            return
        self.folder = PEERS / "suites" / f"{self.library}-{self.version}"
        if self.folder.exists():
            return
        archives = PEERS / "archives"
        kind = "--only-binary" if self.is_wheel else "--no-binary"
        wanted = f"{self.library}=={self.version}"
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--no-deps", kind, self.library, "--dest", str(archives), wanted], check=True
        )
        (archive,) = archives.glob(f"{self.library}-{self.version}*")
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(self.folder)
        else:
            with tarfile.open(archive) as source:
                source.extractall(self.folder.parent, filter="data")

    def run(self) -> tuple[dict[str, str], str]:
        """Run the tests; return the outcome of each, and all that pytest has said."""
        assert self.folder is not None
        report = PEERS / f"{self.library}.txt"
        report.write_text("")
        paths = [str(TOOLS), str(ROOT / "tools")]
        said = subprocess.run(
            [sys.executable, "-m", "pytest", *PYTEST, *self.options, *self.tests],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "HOLDFAST_PEERS": self.library,
                "HOLDFAST_PEERS_MOVED": " ".join(self.moved),
                "HOLDFAST_PEERS_REPORT": str(report),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        ).stdout
        outcomes: dict[str, str] = {}
        for line in report.read_text(encoding="utf-8").splitlines():
            outcome, _, name = line.partition(" ")
            if outcomes.get(name) != "failed":  # a test with subtests ends more than once
                outcomes[name] = outcome
        return outcomes, said

    def check_types(self) -> str:
        """Have pyright read the library's own typed examples; return what it finds."""
        assert self.folder is not None
        if not self.typed:
            return ""
        typed = PEERS / "typed"
        typed.mkdir(exist_ok=True)
        face = ROOT / "src" / "holdfast" / "compat" / self.library
        alias = typed / self.library
        if not alias.exists():
            alias.symlink_to(face)
        settings = typed / f"{self.library}.json"
        examples = ", ".join(f'"{self.folder / example}"' for example in self.typed)
        settings.write_text(
            f'{{"include": [{examples}], "extraPaths": ["{typed}", "{ROOT / "src"}"], '
            '"typeCheckingMode": "standard"}'
        )
        done = subprocess.run(
            [Path(sys.executable).parent / "basedpyright", "--project", settings],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout if done.returncode else ""


def listed(library: str) -> set[str]:
    """Return the tests of a library that ``docs/migration.md`` says cannot pass."""
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    section = re.search(rf"^## {library}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\s]+\.py::[^`]+)`", section[1])) if section else set()


def judge(suite: Suite) -> bool:
    """Run one suite and print how it went; return whether it went as it should."""
    suite.fetch()
    outcomes, said = suite.run()
    failed = {name for name, outcome in outcomes.items() if outcome == "failed"}
    passed = {name for name, outcome in outcomes.items() if outcome == "passed"}
    excused = listed(suite.library)
    wrong = [f"failed: {name}" for name in sorted(failed - excused)]
    wrong += [f"passes, but is listed in {PAGE.name}: {name}" for name in sorted(passed & excused)]
    if not passed:
        wrong.append("no test has passed")
    if findings := suite.check_types():
        wrong.append(f"its typed examples: {findings}")
    print(
        f"{suite.library} {suite.version}: {len(passed)} of {len(passed | failed)} passed"
        + (f", {len(failed & excused)} cannot ({PAGE.name})" if failed & excused else "")
    )
    if wrong:
        print(*[f"    {line}" for line in wrong], said, sep="\n")
    return not wrong


def main() -> int:
    """Run the suites that are asked for; 1 if one did not go as it should."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tools.peers")
    parser.add_argument("libraries", nargs="*", help="the suites of suites.toml; all by default")
    parser.add_argument("--suite", metavar="LIBRARY=FOLDER", help="a suite that is kept elsewhere")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="its tests, in the folder")
    parser.add_argument("--option", action="append", default=[], help="a word for its pytest")
    asked = parser.parse_args()
    if asked.suite:
        library, _, folder = asked.suite.partition("=")
        suites = [Suite(library, "", asked.tests, asked.option, folder=Path(folder).expanduser())]
    else:
        text = (Path(__file__).parent / "suites.toml").read_text(encoding="utf-8")
        suites = [Suite(**suite) for suite in tomllib.loads(text)["suite"]]
        if unknown := set(asked.libraries) - {suite.library for suite in suites}:
            parser.error(f"no suite of {', '.join(sorted(unknown))} in suites.toml")
    wanted = [suite for suite in suites if not asked.libraries or suite.library in asked.libraries]
    PEERS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as two:  # most of their time they sleep
        return 0 if all(list(two.map(judge, wanted))) else 1


if __name__ == "__main__":
    sys.exit(main())
