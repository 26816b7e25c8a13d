import http.client
import os
import signal
import socket
import subprocess
import sys

import pytest

from holdfast.demo import process as process_module
from holdfast.demo.process import PortError, UpstreamError, UpstreamProcess
from holdfast.demo.upstream import HOST, Behaviour
from tests.demo.processes import watch

WELL = Behaviour(0.0, 0.0)
FAILING = Behaviour(0.0, 0.0, failing=1)


def status_at(port):
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def upstream():
    with UpstreamProcess() as upstream:
        yield upstream


def test_it_answers_as_told_from_its_start_on(upstream):
    with pytest.raises(UpstreamError, match="not running"):
        upstream.behave(WELL)
    upstream.kill()  # harmless
    assert upstream.pid is None
    upstream.start(FAILING)
    assert status_at(upstream.port) == 503
    upstream.behave(WELL)
    # The line is read by another thread than answers; it is there within a request or two.
    assert any(status_at(upstream.port) == 200 for _ in range(1_000))


def test_a_killed_upstream_was_killed_by_sigkill_and_refuses_connections(upstream):
    upstream.start(WELL)
    child = upstream._child
    upstream.kill()
    assert child.returncode == -signal.SIGKILL
    assert upstream.pid is None
    with pytest.raises(ConnectionRefusedError):
        status_at(upstream.port)


@pytest.mark.parametrize("held", [True, False])
def test_a_killed_upstream_comes_back_on_its_port(held, monkeypatch):
    if not held:
        monkeypatch.setattr(process_module, "CAN_HOLD_PORTS", False)
    with UpstreamProcess() as upstream:
        comes_back(upstream)


def comes_back(upstream):
    upstream.start(WELL)
    port, before = upstream.port, upstream.pid
    upstream.kill()
    upstream.start(WELL)
    assert (upstream.port, status_at(port)) == (port, 200)
    assert upstream.pid != before


@pytest.mark.skipif(
    not process_module.CAN_HOLD_PORTS, reason="this system gives a bound port to nobody else"
)
def test_nobody_else_gets_the_port_while_the_upstream_is_dead(upstream):
    upstream.start(WELL)
    upstream.kill()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, upstream.port))


def test_a_second_start_is_refused_while_it_runs(upstream):
    upstream.start(WELL)
    with pytest.raises(UpstreamError, match=f"running already, pid {upstream.pid}"):
        upstream.start(WELL)


def test_telling_an_upstream_that_died_unasked_names_its_process(upstream):
    upstream.start(WELL)
    ended = watch(upstream.pid)
    os.kill(upstream.pid, signal.SIGKILL)
    assert ended()
    with pytest.raises(UpstreamError, match=rf"pid {upstream.pid}, is gone"):
        upstream.behave(WELL)


def test_no_process_is_left_after_closing():
    with UpstreamProcess() as upstream:
        upstream.start(WELL)
        ended = watch(upstream.pid)
    assert ended()


def test_an_upstream_that_does_not_leave_is_killed(upstream, monkeypatch):
    monkeypatch.setattr(process_module, "LEAVE_WITHIN_SECONDS", 0.01)
    upstream.start(WELL)
    child = upstream._child
    os.kill(child.pid, signal.SIGSTOP)
    upstream.close()
    assert child.returncode == -signal.SIGKILL


def test_the_terminals_interrupt_does_not_reach_the_upstream(upstream):
    upstream.start(WELL)
    assert os.getsid(upstream.pid) == upstream.pid


PARENT = """
import sys
from holdfast.demo.process import UpstreamProcess
from holdfast.demo.upstream import Behaviour

upstream = UpstreamProcess()
upstream.start(Behaviour(0.0, 0.0))
print(upstream.pid, flush=True)
sys.stdin.read()
"""


def test_the_upstream_dies_with_a_parent_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        ended = watch(int(parent.stdout.readline()))
        parent.kill()
    assert ended()


def test_a_taken_port_is_named_with_the_option_that_asked_for_it():
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=rf"^--port: {port} on 127\.0\.0\.1 is taken; "):
            UpstreamProcess(port)


def test_a_port_that_is_not_allowed_is_refused_with_the_reason(monkeypatch):
    def forbid(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbid)
    with pytest.raises(PortError, match=r"80 on 127\.0\.0\.1 cannot be used: Permission denied"):
        UpstreamProcess(80)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('error Address already in use')", "error Address already in use"),
        ("raise SystemExit('no threads left')", "no threads left"),
        ("pass", "did not start: no output"),
        ("import sys; sys.stdin.read()", r"not ready within 0\.5 s"),
    ],
)
def test_an_upstream_that_does_not_start_is_an_error_with_what_it_said(
    upstream, monkeypatch, tmp_path, program, said
):
    path = tmp_path / "program.py"
    path.write_text(program)
    monkeypatch.setattr(process_module, "READY_WITHIN_SECONDS", 0.5 if "stdin" in program else 60)
    monkeypatch.setattr(process_module.upstream, "__file__", str(path))
    with pytest.raises(UpstreamError, match=said):
        upstream.start(WELL)
    assert upstream.pid is None
