from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from holdfast.agent.demo import client
from holdfast.agent.demo.process import UpstreamError
from holdfast.agent.demo.tally import Face, Verdict
from holdfast.agent.demo.upstream import HOST, Behaviour, Server


@pytest.fixture
def server():
    with Server(0, Behaviour(200, 0.0, 0.0)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server):
    return f"http://{HOST}:{server.server_port}/"


@pytest.fixture
def dead_url():
    with socket.socket() as held:
        held.bind((HOST, 0))  # bound and not listening: connections are refused
        yield f"http://{HOST}:{held.getsockname()[1]}/"


def call_once(face, url, guard=lambda call: call, limit_seconds=30.0):
    """Make one call and return the exception it ended with."""
    try:
        if face is Face.THREADS:
            with client.thread_calls(url, 1, guard, limit_seconds) as call:
                call()
        else:

            async def task():
                async with client.task_calls(url, 1, guard, limit_seconds) as call:
                    await call()

            asyncio.run(task())
    except Exception as error:
        return error
    return None


both_faces = pytest.mark.parametrize("face", list(Face))


@both_faces
def test_a_good_answer_is_a_return(face, url):
    assert call_once(face, url) is None


@both_faces
def test_an_answer_of_a_failing_upstream_is_a_failure(face, server, url):
    server.behaviour = Behaviour(503, 0.0, 0.0)
    assert client.judge(call_once(face, url)) == (Verdict.FAILED, "")


@both_faces
def test_a_refused_connection_is_a_failure(face, dead_url):
    assert client.judge(call_once(face, dead_url)) == (Verdict.FAILED, "")


@both_faces
def test_an_answer_that_comes_too_late_is_a_timeout(face, server, url):
    server.behaviour = Behaviour(200, 0.2, 0.2)
    assert client.judge(call_once(face, url, limit_seconds=0.01)) == (Verdict.TIMED_OUT, "")


def test_what_is_no_trouble_of_the_upstream_is_not_judged():
    assert client.judge(ZeroDivisionError()) is None


@both_faces
def test_a_proxy_of_the_environment_is_not_asked(face, url, dead_url, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", dead_url)
    monkeypatch.setenv("ALL_PROXY", dead_url)
    assert call_once(face, url) is None


@both_faces
def test_the_call_that_is_made_is_the_guarded_one(face, url):
    def refuse(call):
        raise PermissionError("guarded")

    assert isinstance(call_once(face, url, guard=refuse), PermissionError)


def test_the_first_calls_reach_an_upstream_that_is_there(url):
    assert client.first_calls(url) is None


def test_the_first_calls_tell_of_an_upstream_that_is_not(dead_url):
    with pytest.raises(UpstreamError, match=f"{dead_url} does not answer"):
        client.first_calls(dead_url)
