"""gunicorn: policies made in its master, its workers of threads and greenlets, and its end."""

import grp
import importlib.util
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from tests.runtimes.servers import for_all_users, serving

REPORT = {
    "hedged": True,
    "failures": 1,
    "inside": 1,
    "pool": True,
    "cut": "DeadlineExceededError",
    "limited": 2,
    "retried": "in the end",
}


@pytest.fixture
def gunicorn(tmp_path, require_real):
    def start(*options, app="application", **environment):
        for package in "gunicorn", *(option for option in options if option == "gevent"):
            if importlib.util.find_spec(package) is None:
                require_real(f"{package} is not installed")
        at = tmp_path / "socket"
        command = [sys.executable, "-m", "gunicorn", "-b", f"unix:{at}", f"{app}:application"]
        if "--user" in options:
            command = [*for_all_users(), *command]
        return serving([*command, *options], at, "Booting worker", **environment)

    return start


@pytest.fixture
def as_root(require_real):
    if os.geteuid() != 0:
        require_real("only root starts workers of another user")
    if subprocess.run([*for_all_users(), "true"], check=False, capture_output=True).returncode:
        require_real("no right to mount here (unshare)")
    return "--user", "nobody", "--group", "nogroup"


@pytest.fixture
def directory():
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        yield Path(above) / "holdfast"


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_worker_uses_what_the_master_has_made_and_used(worker, gunicorn):
    with gunicorn("--preload", "-k", worker) as server:
        assert server.ask("report") == REPORT | {"forked": True}
        assert server.end() == 0


# RM-08
@pytest.mark.parametrize("starts", [True, False], ids=["started", "not started"])
def test_a_manager_of_the_master_runs_in_the_workers_that_start_it(starts, gunicorn, tmp_path):
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(
        "def post_worker_init(worker):\n"
        "    import managed_application as app\n"
        f"    app.manager.{'start' if starts else 'snapshot'}()\n"
    )
    with gunicorn("--preload", "-c", str(config), app="managed_application") as server:
        calls = ["a", 2, "d"]
        assert server.ask("report") == {"running": starts, "healthy": starts, "calls": calls}
        assert server.end() == 0


def test_a_worker_of_greenlets_uses_what_it_has_loaded(gunicorn):
    with gunicorn("-k", "gevent") as server:
        assert server.ask("report") == REPORT | {"forked": False}
        assert server.end() == 0


def test_a_worker_that_is_told_to_end_lets_who_waits_for_a_place_wait(gunicorn):
    with gunicorn("-k", "gthread", "--threads", "2") as server:
        waiting = server.send("wait")
        server.read_until("waiting")
        server.process.terminate()
        assert server.answer(waiting) == "BulkheadTimeoutError"
        assert server.process.wait(60) == 0


def test_workers_are_one_to_the_metrics_and_the_master_counts_once(gunicorn, tmp_path):
    directory = tmp_path / "figures"
    directory.mkdir(mode=0o700)
    with gunicorn("--preload", "-w", "2", HOLDFAST_DIR=str(directory)) as server:
        workers = {server.ask("call") for _ in range(4)}
        assert server.ask("counted") == {"success": 4, "failure": 1}
        assert workers
        assert server.end() == 0


@pytest.mark.parametrize("preload", [["--preload"], []], ids=["preloaded", "loaded by each worker"])
def test_workers_of_another_user_share_a_directory_that_belongs_to_this_user(
    as_root, gunicorn, directory, preload
):
    directory.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(directory, nobody, grp.getgrnam("nogroup").gr_gid)
    with gunicorn(*as_root, *preload, "-w", "2", HOLDFAST_DIR=str(directory)) as server:
        if not preload:  # both have loaded it
            server.read_until("Booting worker")
        for _ in range(4):
            server.ask("call")
        loads = 1 if preload else 2
        found = server.ask_until("counted", lambda found: found["failure"] == loads)
        assert found == {"success": 4, "failure": loads}
        assert server.ask("users") == [nobody, nobody]
        assert server.end() == 0
    assert {path.stat().st_uid for path in directory.iterdir()} == {nobody}


def test_workers_of_another_user_in_a_directory_of_root_say_what_to_do(
    as_root, gunicorn, directory
):
    with gunicorn(*as_root, "--preload", HOLDFAST_DIR=str(directory)) as server:
        status, reason = server.status_of("metrics")
        assert status == 500
        assert "belongs to root (user 0), but this process runs as nobody (user " in reason
        assert f"`install -d -m 700 -o nobody {directory}`" in reason
        server.ask("call")  # the policies work


def test_without_preload_a_directory_of_root_stops_the_start_with_the_same_reason(
    as_root, gunicorn, directory
):
    directory.mkdir(mode=0o755)
    with gunicorn(*as_root, HOLDFAST_DIR=str(directory)) as server:
        line = server.read_until("ConfigError: HOLDFAST_DIR")
        assert "belongs to root (user 0), but this process runs as nobody (user " in line


def test_workers_of_asgi_return_the_metrics_of_all_workers(gunicorn, tmp_path):
    directory = tmp_path / "figures"
    options = "-k", "asgi", "-w", "2"
    with gunicorn(*options, app="asgi_application", HOLDFAST_DIR=str(directory)) as server:
        for _ in range(2):  # lines of the workers that have loaded it
            server.read_until("ASGI server listening")
        status, text = server.status_of("metrics")
        assert status == 200
        assert 'requests_total{name="api",result="success"} 2.0' in text


def test_the_master_serves_the_metrics_of_all_workers(gunicorn, tmp_path):
    directory = tmp_path / "figures"
    settings = tmp_path / "gunicorn.conf.py"
    shown = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    blocks = re.findall("```python\n(.*?)```", shown, re.DOTALL)
    [block] = [one for one in blocks if "when_ready" in one]
    called = "serve_metrics(9464)"
    assert called in block
    settings.write_text(
        block.replace(called, "print('metrics at', serve_metrics(0).url, flush=True)")
    )
    options = "-c", str(settings), "-w", "2"
    with gunicorn(*options, HOLDFAST_DIR=str(directory)) as server:
        pids = {server.ask("call") for _ in range(4)}
        [url] = [line.split()[-1] for line in server.lines if line.startswith("metrics at")]
        with urllib.request.urlopen(url, timeout=60) as answer:
            text = answer.read().decode()
        assert 'requests_total{name="api",result="success"} 4.0' in text
        os.kill(pids.pop(), signal.SIGKILL)  # and another worker is forked, beside the server
        server.read_until("Booting worker")
        server.ask("call")
        with urllib.request.urlopen(url, timeout=60) as answer:
            text = answer.read().decode()
        assert 'requests_total{name="api",result="success"} 5.0' in text
        assert server.end() == 0
