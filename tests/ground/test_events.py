"""Events are told to every listener, in order, in the causing thread, and change nothing."""

import copy
import logging
import pickle
import threading
from collections.abc import Iterator

import pytest

from holdfast import Event
from holdfast.events import RING, Listeners
from tests.waiting.parties import Party


def event(number: int = 0) -> Event:
    return Event("transition", None, "payments", generation=number)


class Heard(list[int]):
    """A listener that remembers the generations it was told."""

    def __call__(self, heard: Event) -> None:
        self.append(heard.generation)


# ---- the event ----


def test_an_event_is_frozen_and_equal_to_one_like_it() -> None:
    policy = object()
    one = Event("transition", policy, "p", old=1, new=2, reason="rate", retry_after=3.0, at=4.0)
    assert one == Event(
        "transition", policy, "p", old=1, new=2, reason="rate", retry_after=3.0, at=4.0
    )
    assert hash(one) == hash(copy.copy(one))
    assert one != event()
    assert one != "event"
    with pytest.raises(AttributeError, match="frozen: cannot set 'kind'"):
        one.kind = "other"
    with pytest.raises(AttributeError, match="frozen: cannot delete 'at'"):
        del one.at
    with pytest.raises(AttributeError):
        one.extra = 1  # type: ignore[attr-defined]


def test_an_event_says_what_happened() -> None:
    one = Event("transition", None, "p", old=1, new=2, reason="rate", retry_after=3.0, at=4.5)
    assert repr(one) == "<Event transition 'p' 1 -> 2 (rate) retry after 3.000 s at 4.500 s>"
    assert repr(Event("reset", None, "p")) == "<Event reset 'p' at 0.000 s>"


def test_an_event_survives_pickling_without_its_policy() -> None:
    one = Event("rejection", threading.Lock(), "p", reason="full", retry_after=1.0, generation=7)
    revived = pickle.loads(pickle.dumps(one))
    assert revived == Event("rejection", None, "p", reason="full", retry_after=1.0, generation=7)


# ---- telling ----


def test_every_listener_is_told_in_the_causing_thread_before_emit_returns() -> None:
    listeners, threads = Listeners(), []
    for _ in range(2):
        listeners.subscribe(lambda _: threads.append(threading.get_ident()))
    listeners.emit(event())
    assert threads == [threading.get_ident()] * 2


def test_an_event_that_nobody_listens_to_is_told_to_nobody() -> None:
    listeners, heard = Listeners(), Heard()
    listeners.emit(event(1))
    listeners.subscribe(heard)()
    listeners.emit(event(2))
    assert heard == []
    assert listeners.dropped == 0


def test_the_same_listener_may_subscribe_twice_and_leave_once() -> None:
    listeners, heard = Listeners(), Heard()
    leave = listeners.subscribe(heard)
    listeners.subscribe(heard)
    listeners.emit(event(1))
    leave()
    listeners.emit(event(2))
    assert heard == [1, 1, 2]


def test_unsubscribing_again_does_nothing() -> None:
    listeners, heard = Listeners(), Heard()
    leave, other = listeners.subscribe(heard), listeners.subscribe(heard)
    leave()
    leave()
    assert len(listeners) == 1
    other()
    assert len(listeners) == 0


@pytest.mark.parametrize("listener", [None, 5, "print"])
def test_a_listener_must_be_callable(listener: object) -> None:
    with pytest.raises(TypeError, match="listener: got "):
        Listeners().subscribe(listener)  # type: ignore[arg-type]


def test_a_listener_must_not_be_a_function_whose_body_nobody_would_run() -> None:
    async def coroutine(_: Event) -> None: ...

    def generator(_: Event) -> Iterator[None]:
        yield

    for listener in (coroutine, generator):
        with pytest.raises(TypeError, match="not a coroutine or generator function"):
            Listeners().subscribe(listener)


def test_a_listener_may_be_removed_and_added_while_events_are_told() -> None:
    # trap 13: modified while iterating
    listeners, heard, late = Listeners(), Heard(), Heard()

    def first(_: Event) -> None:
        leave_second()
        listeners.subscribe(late)

    listeners.subscribe(first)
    leave_second = listeners.subscribe(heard)
    listeners.emit(event(1))
    assert heard == []  # who has left is told nothing more
    assert late == []  # who came after the event is not told of it
    listeners.emit(event(2))
    assert late == [2]
    assert listeners.raised == 0


def test_a_listener_is_added_and_removed_without_a_look_at_the_others() -> None:
    looks = 0

    class Looked(dict[object, None]):
        def __iter__(self) -> Iterator[object]:
            nonlocal looks
            looks += 1
            return super().__iter__()

    listeners, heard = Listeners(), Heard()
    listeners._subscriptions = Looked()  # type: ignore[assignment]
    ends = [listeners.subscribe(heard) for _ in range(10)]
    for end in ends[::2]:
        end()
    assert looks == 0
    listeners.emit(event(1))
    assert (looks, heard) == (1, [1] * 5)


def test_a_listener_that_leaves_while_it_is_told_hears_this_event_and_no_other() -> None:
    listeners, heard = Listeners(), Heard()

    def once(one: Event) -> None:
        heard(one)
        leave()

    leave = listeners.subscribe(once)
    listeners.emit(event(1))
    listeners.emit(event(2))
    assert heard == [1]


def test_what_a_listener_raises_is_logged_and_counted_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # trap 13: a raising listener must not change the outcome
    listeners, heard = Listeners(), Heard()

    def broken(_: Event) -> None:
        raise RuntimeError("broken listener")

    listeners.subscribe(broken)
    listeners.subscribe(heard)
    with caplog.at_level(logging.ERROR, logger="holdfast"):
        listeners.emit(event(1))
    assert heard == [1]
    assert listeners.raised == 1
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "broken listener"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_goes_on_to_the_caller_after_the_others_were_told(
    kind: type[BaseException],
) -> None:
    listeners, heard = Listeners(), Heard()

    def interrupted(one: Event) -> None:
        listeners.emit(event(one.generation + 1)) if one.generation == 1 else None
        raise kind

    listeners.subscribe(interrupted)
    listeners.subscribe(heard)
    with pytest.raises(kind):
        listeners.emit(event(1))
    assert heard == [1, 2]
    assert listeners.raised == 0
    with pytest.raises(kind):
        listeners.emit(event(3))
    assert heard == [1, 2, 3]


def test_an_event_caused_by_a_listener_is_told_after_this_one_to_everybody() -> None:
    # trap 10: never recursively
    listeners, order, depth = Listeners(), [], 0

    def chain(one: Event) -> None:
        nonlocal depth
        depth += 1
        assert depth == 1
        order.append(("chain", one.generation))
        if one.generation < 3:
            listeners.emit(event(one.generation + 1))
        depth -= 1

    listeners.subscribe(chain)
    listeners.subscribe(lambda one: order.append(("other", one.generation)))
    listeners.emit(event(1))
    assert order == [(who, n) for n in (1, 2, 3) for who in ("chain", "other")]


def test_listeners_that_cause_events_without_end_are_cut_off_and_counted() -> None:
    # trap 10, trap 67
    listeners, heard = Listeners(), Heard()
    listeners.subscribe(heard)
    listeners.subscribe(lambda one: listeners.emit(event(one.generation + 1)))
    listeners.emit(event(0))
    assert heard == list(range(RING + 1))
    assert listeners.dropped == 1
    listeners.emit(event(0))
    assert listeners.dropped == 2


def test_events_that_are_never_told_because_logging_was_interrupted_are_counted() -> None:
    listeners, logger = Listeners(), logging.getLogger("holdfast")

    class Interrupted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit

    def broken(one: Event) -> None:
        listeners.emit(event(one.generation + 1))
        raise RuntimeError

    listeners.subscribe(broken)
    handler = Interrupted()
    logger.addHandler(handler)
    try:
        with pytest.raises(SystemExit):
            listeners.emit(event(1))
    finally:
        logger.removeHandler(handler)
    assert listeners.dropped == 1
    assert not listeners._telling


def test_one_thread_telling_does_not_hold_up_another() -> None:
    listeners, heard = Listeners(), Heard()
    entered, go_on = threading.Event(), threading.Event()

    def slow(one: Event) -> None:
        if one.generation == 1:
            entered.set()
            assert go_on.wait(10)

    listeners.subscribe(slow)
    listeners.subscribe(heard)
    thread = threading.Thread(target=listeners.emit, args=(event(1),))
    thread.start()
    assert entered.wait(10)
    listeners.emit(event(2))
    assert heard == [2]
    go_on.set()
    thread.join()
    assert heard == [2, 1]


def test_threads_that_come_and_go_leave_exactly_who_stayed() -> None:
    listeners = Listeners()
    start = threading.Barrier(4)

    def come_and_go() -> None:
        start.wait()
        for number in range(200):
            leave = listeners.subscribe(Heard())
            if number % 10:
                leave()

    for party in [Party(come_and_go) for _ in range(4)]:
        party.result()
    assert len(listeners) == 4 * 20


def test_after_a_fork_a_lock_held_by_a_thread_of_the_parent_holds_nobody_up() -> None:
    # trap 58
    listeners, heard = Listeners(), Heard()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with listeners._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert held.wait(10)
    listeners._after_fork()
    leave = listeners.subscribe(heard)
    listeners.emit(event(1))
    leave()
    assert heard == [1]
    release.set()
    thread.join()
