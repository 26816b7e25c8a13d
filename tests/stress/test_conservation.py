"""Conservation laws under many threads: nothing is lost, nothing is made, nobody gets in too many.

Quick here; `make stress` runs each twenty times as long. Real threads, no sleeping, no timing.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import holdfast as hf

pytestmark = pytest.mark.stress

THREADS = 16


def run_threads(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Run ``work(number)`` in each thread, all let go at once; raise the first failure."""
    barrier = threading.Barrier(threads)
    failures: list[BaseException] = []

    def body(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=body, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


class Gauge:
    """How many are inside by an independent count, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = 0
        self.most = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            with self._lock:
                self.inside -= 1


def settled(snapshot: object) -> int:
    s = snapshot
    return s.succeeded + s.failed + s.ignored + s.abandoned  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "window", [hf.CountWindow(50), hf.TimeWindow(1.0), None], ids=["count", "time", "consecutive"]
)
def test_what_a_breaker_admits_it_settles(window, clock, stress_scale):  # CB-27, CB-28, D-CB-1
    rate = {} if window is None else {"failure_rate": 0.5, "window": window}
    breaker = hf.CircuitBreaker(
        "b", clock=clock, reset_timeout=0.01, half_open_max_calls=2, success_threshold=2, **rate
    )
    calls = 15_000 * stress_scale
    outcomes = [[0, 0, 0, 0] for _ in range(THREADS)]  # returned, raised, neutral, rejected

    @breaker
    def guarded(number: int, turn: int) -> None:
        if turn % 7 == number % 7:
            raise ValueError
        if turn % 11 == 0:
            raise KeyboardInterrupt

    def work(number: int) -> None:
        mine = outcomes[number]
        for turn in range(calls):
            try:
                guarded(number, turn)
                mine[0] += 1
            except ValueError:
                mine[1] += 1
            except KeyboardInterrupt:
                mine[2] += 1
            except hf.CircuitOpenError:
                mine[3] += 1
            if turn % 64 == 0:
                clock.advance(0.002)
            if turn % 501 == 0:
                (breaker.trip, breaker.half_open, breaker.reset)[turn % 3]()

    run_threads(work)
    returned, raised, neutral, rejected = (sum(column) for column in zip(*outcomes, strict=True))
    snapshot = breaker.snapshot()
    assert snapshot.in_flight == 0
    assert snapshot.admitted == settled(snapshot) == returned + raised + neutral
    assert (snapshot.succeeded, snapshot.failed, snapshot.ignored) == (returned, raised, neutral)
    assert snapshot.rejected == rejected
    assert returned + raised + neutral + rejected == THREADS * calls


@pytest.mark.parametrize("places", [1, 2, 5, THREADS - 1, THREADS + 3])
def test_threads_at_once_get_exactly_as_many_probes_as_there_are_places(
    places, clock, stress_scale
):
    # CB-02, trap 7, D-CB-2, D-C-2
    breaker = hf.CircuitBreaker(
        "b", reset_timeout=1, half_open_max_calls=places, success_threshold=places, clock=clock
    )
    probes: list[hf.Permit] = []
    refused: list[hf.CircuitOpenError] = []

    def work(number: int) -> None:
        try:
            probes.append(breaker.acquire())
        except hf.CircuitOpenError as error:
            refused.append(error)

    for turn in range(1, 10 * stress_scale + 1):
        breaker.trip()
        clock.advance(1)
        probes.clear()
        refused.clear()
        run_threads(work)
        assert len(probes) == breaker.snapshot().probes == min(places, THREADS)
        assert len(refused) == THREADS - len(probes)
        while len(probes) < places:  # of more places than threads
            probes.append(breaker.acquire())
        assert breaker.try_call(int).rejection is not None
        for probe in probes:
            probe.success()
        assert breaker.state is hf.State.CLOSED
        changes = breaker.snapshot().state_changes
        assert changes["open->half-open"] == turn


def test_never_more_probes_than_places_and_each_transition_told_once(clock, stress_scale):
    # CB-07, trap 8
    breaker = hf.CircuitBreaker(
        "b",
        failure_threshold=1,
        reset_timeout=0.001,
        half_open_max_calls=3,
        success_threshold=3,
        clock=clock,
    )
    events: list[hf.Event] = []
    breaker.on_event(lambda event: event.kind == "transition" and events.append(event))
    most_probes = [0] * THREADS

    @breaker
    def guarded(number: int, turn: int) -> None:
        most_probes[number] = max(most_probes[number], breaker.snapshot().probes)
        if turn % 5 == 0:
            raise ValueError

    def work(number: int) -> None:
        for turn in range(1_500 * stress_scale):
            try:
                guarded(number, turn)
            except (ValueError, hf.CircuitOpenError):
                clock.advance(0.0001)

    run_threads(work)
    snapshot = breaker.snapshot()
    assert 1 <= max(most_probes) <= 3
    told = Counter(f"{event.old}->{event.new}" for event in events)
    assert {change: n for change, n in snapshot.state_changes.items() if n} == told
    assert len({event.generation for event in events}) == len(events)
    assert snapshot.in_flight == 0
    assert snapshot.probes == 0


def test_a_bucket_issues_burst_and_rate_times_time_and_not_a_token_more(clock, stress_scale):
    # RL-01, trap 36, trap 39, D-RL-3
    limiter = hf.RateLimiter("l", rate=997, per=3.0, burst=31, clock=clock)
    taken = [0] * THREADS
    steps = 15_000 * stress_scale

    def work(number: int) -> None:
        for turn in range(steps):
            n = 1 + turn % 3
            if limiter.try_acquire(n):
                taken[number] += n
            if turn % 8 == 0:
                clock.advance(0.0007)

    run_threads(work)
    elapsed_ns = round(clock.now() * 1e9)
    issued = sum(taken)
    bound = 31 + 997 * elapsed_ns // 3_000_000_000
    assert issued <= bound
    assert issued >= bound - 31  # and none was lost: what is left fits into the bucket
    assert limiter.snapshot().allowed + limiter.snapshot().rejected == THREADS * steps


def test_a_bulkhead_never_holds_more_than_its_places(stress_scale):
    # BH-01, BH-02, trap 33, trap 34, trap 35
    bulkhead = hf.Bulkhead("b", max_concurrent=3, max_waiting=THREADS, max_wait=None)
    gauge = Gauge()

    @bulkhead
    def guarded(turn: int) -> None:
        with gauge.counted():
            if turn % 9 == 0:
                raise ValueError

    def work(number: int) -> None:
        for turn in range(4_000 * stress_scale):
            try:
                guarded(turn)
            except ValueError:
                continue

    run_threads(work)
    snapshot = bulkhead.snapshot()
    assert gauge.most <= 3
    assert (snapshot.active, snapshot.queued) == (0, 0)
    assert snapshot.admitted == snapshot.completed == THREADS * 4_000 * stress_scale


def test_a_pipeline_gives_back_what_an_inner_policy_refuses(clock, stress_scale):
    # trap 6
    breaker = hf.CircuitBreaker("b", failure_threshold=10**6, clock=clock)
    limiter = hf.RateLimiter("l", rate=1, burst=10**8, clock=clock)
    bulkhead = hf.Bulkhead("h", max_concurrent=2, clock=clock)
    pipe = hf.Pipeline("p", breaker, limiter, bulkhead)
    ran, refused = [0] * THREADS, [0] * THREADS

    def work(number: int) -> None:
        def call() -> None:
            ran[number] += 1
            time.sleep(0)  # lets the others in while the place is taken

        for _ in range(2_000 * stress_scale):
            outcome = pipe.try_call(call)
            refused[number] += outcome.rejection is not None

    run_threads(work)
    snapshot = breaker.snapshot()
    assert snapshot.in_flight == 0
    assert bulkhead.in_flight == 0
    assert snapshot.admitted == snapshot.succeeded == sum(ran)
    assert 10**8 - limiter.available == sum(ran)
    assert sum(ran) + sum(refused) == THREADS * 2_000 * stress_scale
    assert sum(refused) > 0
