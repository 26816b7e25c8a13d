"""Three nodes are harmed: it is noticed, mended and verified, and no message is lost or doubled."""

import asyncio
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.dwcp_node import etcd
from examples.dwcp_node.__main__ import main
from examples.dwcp_node.cluster import NODES, Cluster
from examples.dwcp_node.control import ControlError
from examples.dwcp_node.happenings import Hub
from examples.dwcp_node.play import Player
from examples.dwcp_node.report import Report, Story
from examples.dwcp_node.scenarios import ALL

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = {scenario.name: scenario for scenario in ALL}


class Stage:
    """A cluster that is there for several tests."""

    def __init__(self, folder: Path, *, has_etcd: bool) -> None:
        self.out = io.StringIO()
        self._runner = asyncio.Runner()
        self.report = Report(self.out)
        self.cluster = self._runner.run(self._make(folder, has_etcd))
        self.run(self.cluster.start())
        self.run(self.cluster.until_leader())
        self._player = Player(self.cluster, self.report, seed=1)

    @staticmethod
    async def _make(folder: Path, has_etcd: bool) -> Cluster:
        return Cluster(folder, hub=Hub(), has_etcd=has_etcd)

    def run(self, coroutine):
        return self._runner.run(coroutine)

    def play(self, name: str) -> Story:
        self.out.seek(0)
        self.out.truncate()
        story = self.run(self._player.play(SCENARIOS[name]))
        print(self.out.getvalue())  # pytest shows it if the test fails
        return story

    def close(self) -> None:
        self.run(self.cluster.stop())
        self._runner.close()


@pytest.fixture(scope="module")
def elected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage | None]:
    """Nodes that elect their leader; None where there is no etcd."""
    if etcd.installed() is None:
        yield None
        return
    stage = Stage(tmp_path_factory.mktemp("elected"), has_etcd=True)
    yield stage
    stage.close()


def test_harm_is_done_only_when_all_links_are_up(tmp_path: Path):
    # A link that is not up cannot be lost: nobody would notice what is done to it.
    async def test() -> None:
        cluster = Cluster(tmp_path, hub=Hub(), has_etcd=False)
        answers = iter([OSError("gone"), {"unlinked": ["b"]}, *([{"unlinked": []}] * 3)])

        async def ask(_name: str, _do: str, **_: object) -> object:
            answer = next(answers, None)
            if isinstance(answer, OSError):
                raise answer
            return answer or {"unlinked": ["c"]}

        cluster.ask = ask  # type: ignore[method-assign]
        try:
            await cluster.until_linked(20.0)
            assert next(answers, None) is None
            with pytest.raises(TimeoutError, match="'a': \\['c'\\]"):
                await cluster.until_linked(0.2)
        finally:
            await cluster.stop()

    asyncio.run(test())


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_harm_is_noticed_mended_and_verified_and_no_message_is_lost_or_doubled(
    name: str, elected: Stage | None, require_real: Callable[[str], None]
):  # NX-03, NX-07, NX-22
    if elected is None:
        require_real("there is no etcd on this machine")
        return
    story = elected.play(name)
    assert not story.wrong
    assert story.is_good
    assert story.counts is not None
    assert story.counts.accepted > 0
    assert (story.counts.lost, story.counts.twice, story.counts.given_up) == (0, 0, 0)
    assert story.counts.delivered == story.counts.accepted
    check_what_is_told(elected.out.getvalue())


@pytest.mark.slow
def test_etcd_that_is_killed_again_and_again_is_back_each_time(
    elected: Stage | None, require_real: Callable[[str], None]
):
    if elected is None:
        require_real("there is no etcd on this machine")
        return
    assert [elected.play("etcd").wrong for _ in range(5)] == [[]] * 5


def check_what_is_told(text: str) -> None:
    lines = [line.partition(" s  ")[2].split() for line in text.splitlines() if " s  " in line]
    kinds = [words[0] for words in lines]
    assert kinds[0] == "broken"
    assert kinds[-1] == "counted"
    assert kinds.index("noticed") < kinds.index("verified")
    assert all(re.match("by .* after", " ".join(x[1:])) for x in lines if x[0] == "noticed")


@pytest.mark.slow
def test_without_etcd_the_declared_writer_makes_effects_and_nobody_else(tmp_path: Path):
    stage = Stage(tmp_path, has_etcd=False)
    try:
        assert stage.run(stage.cluster.leader()) == "a"
        assert stage.run(stage.cluster.ask("a", "effect")) == 0  # no election, so no revision
        for other in ("b", "c"):
            with pytest.raises(ControlError, match="NotTheWriter"):
                stage.run(stage.cluster.ask(other, "effect"))
        assert stage.play("kill").is_good
    finally:
        stage.close()


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and str(folder) in (entry / "cmdline").read_text():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def test_the_command_plays_tells_and_leaves_nothing_behind(tmp_path: Path):  # NX-03, NX-22
    has_etcd = etcd.installed() is not None
    names = ["kill", "cut", "depose"] if has_etcd else ["kill", "cut"]
    more = [] if has_etcd else ["--etcd", "none"]
    done = subprocess.run(
        [sys.executable, "-m", "examples.dwcp_node", "--scenario", *names, *more],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        f"all {len(names)} scenarios: noticed, recovered, verified; nothing lost\n"
    )
    assert re.search("node [abc] leads", done.stdout)
    assert (list(tmp_path.iterdir()), processes_of(tmp_path)) == ([], [])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_whatever_ends_the_run_no_node_and_no_etcd_outlives_it(how: signal.Signals, tmp_path: Path):
    running = subprocess.Popen(
        [sys.executable, "-m", "examples.dwcp_node", "--seconds", "600"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    with running:
        for line in running.stdout:
            if "ready" in line:
                break
        assert len(processes_of(tmp_path)) >= len(NODES)
        running.send_signal(how)
        running.stdout.read()
    until = time.monotonic() + 20
    while processes_of(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_of(tmp_path) == []


def test_the_list_names_every_scenario_with_what_is_broken(capsys: pytest.CaptureFixture[str]):
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCENARIOS)
    readme = (ROOT / "examples" / "dwcp_node" / "README.md").read_text()
    for name in SCENARIOS:
        assert f"\n| {name} |" in readme


def test_scenarios_that_need_etcd_are_not_played_without_it(capsys: pytest.CaptureFixture[str]):
    assert main(["--etcd", "none", "--scenario", "depose"]) == 2
    assert "need etcd" in capsys.readouterr().err
