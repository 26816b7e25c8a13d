"""Processes that listen: when they count as started, and what they leave."""

import sys

import pytest

import holdfast as hf
from examples.market_collector import redis_server
from examples.market_collector.processes import Handle, ListeningProcess, hold_port


def test_a_process_that_ends_instead_of_listening_says_why():
    held = hold_port()
    command = [sys.executable, "-c", "print('no such exchange'); raise SystemExit(3)"]
    process = ListeningProcess("kraken", command, port=held.getsockname()[1])
    with pytest.raises(OSError, match=r"kraken does not listen on port .*: no such exchange"):
        process.start()
    assert not process.running
    held.close()


def test_a_process_that_is_added_before_the_supervisor_starts_runs_with_it():
    supervisor = hf.Supervisor("world")
    held = hold_port()
    port = held.getsockname()[1]
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    handle = Handle(
        supervisor, ListeningProcess("server", [sys.executable, "-c", code], port=port), held
    )
    with pytest.raises(TimeoutError, match="server does not run after 0 s"):
        handle.wait_until_up(0)
    assert handle.pid is None
    with supervisor:
        handle.wait_until_up()
        assert handle.pid is not None
    assert handle.pid is None


def test_a_redis_that_is_not_installed_is_missed_before_anything_starts(monkeypatch):
    supervisor = hf.Supervisor("world")
    monkeypatch.setattr(redis_server, "installed", lambda: None)
    with pytest.raises(FileNotFoundError, match="apt-get install redis-server"):
        redis_server.start_redis(supervisor)
    with pytest.raises(hf.ConfigError, match="memory: got 1000"):
        redis_server.start_redis(supervisor, memory=1000)
    assert not supervisor.status()


def test_a_redis_is_filled_and_cleared(redis):
    assert redis.fill() > 10
    with redis.connect() as connection:
        with pytest.raises(Exception, match="maxmemory"):
            connection.set("x", "x")
        assert redis.clear() > 10
        assert connection.set("x", "x")
        assert connection.config_get("appendonly", "save") == {"appendonly": "no", "save": ""}
