import http.client
import io
import socket
import struct
import threading
from contextlib import ExitStack

import pytest

from holdfast.demo import upstream
from holdfast.demo.schedule import PHASES
from holdfast.demo.upstream import Behaviour

AT_ONCE = Behaviour(0.0, 0.0)


@pytest.fixture
def connection(server):
    connection = http.client.HTTPConnection(upstream.HOST, server.server_port, timeout=30)
    yield connection
    connection.close()


def ask(connection):
    connection.request("GET", "/")
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize("phase", [p for p in PHASES if p.behaviour], ids=lambda p: p.name)
def test_a_behaviour_survives_the_protocol(phase):
    assert Behaviour.parse(phase.behaviour.line()) == phase.behaviour


@pytest.mark.parametrize("line", ["", "0.1", "0.1 0.2 0", "ok 0.2 0 0", "0.1 0.2 0 0 0"])
def test_a_line_that_is_no_behaviour_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        Behaviour.parse(line)


def test_answers_follow_the_behaviour_on_a_connection_kept_open(server, connection):
    assert ask(connection) == (200, b"ok\n")
    kept = connection.sock
    server.behaviour = Behaviour(0.0, 0.0, failing=1)
    assert ask(connection) == (503, b"failing\n")
    assert connection.sock is kept


def test_the_delay_lies_between_its_bounds(server, connection, monkeypatch):
    waited = []
    monkeypatch.setattr(upstream.time, "sleep", waited.append)
    server.behaviour = Behaviour(0.4, 1.2)
    for _ in range(20):
        ask(connection)
    assert all(0.4 <= seconds <= 1.2 for seconds in waited)
    assert len(set(waited)) > 1


def test_a_share_of_the_requests_fails_and_a_share_stalls(monkeypatch):
    drawn = iter([0.19, 0.5, 0.2, 0.009, 0.1, 0.0])
    monkeypatch.setattr(upstream.random, "random", lambda: next(drawn))
    monkeypatch.setattr(upstream.random, "uniform", lambda shortest, longest: longest)
    flaky = Behaviour(0.004, 0.012, failing=0.2, stalling=0.01)
    assert [flaky.draw() for _ in range(3)] == [
        (503, 0.012),
        (200, upstream.STALL_SECONDS),
        (503, upstream.STALL_SECONDS),
    ]


def test_nothing_fails_or_stalls_that_is_not_to_and_everything_that_is(monkeypatch):
    for least_or_most in (0.0, 1 - 2**-53):
        monkeypatch.setattr(upstream.random, "random", lambda drawn=least_or_most: drawn)
        assert Behaviour(0.1, 0.1).draw() == (200, 0.1)
        assert Behaviour(0.1, 0.1, failing=1, stalling=1).draw() == (503, upstream.STALL_SECONDS)


class Work:
    """In place of the workers' sleep: work that takes until it is told to end."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self._ends = threading.Semaphore(0)

    def __call__(self, seconds):
        self.begun.release()
        self._ends.acquire()

    def has_begun(self, times=1):
        return all(self.begun.acquire(timeout=30) for _ in range(times))

    def end(self, times=1):
        self._ends.release(times)


@pytest.fixture
def work(monkeypatch):
    work = Work()
    monkeypatch.setattr(upstream.time, "sleep", work)
    yield work
    work.end(100)


@pytest.fixture
def send(server):
    """What sends a request on a connection of its own and returns that."""
    with ExitStack() as stack:

        def send(path):
            connection = http.client.HTTPConnection(upstream.HOST, server.server_port, timeout=30)
            stack.callback(connection.close)
            connection.request("GET", path)
            return connection

        yield send


class Queue(threading.Semaphore):
    """Workers that tell of everyone who asks for one."""

    def __init__(self):
        super().__init__(upstream.WORKERS)
        self.asked = threading.Semaphore(0)

    def __enter__(self):
        self.asked.release()
        return super().__enter__()


@pytest.fixture
def queue(server):
    return server._workers.setdefault("/a", Queue())


def test_a_request_beyond_the_workers_waits_for_one(send, work, queue):
    for _ in range(upstream.WORKERS):
        send("/a")
    assert work.has_begun(upstream.WORKERS)
    last = send("/a")
    assert all(queue.asked.acquire(timeout=30) for _ in range(upstream.WORKERS + 1))
    assert not work.begun.acquire(blocking=False)
    work.end()
    assert work.has_begun()
    work.end(upstream.WORKERS)
    assert last.getresponse().status == 200


def test_the_workers_of_one_path_are_not_those_of_another(send, work):
    for _ in range(upstream.WORKERS):
        send("/a")
    assert work.has_begun(upstream.WORKERS)
    other = send("/b")
    assert work.has_begun()
    work.end(upstream.WORKERS + 1)
    assert other.getresponse().status == 200


def test_a_request_whose_client_hung_up_keeps_its_worker(send, work, queue, capfd):
    rude = [send("/a") for _ in range(upstream.WORKERS)]
    assert work.has_begun(upstream.WORKERS)
    for connection in rude:
        connection.close()
    polite = send("/a")
    assert all(queue.asked.acquire(timeout=30) for _ in range(upstream.WORKERS + 1))
    assert not work.begun.acquire(blocking=False)
    work.end(upstream.WORKERS + 1)
    assert polite.getresponse().status == 200
    assert capfd.readouterr() == ("", "")


def test_a_request_whose_client_hung_up_while_it_waited_takes_its_turn(send, work):
    for _ in range(upstream.WORKERS):
        send("/a")
    assert work.has_begun(upstream.WORKERS)
    send("/a").close()
    work.end()
    assert work.has_begun()


def test_a_request_that_waited_is_answered_as_the_upstream_behaves_by_then(server, send, work):
    for _ in range(upstream.WORKERS):
        send("/a")
    assert work.has_begun(upstream.WORKERS)
    last = send("/a")
    server.behaviour = Behaviour(0.0, 0.0, failing=1)
    work.end(upstream.WORKERS + 1)
    assert last.getresponse().status == 503


def test_it_listens_on_the_loopback_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_a_client_that_hangs_up_leaves_no_trace(server, connection, capfd):
    rude = socket.create_connection((upstream.HOST, server.server_port))
    rude.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    # Linger 0: closing resets the connection, which the server's read then meets.
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rude.close()
    assert ask(connection) == (200, b"ok\n")
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_its_own_is_told(server, connection, capfd):
    server.behaviour = None
    with pytest.raises(http.client.HTTPException):
        ask(connection)
    server.behaviour = AT_ONCE
    assert ask(connection) == (200, b"ok\n")
    assert "AttributeError" in capfd.readouterr().err


def test_the_program_says_why_it_cannot_listen(server, capsys):
    assert upstream.main([str(server.server_port), *AT_ONCE.line().split()]) == 1
    assert capsys.readouterr().out == "error Address already in use\n"


def test_the_program_is_ready_and_leaves_at_the_end_of_its_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(AT_ONCE.line()))
    assert upstream.main(["0", *AT_ONCE.line().split()]) == 0
    assert capsys.readouterr().out == "ready\n"
