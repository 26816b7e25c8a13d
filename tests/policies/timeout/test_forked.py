"""A child forked under a timeout: it keeps its deadlines and counts nothing of its parent."""

from __future__ import annotations

import os
import threading

import pytest

import holdfast as hf
from tests.apart import in_child
from tests.policies.timeout.timeouts import counts


def test_forked_inside_of_a_call_the_child_keeps_its_deadline_and_counts_nothing(clock):
    # traps 46, 58
    policy = hf.Timeout(2, clock=clock)

    def body() -> str:
        pid = os.fork()
        clock.advance(1)
        assert hf.deadline() == 1
        clock.advance(2)
        return "child" if pid == 0 else str(pid)

    try:
        value = policy.call(body)
    except hf.DeadlineExceededError:
        _, status = os.wait()
        assert os.waitstatus_to_exitcode(status) == 0
        assert counts(policy) == (0, 1, 1, 0)
    else:
        code = 1
        if value == "child" and counts(policy) == (0, 0, 0, 0) and hf.deadline() is None:
            code = 0
        os._exit(code)


def test_a_child_is_in_the_blocks_of_the_thread_that_forked_and_may_leave_them(clock):
    policy = hf.Timeout(2, clock=clock)
    elsewhere, leave = threading.Event(), threading.Event()

    def other() -> None:
        with policy:
            elsewhere.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    elsewhere.wait()
    block = policy
    block.__enter__()

    def check() -> None:
        assert hf.deadline() == 2
        with pytest.raises(RuntimeError):
            block.__exit__(None, None, None)  # the parent's entry, which is closed with that
        assert hf.deadline() is None
        seen: list[object] = []
        threads = [threading.Thread(target=lambda: seen.append(hf.deadline())) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert seen == [None] * 3
        assert counts(policy) == (0, 0, 0, 0)

    in_child(check)
    block.__exit__(None, None, None)
    leave.set()
    thread.join()
    assert counts(policy) == (2, 0, 0, 0)


def test_a_child_that_leaves_a_block_is_not_under_its_deadline_any_more(clock):
    policy = hf.Timeout(2, clock=clock)
    pid = -1
    try:
        with policy:
            pid = os.fork()
        if pid == 0:
            os._exit(0 if hf.deadline() is None and counts(policy) == (0, 0, 0, 0) else 1)
    finally:
        if pid == 0:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert counts(policy) == (1, 0, 0, 0)
