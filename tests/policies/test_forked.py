"""A forked child draws its own luck, and waits for no lock that a thread of its parent held."""

import os

import pytest

from tests.apart import run_apart

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

IN_CHILD = """
    import os
    import warnings

    import holdfast as hf

    def in_child(tell):
        out_of, into = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where threads run
            pid = os.fork()
        if pid == 0:
            try:
                os.write(into, repr(tell()).encode())
            finally:
                os._exit(0)
        os.close(into)
        os.waitpid(pid, 0)
        return os.read(out_of, 1000).decode()
"""


def test_parent_and_children_open_for_different_times():  # trap 58
    run_apart(
        IN_CHILD
        + """
    clock = hf.ManualClock()
    breaker = hf.CircuitBreaker("b", reset_timeout=60, reset_backoff=(1, 600, 1), clock=clock)

    def openings():
        times = []
        for _ in range(5):
            breaker.trip()
            breaker.half_open()
            breaker.acquire().failure()
            times.append(breaker.retry_after)
        return times

    drawn = {in_child(openings), in_child(openings), repr(openings())}
    assert len(drawn) == 3, drawn
    assert len(set(openings())) == 5
    """
    )


def test_a_lock_of_listeners_held_in_the_parent_holds_no_child_up():  # trap 58
    run_apart(
        IN_CHILD
        + """
    import threading

    policies = [hf.CircuitBreaker("b"), hf.RateLimiter("l", rate=1), hf.Bulkhead("k")]
    held, let_go = threading.Event(), threading.Event()

    def hold():
        assert [policy.on_event(print)() for policy in policies] == [None, None, None]
        with policies[0]._listeners._lock, policies[1]._listeners._lock:
            with policies[2]._listeners._lock:
                held.set()
                let_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    told = in_child(lambda: [policy.on_event(print)() for policy in policies])
    let_go.set()
    holder.join()
    assert told == "[None, None, None]", told
    """
    )


def test_a_child_forked_inside_of_a_probe_is_not_inside_of_its_own_next_one():  # trap 58
    run_apart(
        IN_CHILD
        + """
    breaker = hf.CircuitBreaker("b", half_open_max_calls=1, clock=hf.ManualClock())
    breaker.half_open()

    def call_beside_a_probe():
        held = breaker.acquire()
        rejection = breaker.try_call(int).rejection
        held.ignore()
        return type(rejection).__name__

    told = breaker.call(in_child, call_beside_a_probe)
    assert told == "'CircuitOpenError'", told
    """
    )
