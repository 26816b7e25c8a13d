"""Exchanges and Redis are harmed: it is noticed, the others go on, and nothing is missing after."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.market_collector import redis_server
from examples.market_collector.__main__ import interrupted_once, main
from examples.market_collector.admin import AdminServer
from examples.market_collector.play import Player
from examples.market_collector.report import Report, Story
from examples.market_collector.scenarios import ALL
from examples.market_collector.settings import FILE, read_settings
from examples.market_collector.stage import Stage

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = {scenario.name: scenario for scenario in ALL}
QUICK = ("all", "freeze", "redis")


class Theatre:
    """A stage that is there for several tests."""

    def __init__(self, folder: Path) -> None:
        self.out = io.StringIO()
        self.report = Report(self.out)
        self.stage = Stage(
            folder,
            read_settings(FILE.with_name("scenarios.yaml"), environ={}),
            symbols=4,
            minute=0.5,
            interval=0.1,
            has_redis=redis_server.installed() is not None,
        )
        self.stage.start()
        self._player = Player(self.stage, self.report, seed=1)

    def play(self, name: str) -> Story:
        self.out.seek(0)
        self.out.truncate()
        story = self._player.play(SCENARIOS[name])
        print(self.out.getvalue())  # pytest shows it if the test fails
        return story


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path_factory.mktemp("market"))
    yield theatre
    theatre.stage.stop()
    assert theatre.stage.left() == {}


def check(theatre: Theatre, name: str, require_real: Callable[[str], None]) -> None:
    if SCENARIOS[name].needs_redis and theatre.stage.redis is None:
        require_real("there is no Redis (Debian: redis-server)")
    story = theatre.play(name)
    assert story.wrong == []
    assert story.is_good
    assert story.counts is not None
    assert story.counts.collected > 0
    assert (story.counts.missing, story.counts.wrong_values) == (0, 0)
    lines = theatre.out.getvalue().splitlines()
    kinds = [line.partition(" s  ")[2].split(maxsplit=1)[0] for line in lines if " s  " in line]
    assert kinds[0] == "broken"
    assert kinds[-1] == "counted"
    assert kinds.index("noticed") < kinds.index("verified")


@pytest.mark.parametrize("name", QUICK)
def test_prices_are_complete_after_an_outage_and_no_other_exchange_is_slowed(
    name: str, theatre: Theatre, require_real: Callable[[str], None]
):  # ER-03, ER-04, ER-06, HC-20, RS-07
    check(theatre, name, require_real)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in QUICK])
def test_prices_are_complete_after_any_other_outage(
    name: str, theatre: Theatre, require_real: Callable[[str], None]
):  # ER-03, ER-04, DG-08, D-C-12
    check(theatre, name, require_real)


# ---- the command ----


def test_the_list_names_every_scenario_and_the_readme_explains_each(
    capsys: pytest.CaptureFixture[str],
):
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCENARIOS)
    readme = (ROOT / "examples" / "market_collector" / "README.md").read_text()
    for name in SCENARIOS:
        assert f"\n| {name} |" in readme


def test_a_wrong_setting_is_told_with_its_file_line_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):  # YK-15
    file = tmp_path / "wrong.yaml"
    file.write_text("error_recovery:\n  timeouts:\n    api_call: 10 sceonds\n")
    assert main(["--scenario", "freeze", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert f"{file}:3" in said
    assert "api_call" in said
    assert "10 sceonds" in said


def test_scenarios_of_redis_are_not_played_without_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_server, "installed", lambda: None)
    assert main(["--scenario", "redis", "cache"]) == 2
    assert "left out for want of Redis: redis, cache; " in capsys.readouterr().err


@pytest.mark.parametrize("package", ["redis", "httpx", "yaml"])
def test_a_missing_package_is_told_with_what_installs_it(package: str):
    # In a process of its own: modules that are imported twice are two, and other tests patch one.
    code = f"import sys; sys.modules[{package!r}] = None\n"
    code += "from examples.market_collector.__main__ import main\n"
    code += "sys.exit(main(['--scenario', 'freeze']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install '.[demo]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_builds_the_project_installs_what_the_collector_needs():
    extras = ROOT / "tools" / "requirements.py"
    wanted = subprocess.run(
        [sys.executable, extras, "demo"], check=True, capture_output=True, text=True
    ).stdout
    assert {"httpx", "PyYAML", "pydantic", "redis", "starlette", "uvicorn"} <= {
        re.split("[>;]", line)[0] for line in wanted.splitlines()
    }


def test_a_start_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(AdminServer, "start", lambda _: _interrupted())  # all else runs by then
    stage = Stage(
        tmp_path,
        read_settings(FILE.with_name("scenarios.yaml"), environ={}),
        names=["alpha"],
        has_redis=False,
    )
    with pytest.raises(KeyboardInterrupt):
        stage.start()
    assert not stage.collector.running
    assert stage.left() == {}


def _interrupted() -> None:
    raise KeyboardInterrupt


def test_only_the_first_signal_interrupts_and_none_after_the_end():
    before = signal.getsignal(signal.SIGTERM)
    with interrupted_once() as is_over:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert is_over.is_set()
        signal.raise_signal(signal.SIGINT)
    with interrupted_once() as is_over:
        is_over.set()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def run(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "examples.market_collector", *arguments],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_plays_tells_and_leaves_nothing_behind(tmp_path: Path):
    with run(tmp_path, "--scenario", "kill", "busy") as running:
        out, err = running.communicate(timeout=100)
    assert (running.returncode, err) == (0, "")
    assert out.endswith("all 2 scenarios: noticed, recovered, verified; nothing is missing\n")
    assert "stopped   nothing is left over" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_collector_runs_until_it_is_interrupted_and_leaves_nothing_behind(
    how: signal.Signals, tmp_path: Path
):
    with run(tmp_path) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        end = threading.Timer(100, running.kill)  # only if nothing comes
        end.start()
        for line in running.stdout:
            if re.search("collected [1-9]", line):
                break
        running.send_signal(how)
        time.sleep(0.02)  # the second one comes while everything is being stopped
        running.send_signal(how)
        rest, err = running.stdout.read(), running.stderr.read()
        running.wait()
        end.cancel()
    assert "nothing is left over" in rest
    assert (running.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []
