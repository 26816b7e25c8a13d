"""A forked child neither leaves what its parent entered nor is confused by it."""

import os

import pytest

from tests.apart import run_apart

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

CHILD = """
    import os, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork where threads run
    import holdfast as hf

    def in_child(check):
        pid = os.fork()
        if pid == 0:
            try:
                check()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_block_that_forks_is_left_by_the_parent_alone() -> None:  # trap 58
    run_apart(
        CHILD
        + """
    bulkhead = hf.Bulkhead("places", max_concurrent=2)
    breaker = hf.CircuitBreaker("b", failure_threshold=1)

    with bulkhead, breaker:
        pid = os.fork()
        assert bulkhead.in_flight == (1 if pid else 0), bulkhead.in_flight
    assert bulkhead.in_flight == 0
    assert bulkhead.snapshot().over_released == 0
    assert bulkhead.snapshot().completed == (1 if pid else 0)
    if pid == 0:
        with bulkhead, breaker:
            assert bulkhead.in_flight == 1
        assert bulkhead.in_flight == 0
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert breaker.in_flight == 0
    """
    )


def test_entries_made_by_hand_before_a_fork_are_not_found_by_the_childs_exits() -> None:  # trap 58
    run_apart(
        CHILD
        + """
    bulkhead = hf.Bulkhead("places", max_concurrent=2)
    bulkhead.__enter__()

    def check():
        assert bulkhead.in_flight == 0
        bulkhead.__enter__()
        assert bulkhead.in_flight == 1
        bulkhead.__exit__(None, None, None)
        assert bulkhead.in_flight == 0
        try:
            bulkhead.__exit__(None, None, None)
        except RuntimeError:
            pass
        else:
            raise AssertionError("left the parent's entry")

    in_child(check)
    bulkhead.__exit__(None, None, None)
    assert bulkhead.in_flight == 0
    """
    )
