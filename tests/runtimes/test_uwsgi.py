"""uWSGI: it forks without telling Python; threads, lazy applications, and its harakiri."""

import os
import pwd
import signal
import sys
from pathlib import Path

import pytest

from tests.runtimes.servers import for_all_users, program, serving
from tests.runtimes.test_gunicorn import REPORT, as_root, directory

__all__ = ["as_root", "directory"]


@pytest.fixture
def uwsgi(tmp_path, require_real):
    def start(*options, **environment):
        if not program("pyuwsgi").exists():
            require_real("pyuwsgi is not installed")
        at = tmp_path / "socket"
        if "--uid" in options:  # who makes it
            at = Path(environment["HOLDFAST_DIR"]).with_name("socket")
        command = [program("pyuwsgi"), "--http-socket", at, "--wsgi-file", "application.py"]
        if "--uid" in options:
            command = [*for_all_users(), *command]
        return serving([*command, "--die-on-term", *options], at, "spawned uWSGI", **environment)

    return start


def test_a_worker_that_python_was_not_told_of_holds_nothing_of_its_master(uwsgi):
    with uwsgi("--master", "--enable-threads") as server:
        server.read_until("spawned uWSGI worker 1")
        assert server.ask("report") == REPORT | {"forked": True}


@pytest.mark.parametrize(
    "options",
    [
        ["--enable-threads"],
        [],  # its threads stand still between two requests
        ["--threads", "2"],
        ["--master", "--lazy-apps"],
    ],
    ids=["threads enabled", "threads not enabled", "threads of its own", "lazy"],
)
def test_an_application_of_one_worker_works(options, uwsgi):
    with uwsgi(*options) as server:
        assert server.ask("report") == REPORT | {"forked": False}
        server.end()


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="uWSGI 2.0.30 dies of this option there")
def test_with_the_option_that_tells_python_a_worker_also_ends(uwsgi):
    with uwsgi("--master", "--enable-threads", "--py-call-osafterfork") as server:
        server.read_until("spawned uWSGI worker 1")
        assert server.ask("report") == REPORT | {"forked": True}
        assert server.end() == 0


def test_what_a_worker_had_counted_survives_its_harakiri(uwsgi, tmp_path):
    directory = tmp_path / "figures"
    directory.mkdir(mode=0o700)
    options = ["--master", "--enable-threads", "--harakiri", "1"]
    with uwsgi(*options, HOLDFAST_DIR=str(directory)) as server:
        server.read_until("spawned uWSGI worker 1")
        hanging = server.send("hang")
        server.read_until("Respawned uWSGI worker 1")
        hanging.close()
        assert server.ask("call") != server.process.pid
        assert server.ask("counted") == {"success": 2, "failure": 1}


def test_all_processes_of_another_user_share_a_directory_of_this_user(as_root, uwsgi, directory):
    directory.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(directory, nobody, -1)
    directory.parent.chmod(0o777)
    options = ["--master", "--enable-threads", "--processes", "2", "--uid", "nobody"]
    with uwsgi(*options, HOLDFAST_DIR=str(directory)) as server:
        server.read_until("spawned uWSGI worker 2")
        for _ in range(4):
            server.ask("call")
        assert server.ask("counted") == {"success": 4, "failure": 1}
        assert server.ask("users") == [nobody, nobody]


def test_workers_with_threads_count_each_call_once_and_their_masters_count_stays(uwsgi, tmp_path):
    directory = tmp_path / "figures"
    directory.mkdir(mode=0o700)
    options = ["--master", "--processes", "2", "--threads", "2", "--harakiri", "2"]
    with uwsgi(*options, HOLDFAST_DIR=str(directory)) as server:
        server.read_until("spawned uWSGI worker 2")
        for _ in range(20):
            assert server.ask("call") != server.process.pid
        assert server.ask("counted") == {"success": 20, "failure": 1}
        # Every thread hangs, and counts one call. A worker has one harakiri clock for all its
        # threads: a thread that ends a request stops the clock of one that hangs already.
        hanging = [server.send("hang") for _ in range(4)]
        for _ in range(2):
            server.read_until("Respawned uWSGI worker")
        for connection in hanging:
            connection.close()
        assert server.ask("counted") == {"success": 24, "failure": 1}
        os.kill(server.ask("call"), signal.SIGKILL)
        server.read_until("Respawned uWSGI worker")
        server.ask("call")
        assert server.ask("counted") == {"success": 26, "failure": 1}
