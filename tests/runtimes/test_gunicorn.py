"""gunicorn: policies made in its master, its workers of threads and greenlets, and its end."""

import importlib.util
import sys

import pytest

from tests.runtimes.servers import serving

REPORT = {
    "failures": 1,
    "inside": 1,
    "pool": True,
    "cut": "DeadlineExceededError",
    "limited": 2,
    "retried": "in the end",
}


@pytest.fixture
def gunicorn(tmp_path, require_real):
    def start(*options, **environment):
        for package in "gunicorn", *(option for option in options if option == "gevent"):
            if importlib.util.find_spec(package) is None:
                require_real(f"{package} is not installed")
        at = tmp_path / "socket"
        command = [sys.executable, "-m", "gunicorn", "-b", f"unix:{at}", "application:application"]
        return serving([*command, *options], at, "Booting worker", **environment)

    return start


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_worker_uses_what_the_master_has_made_and_used(worker, gunicorn):
    with gunicorn("--preload", "-k", worker) as server:
        assert server.ask("report") == REPORT | {"forked": True}
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
