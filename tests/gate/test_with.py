"""`with policy:` holds what its own entry was given, whoever else enters the same policy."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from holdfast import CircuitBreaker, Pipeline
from tests.gate.parts import fates, half_open, places, tripping
from tests.waiting.parties import Party


def test_a_block_left_by_return_break_or_continue_is_a_success() -> None:
    breaker = CircuitBreaker("b")

    def by_return() -> str:
        with breaker:
            return "value"

    assert by_return() == "value"
    for turn in range(2):
        with breaker:
            if turn == 0:
                continue
            break
    assert fates(breaker) == {"succeeded": 3}


def test_nested_blocks_of_one_policy_leave_their_own_entries() -> None:
    # The probe is the outer block; only its own end may count as the probe's.
    breaker = half_open(half_open_max_calls=2, success_threshold=2)
    with breaker:
        with contextlib.suppress(KeyError), breaker:
            raise KeyError
        assert breaker.state.value == "open"  # the inner probe failed
    assert breaker.snapshot().late == 1
    assert fates(breaker) == {"failed": 1, "succeeded": 1}


def test_blocks_that_interleave_leave_their_own_entries() -> None:  # trap 5
    """Two generators hold one policy each; the first to enter is the last to leave."""
    breaker, bulkhead = CircuitBreaker("b", failure_threshold=100), places()

    def stream(error: type[Exception] | None) -> Iterator[int]:
        with breaker, bulkhead:
            yield 1
            if error:
                raise error

    failing, passing = stream(LookupError), stream(None)
    assert next(failing) == next(passing) == 1
    assert bulkhead.in_flight == 2
    assert list(passing) == []
    assert fates(breaker) == {"succeeded": 1}
    with pytest.raises(LookupError):
        next(failing)
    assert fates(breaker) == {"succeeded": 1, "failed": 1}
    assert bulkhead.in_flight == 0


def test_a_generator_closed_inside_its_block_proves_nothing() -> None:  # trap 5
    breaker, bulkhead = CircuitBreaker("b"), places()

    def stream() -> Iterator[int]:
        with breaker, bulkhead:
            yield 1

    one, other = stream(), stream()
    next(one)
    next(other)
    one.close()
    del other
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"ignored": 2}


def test_threads_share_one_policy_and_each_leaves_what_it_entered() -> None:
    breaker, bulkhead = CircuitBreaker("b", failure_threshold=None, failure_rate=1.0), places(8)
    inside = threading.Barrier(8)

    def work(number: int) -> None:
        for turn in range(200):
            try:
                with breaker, bulkhead:
                    if turn == 0:
                        inside.wait()
                    if (number + turn) % 2:
                        raise LookupError
            except LookupError:
                pass

    for party in [Party(work, number) for number in range(8)]:
        party.result()
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"succeeded": 800, "failed": 800}


def test_a_block_of_a_policy_that_is_off_runs() -> None:
    breaker = tripping(mode="off")
    breaker.force_open()
    with breaker, Pipeline("off", breaker):
        pass
    assert fates(breaker) == {}


def test_the_entry_outlives_the_name_of_its_policy() -> None:
    closed = []

    def work() -> None:
        bulkhead = places()
        kernel = bulkhead._kernel
        with bulkhead:
            del bulkhead
            assert kernel.in_flight() == 1
        closed.append(kernel.in_flight())

    work()
    assert closed == [0]
