import asyncio

import httpx
import pytest

from holdfast.demo import client
from holdfast.demo.process import UpstreamError
from holdfast.demo.tally import Face, Trip, Verdict
from holdfast.demo.upstream import Behaviour
from holdfast.errors import DeadlineExceededError
from holdfast.policies.timeout import Timeout


def call_once(face, url, guard=lambda call: call, limit_seconds=30.0, trip=None):
    """Make one call and return the exception it ended with."""
    trip = trip or Trip()
    try:
        if face is Face.THREADS:
            with client.thread_calls(url, 1, guard, limit_seconds) as call:
                call(trip)
        else:

            async def task():
                async with client.task_calls(url, 1, guard, limit_seconds) as call:
                    await call(trip)

            asyncio.run(task())
    except Exception as error:
        return error
    return None


both_faces = pytest.mark.parametrize("face", list(Face))


@both_faces
def test_a_good_answer_is_a_return(face, url):
    assert call_once(face, url) is None


@both_faces
def test_an_answer_of_a_failing_upstream_and_a_refused_connection_are_failures(
    face, server, url, dead_url
):
    server.behaviour = Behaviour(0.0, 0.0, failing=1)
    for failing in (url, dead_url):
        assert client.judge(call_once(face, failing)) == (Verdict.FAILED, "")


@both_faces
def test_an_answer_that_comes_too_late_is_a_timeout(face, server, url):
    server.behaviour = Behaviour(0.2, 0.2)
    assert client.judge(call_once(face, url, limit_seconds=0.01)) == (Verdict.TIMED_OUT, "")


@both_faces
def test_a_guard_with_a_timeout_ends_the_call_in_time(face, server, url):  # TO-01
    server.behaviour = Behaviour(0.5, 0.5)
    error = call_once(face, url, guard=Timeout(0.01))
    # The thread's client gave up when the deadline came; the task was cut short by the timeout.
    assert isinstance(error, (httpx.TimeoutException, DeadlineExceededError))


@both_faces
def test_the_deadline_of_a_guard_does_not_lengthen_the_clients_own(face, server, url):  # TO-09
    server.behaviour = Behaviour(0.2, 0.2)
    error = call_once(face, url, guard=Timeout(30), limit_seconds=0.01)
    assert isinstance(error, httpx.TimeoutException)


def test_a_deadline_that_has_just_passed_is_no_bad_argument_to_the_client(monkeypatch):
    monkeypatch.setattr(client, "deadline", lambda: -0.5)
    assert client._time_left(0.35) == client.LEAST_TIMEOUT_SECONDS


@both_faces
def test_each_request_is_counted_also_one_that_fails(face, url, dead_url):
    trip = Trip()
    for address in (url, dead_url):
        call_once(face, address, trip=trip)
    assert trip.requests == 2


@both_faces
def test_what_the_upstream_may_get_over_is_worth_another_attempt(face, server, url, dead_url):
    server.behaviour = Behaviour(0.0, 0.0, failing=1)
    failing, refused = (call_once(face, address) for address in (url, dead_url))
    server.behaviour = Behaviour(0.2, 0.2)
    late = call_once(face, url, limit_seconds=0.01)
    assert all(isinstance(error, client.TRANSIENT) for error in (failing, refused, late))


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
