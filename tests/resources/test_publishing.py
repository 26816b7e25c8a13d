"""Readers outside of the process: a real file and a real Redis, and what goes wrong with them."""

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

import holdfast as hf
from holdfast.resources.performance import PerformanceMonitor
from holdfast.resources.report import CacheFigures
from tests.ports import held_port


@pytest.fixture
def told(clock):
    """Return what makes a monitor with something to tell of, which is stopped in the end."""
    made = []

    def make(publish):
        monitor = PerformanceMonitor("collector", publish=publish, clock=clock)
        made.append(monitor)
        monitor.record_operation("fetch", 0.02, ok=True)
        monitor.record_operation("fetch", 0.04, ok=False)
        monitor.record_worker_health("binance", running=True, errors=3)
        monitor.record_worker_health("kraken", running=False, errors=9)
        monitor.watch_cache("prices", lambda: CacheFigures(3, 1, 0, 2))
        return monitor

    yield make
    for monitor in made:
        monitor.stop()


# ---- a file ----


def test_another_process_reads_the_file(told, tmp_path):  # PM-06
    path = tmp_path / "var" / "performance.json"
    report = told(f"file:{path}").collect()
    read = "import json, sys; print(json.load(open(sys.argv[1]))['keys'].keys())"
    seen = subprocess.run(["python3", "-c", read, path], capture_output=True, text=True, check=True)
    for key in (
        *("performance:system", "performance:application"),
        *("worker_health:binance", "worker_health:kraken"),
    ):
        assert key in seen.stdout
    published = json.loads(path.read_text())
    assert path.read_text().startswith('{"version": 1,')
    keys = published["keys"]
    assert keys["performance:system"]["expires"] == report.time + 300
    assert keys["worker_health:kraken"]["expires"] == report.time + 600
    assert keys["worker_health:kraken"]["value"]["errors"] == 9
    application = keys["performance:application"]["value"]
    assert application["score"] == report.score
    assert application["operations"]["collector/fetch"]["success_rate"] == 0.5
    assert application["caches"]["prices"]["hit_rate"] == 0.75
    assert application["active_workers"] == 1
    assert keys["performance:system"]["value"]["threads"] == report.system.threads


def test_the_file_is_for_this_user_alone_and_replaced_as_a_whole(told, tmp_path):
    folder = tmp_path / "var"
    path = folder / "performance.json"
    monitor = told(f"file://{path}")
    monitor.collect()
    first = path.open()
    monitor.collect()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.load(first)["version"] == 1  # who reads the old one reads it to its end
    first.close()
    assert os.listdir(folder) == ["performance.json"]


def test_a_silent_worker_leaves_the_file_when_its_time_is_over(told, tmp_path, clock):  # PM-06
    path = tmp_path / "performance.json"
    monitor = told(f"file:{path}")
    clock.advance(400)
    report = monitor.collect()
    keys = json.loads(path.read_text())["keys"]
    assert keys["worker_health:binance"]["expires"] == report.time + 200
    clock.advance(200)
    monitor.collect()
    assert "worker_health:binance" not in json.loads(path.read_text())["keys"]


def test_a_file_that_cannot_be_written_is_counted_and_told_once(told, tmp_path, caplog):
    caplog.set_level("INFO", "holdfast")
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    monitor = told(f"file:{blocked}/performance.json")
    for _ in range(3):
        assert monitor.collect().active_workers == 1  # and nothing else has changed
    shown = monitor.snapshot()
    assert (shown.published, shown.publish_failures) == (0, 3)
    assert "Error" in shown.publish_error
    assert [r.holdfast_event for r in caplog.records] == ["publishing_failed"]
    blocked.unlink()
    monitor.collect()
    assert monitor.snapshot().publish_error is None
    assert [r.holdfast_event for r in caplog.records][1:] == ["publishing_recovered"]


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_plain_file_is_left_as_it_is(told, tmp_path, kind):
    path, other = tmp_path / "performance.json", tmp_path / "other"
    other.write_text("precious")
    {
        "link": lambda: path.symlink_to(other),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    before = path.lstat().st_ino
    monitor = told(f"file:{path}")
    monitor.collect()
    assert "no plain file of this user" in monitor.snapshot().publish_error
    assert path.lstat().st_ino == before
    assert other.read_text() == "precious"


def test_a_publication_that_hangs_is_not_waited_for(told, tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.resources.performance._ASK_SECONDS", 0.05)
    go_on, hangs, begun = threading.Event(), threading.Event(), []
    monitor = told(f"file:{tmp_path}/performance.json")
    write = monitor._publisher.publish

    def hang(values, now):
        begun.append(threading.current_thread())
        hangs.set()
        go_on.wait(60)
        write(values, now)

    monkeypatch.setattr(monitor._publisher, "publish", hang)
    monitor.collect()
    assert "no answer within" in monitor.snapshot().publish_error
    monitor.collect()
    assert monitor.snapshot().publish_error == "the publication before still runs"
    assert monitor.stop()
    assert hangs.wait(60)  # its thread may begin late, too
    assert len(begun) == 1
    go_on.set()
    begun[0].join(60)
    monkeypatch.undo()
    monitor.collect()
    assert monitor.snapshot().published == 1


# ---- Redis ----


class RedisServer:
    """A real Redis on loopback."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/1"
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise RuntimeError("redis-server does not listen")

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis(require_real):
    if shutil.which("redis-server") is None:
        require_real("redis-server is not installed")
    try:
        import redis
    except ModuleNotFoundError:
        require_real("redis-py is not installed")
    return redis


@pytest.fixture
def server(redis, tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast.resources.performance._ASK_SECONDS", 60.0)
    monkeypatch.setattr("holdfast.resources.publishing._NETWORK_SECONDS", 60.0)
    with held_port() as port:
        made = RedisServer(tmp_path, port)
        try:
            yield made
        finally:
            made.stop()


def test_another_reader_finds_the_keys_in_redis(told, server, redis):  # PM-06, TS-10
    report = told(server.url).collect()
    reader = redis.Redis.from_url(server.url, decode_responses=True)
    assert set(reader.keys()) == {
        *("performance:system", "performance:application"),
        *("worker_health:binance", "worker_health:kraken"),
    }
    assert 290 < reader.ttl("performance:system") <= 300
    assert 290 < reader.ttl("performance:application") <= 300
    assert 590 < reader.ttl("worker_health:binance") <= 600
    system = json.loads(reader.get("performance:system"))
    assert system["memory_used"] == report.system.memory_used
    application = json.loads(reader.get("performance:application"))
    assert application["total"]["calls"] == 2
    assert application["reasons"] == list(report.reasons)
    assert json.loads(reader.get("worker_health:kraken"))["running"] is False
    reader.close()


def test_a_redis_that_is_gone_is_counted_and_comes_back(told, server, redis, caplog):  # D-C-10
    monitor = told(server.url)
    monitor.collect()
    server.stop()
    monitor.collect()
    monitor.collect()
    shown = monitor.snapshot()
    assert (shown.published, shown.publish_failures) == (1, 2)
    assert len([r for r in caplog.records if "no report in redis://" in r.message]) == 1
    server.start()
    monitor.collect()
    assert monitor.snapshot().published == 2


def test_a_full_redis_refuses_and_nothing_else_changes(told, server, redis):
    monitor = told(server.url)
    client = redis.Redis.from_url(server.url)
    client.config_set("maxmemory", "1")  # an empty Redis has about one megabyte
    client.config_set("maxmemory-policy", "noeviction")
    assert monitor.collect().application.total.calls == 2
    assert "OutOfMemory" in monitor.snapshot().publish_error
    client.config_set("maxmemory", "0")
    monitor.collect()
    assert monitor.snapshot().publish_error is None
    client.close()


def test_a_redis_that_does_not_answer_is_given_up(told, server, redis, monkeypatch):
    monitor = told(server.url)
    client = redis.Redis.from_url(server.url)
    client.execute_command("CLIENT", "PAUSE", "600000", "WRITE")
    with monkeypatch.context() as hasty:
        hasty.setattr("holdfast.resources.publishing._NETWORK_SECONDS", 0.1)
        monitor.collect()
    assert "Timeout" in monitor.snapshot().publish_error
    client.execute_command("CLIENT", "UNPAUSE")
    monitor.collect()
    assert monitor.snapshot().publish_error is None
    client.close()


def test_redis_is_written_to_without_any_lock(told, server, redis):  # D-C-10
    monitor = told(server.url)
    client = redis.Redis.from_url(server.url)
    client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
    looking = threading.Thread(target=monitor.collect)
    looking.start()
    while not monitor.history:  # it is at its publication, or will be
        time.sleep(0.001)
    monitor.record_worker_health("coinbase", running=True, errors=0)  # waits for nothing
    assert monitor.report() is monitor.history[-1]
    client.execute_command("CLIENT", "UNPAUSE")
    looking.join(60)
    assert not looking.is_alive()
    client.close()


def test_stop_closes_the_connection(told, server, redis):
    monitor = told(server.url)
    monitor.collect()
    client = redis.Redis.from_url(server.url)
    assert len(client.client_list()) == 2
    monitor.stop()
    until = time.monotonic() + 60
    while len(client.client_list()) > 1 and time.monotonic() < until:
        time.sleep(0.001)
    assert len(client.client_list()) == 1
    client.close()


def test_a_forked_child_has_a_connection_of_its_own(told, server, redis):
    monitor = told(server.url)
    monitor.collect()
    child = os.fork()
    if child == 0:
        try:
            monitor.collect()
            os._exit(0 if monitor.snapshot().publish_error is None else 1)
        except BaseException:  # pytest must not go on in the child
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    monitor.collect()
    assert monitor.snapshot().publish_error is None


def test_passwords_are_never_shown(told, server, redis, caplog):
    url = server.url.replace("://", "://someone:hunter2@")
    monitor = told(url)
    monitor.collect()  # that server knows no such user
    shown = monitor.snapshot()
    assert shown.publish_failures == 1
    assert "hunter2" not in f"{shown} {monitor!r} {caplog.text}"
    assert shown.publish.endswith(f"someone:***@127.0.0.1:{server.port}/1")
    with pytest.raises(hf.ConfigError) as refused:
        PerformanceMonitor("x", publish="redis://:hunter2@localhost:port")
    assert "hunter2" not in str(refused.value)


def test_redis_without_its_package_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(hf.MissingExtraError, match=r"holdfast\[redis\]"):
        PerformanceMonitor("x", publish="redis://localhost")


@pytest.mark.parametrize("path", ["/shop", "/-1", "/1/x", "/1x"])
def test_a_database_that_is_no_number_is_refused_and_not_left_out(path):
    with pytest.raises(hf.ConfigError, match="publish: got 'redis://localhost:6379/"):
        PerformanceMonitor("x", publish=f"redis://localhost:6379{path}")
