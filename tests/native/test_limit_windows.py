"""The windows of rate limit items by key: against their models, and what tables promise besides."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
import threading
import weakref
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast._native.bucket import SlidingWindow, TokenBucket
from holdfast._native.clock import Clock, ManualClock
from holdfast._native.limit_windows import (
    CounterWindows,
    FixedWindows,
    Item,
    Limiter,
    MovingWindows,
    Plan,
    Tally,
    own_methods,
)
from tests.models import limit_windows as model

SECOND = 10**9
MINUTE = 60 * SECOND
TABLES: dict[str, tuple[Any, type[model.Window]]] = {
    "fixed": (FixedWindows, model.FixedWindow),
    "moving": (MovingWindows, model.MovingWindow),
    "counter": (CounterWindows, model.WindowCounter),
}
every_kind = pytest.mark.parametrize("kind", TABLES)


class PerMinute(Item):
    """An item as the face has them: slots, and what it means asked for by the table."""

    __slots__ = ()

    def __init__(self, amount: int, namespace: str = "LIMITER") -> None:
        self.namespace, self.amount, self.multiples = namespace, amount, 1

    def key_for(self, *ids: object) -> str:
        return "/".join([self.namespace, *map(str, ids), f"{self.amount}/1/minute"])

    def get_expiry(self) -> int:
        return 60


def plan_of(item: Any) -> Plan:
    return Plan(f"{item.namespace}/", f"{item.amount}/{item.multiples}/minute", item.amount, MINUTE)


def itself(item: object) -> None:
    """Say that an item has no plan, and is to be asked."""


def table_of(kind: str, clock: Any = None, plans: Any = plan_of, **settings: Any) -> Any:
    return TABLES[kind][0](plans, clock or ManualClock(10**15), **settings)


def looked_at(kind: str, table: Any, key: str, limit: int, per_ns: int) -> Any:
    return table.look(
        *{"fixed": (key,), "moving": (key, limit, per_ns), "counter": (key, per_ns)}[kind]
    )


# ---- as the models say ----

ENDS = st.sampled_from([1, 7, SECOND, SECOND + 3, MINUTE])


class Machine(RuleBasedStateMachine):
    kind = ""

    @initialize(now_ns=st.integers(0, 2**60), phase_ns=st.integers(-(2**60), 2**60))
    def start(self, now_ns: int, phase_ns: int) -> None:
        self.clock = ManualClock(now_ns)
        self.phase_ns = phase_ns if self.kind == "counter" else 0
        more = {"phase_ns": phase_ns} if self.kind == "counter" else {}
        self.table = table_of(self.kind, self.clock, **more)
        self.models = {key: TABLES[self.kind][1]() for key in "abc"}
        self.per_ns = SECOND

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns() + self.phase_ns

    @rule(per_ns=ENDS)
    def have_another_span(self, per_ns: int) -> None:
        self.per_ns = per_ns

    @rule(spans=st.floats(0, 2.2))
    def wait(self, spans: float) -> None:
        self.clock.advance_ns(int(spans * self.per_ns))

    @rule(part=st.sampled_from([0, 1, 2, 3]))
    def wait_until_a_window_ends(self, part: int) -> None:
        """Right before, right at and right after the end of a window that is aligned (trap 24)."""
        left = -self.now_ns % self.per_ns
        self.clock.advance_ns(max(0, left - 1 + part))

    @rule(key=st.sampled_from("abc"), n=st.integers(0, 5), limit=st.integers(-1, 6))
    def hit(self, key: str, n: int, limit: int) -> None:
        expected = self.models[key].hit(n, limit, self.per_ns, self.now_ns)
        assert self.table.hit_text(key, limit, self.per_ns, n) == expected

    @rule(key=st.sampled_from("abc"))
    def clear(self, key: str) -> None:
        self.table.clear(key)
        self.models[key] = TABLES[self.kind][1]()

    @rule()
    def sweep(self) -> None:
        self.table.sweep()

    @rule()
    def go_on_in_another_table(self) -> None:
        dumped = self.table.dump()
        more = {"phase_ns": self.phase_ns} if self.kind == "counter" else {}
        self.table = table_of(self.kind, self.clock, **more)
        self.table.load(pickle.loads(pickle.dumps(dumped)))
        assert sorted(self.table.dump()) == sorted(dumped)

    @invariant()
    def agrees_with_the_model(self) -> None:
        for key, window in self.models.items():
            expected = window.look(self.per_ns, self.now_ns)
            assert looked_at(self.kind, self.table, key, 6, self.per_ns) == expected
            for n in range(7):
                fits = window.test(n, 5, self.per_ns, self.now_ns)
                assert self.table.test_text(key, 5, self.per_ns, n) == fits


class FixedMachine(Machine):
    kind = "fixed"

    @rule(key=st.sampled_from("abc"), n=st.integers(-3, 4))
    def add(self, key: str, n: int) -> None:
        window = self.models[key]
        assert isinstance(window, model.FixedWindow)
        assert self.table.add(key, self.per_ns, n) == window.add(n, self.per_ns, self.now_ns)

    @rule(key=st.sampled_from("abc"), n=st.integers(0, 4))
    def take_back(self, key: str, n: int) -> None:
        window = self.models[key]
        assert isinstance(window, model.FixedWindow)
        assert self.table.take_back(key, n) == window.take_back(n, self.now_ns)


class MovingMachine(Machine):
    kind = "moving"


class CounterMachine(Machine):
    kind = "counter"


TestFixed, TestMoving, TestCounter = (
    machine.TestCase for machine in (FixedMachine, MovingMachine, CounterMachine)
)
for case in (TestFixed, TestMoving, TestCounter):
    case.settings = settings.get_profile("machines")
del case


# ---- a hit by an item ----


@every_kind
def test_a_hit_goes_until_the_limit_and_again_after_the_window(kind: str) -> None:
    clock = ManualClock(MINUTE)
    table, item = table_of(kind, clock), PerMinute(3)
    assert [table.hit(item, "user") for _ in range(4)] == [True, True, True, False]
    assert not table.test(item, "user")
    assert table.test(item, "other")
    clock.advance_ns(2 * MINUTE)
    assert table.test(item, "user", cost=3)
    assert table.hit(item, "user", cost=3)
    assert not table.hit(item, "user")


@every_kind
def test_the_text_of_a_key_is_what_counts(kind: str) -> None:
    table, item = table_of(kind), PerMinute(10)
    for ids in (("a/b",), ("a", "b"), (b"a/b",), (b"a", "b")):
        assert table.hit(item, *ids)
    assert table.hit_text("LIMITER/a/b/10/1/minute", 10, MINUTE)
    assert 5 in looked_at(kind, table, "LIMITER/a/b/10/1/minute", 10, MINUTE)
    assert 5 in table.look_item(item, "a", "b")
    assert len(table) == 1
    table.clear_item(item, "a/b")
    assert len(table) == 0


IDS = ["user", "", "ä", "\ud800", "日本", 1, -(2**63), 2**63 - 1, 2**64, 0, 1.0, True, None, b"x"]


@pytest.mark.parametrize("one", IDS, ids=repr)
def test_identifiers_of_every_type_have_the_text_that_str_gives(one: object) -> None:
    table, item = table_of("fixed"), PerMinute(10)
    text = one.decode() if isinstance(one, bytes) else str(one)
    assert table.hit(item, one, one)
    assert [key for key, *_ in table.dump()] == [f"LIMITER/{text}/{text}/10/1/minute"]


def test_a_key_longer_than_any_buffer_is_one_like_others() -> None:
    table, item = table_of("fixed"), PerMinute(10)
    long = "x" * 100_000
    assert table.hit(item, long, "y" * 300)
    assert table.look_item(item, long, "y" * 300)[0] == 1
    assert table.look_item(item, long, "y" * 299)[0] == 0


def test_bytes_that_are_no_text_are_refused_as_python_refuses_them() -> None:
    table = table_of("fixed")
    with pytest.raises(UnicodeDecodeError):
        table.hit(PerMinute(10), b"\xff")
    assert len(table) == 0


@every_kind
def test_a_cost_of_nothing_takes_nothing(kind: str) -> None:
    table, item = table_of(kind), PerMinute(1)
    assert table.hit(item, "user", cost=0)
    assert len(table) == 0
    assert table.hit(item, "user")
    assert table.hit(item, "user", cost=0)


@every_kind
def test_an_amount_of_nothing_refuses_every_hit(kind: str) -> None:
    table, item = table_of(kind), PerMinute(0)
    assert not table.test(item, "user")
    assert not table.hit(item, "user")
    assert table.hit(item, "user2", cost=0)


@every_kind
def test_a_cost_that_is_negative_or_no_number_is_refused(kind: str) -> None:
    table, item = table_of(kind), PerMinute(1)
    with pytest.raises(ValueError, match="cost: got -1, allowed an integer of at least 0"):
        table.hit(item, "user", cost=-1)
    for cost in (-0.5, float("-inf"), float("nan")):
        with pytest.raises(ValueError, match=r"cost: got .*, allowed an integer of at least 0"):
            table.test(item, "user", cost=cost)
    with pytest.raises(TypeError, match="cost: got '1', allowed an integer"):
        table.test(item, "user", cost="1")
    with pytest.raises(TypeError, match="unexpected keyword argument 'costs'"):
        table.hit(item, costs=2)
    with pytest.raises(TypeError, match="'item'"):
        table.hit()
    assert table.hit(item=item)


def test_a_refused_hit_counts_in_a_fixed_window_and_in_no_other() -> None:
    item = PerMinute(10)
    counts = {}
    for kind in TABLES:
        table = table_of(kind)
        assert not table.hit(item, "user", cost=11)
        counts[kind] = table.test(item, "user")
    assert counts == {"fixed": False, "moving": True, "counter": True}


def test_a_moving_window_takes_a_million_in_one_hit_at_the_cost_of_one() -> None:
    table, item = table_of("moving"), PerMinute(1_000_000)
    assert table.hit(item)
    assert table.hit(item, cost=999_999)
    assert not table.hit(item)
    assert len(table.dump()[0][2]) == 1  # both at one time


def test_what_a_moving_window_says_of_its_reset_is_true_to_the_nanosecond() -> None:
    """The original counts a hit exactly as old as the window in one place and not in another."""
    clock = ManualClock(0)
    table, item = table_of("moving", clock), PerMinute(1)
    assert table.hit(item)
    oldest, counted = table.look_item(item)
    assert (oldest, counted) == (0, 1)
    clock.advance_ns(oldest + MINUTE - 1)
    assert not table.test(item)
    assert not table.hit(item)
    clock.advance_ns(1)
    assert table.test(item)
    assert table.hit(item)


def test_a_clock_that_is_put_back_moves_no_window() -> None:  # trap 20
    clock = ManualClock(10 * MINUTE)
    table, item = table_of("fixed", clock), PerMinute(1)
    assert table.hit(item)
    clock.set_ns(0)
    assert not table.hit(item)
    clock.advance_ns(MINUTE)
    assert table.hit(item)


# ---- plans ----


def test_an_item_is_asked_for_its_plan_once_and_again_when_it_changes() -> None:
    asked = []

    def plans(item: Any) -> Plan:
        asked.append(item.amount)
        return plan_of(item)

    table, item = table_of("fixed", plans=plans), PerMinute(1)
    assert table.hit(item)
    assert not table.hit(item)
    plan = item.plan
    assert plan is not None
    assert (plan.head, plan.tail, plan.amount) == ("LIMITER/", "1/1/minute", 1)
    item.amount = 2
    assert item.plan is None
    assert table.hit(item)
    assert asked == [1, 2]


def test_an_item_without_a_plan_is_asked_itself() -> None:
    class Duck:
        amount = 2

        def key_for(self, *ids: object) -> str:
            return f"duck/{ids}"

        def get_expiry(self) -> float:
            return 0.5

    clock = ManualClock(0)
    table, tally = table_of("fixed", clock, itself), Tally(TokenBucket(1, 1, 1, 0))
    assert [table.hit(Duck(), "x", 1) for _ in range(3)] == [True, True, False]
    assert table.look("duck/('x', 1)") == (3, SECOND // 2)
    table.tally_of = lambda item: tally
    assert not table.hit(Duck(), "x", 1)
    assert tally.kernel.counters() == (0, 1, 0)
    with pytest.raises(ValueError, match="it has one already"):
        table.tally_of = lambda item: None


def test_what_an_item_raises_when_it_is_asked_comes_through() -> None:
    def broken(item: object) -> Plan:
        raise KeyError("no plan")

    with pytest.raises(KeyError, match="no plan"):
        table_of("fixed", plans=broken).hit(PerMinute(1))
    with pytest.raises(TypeError, match="allowed None or a Plan"):
        table_of("fixed", plans=lambda item: 3).hit(PerMinute(1))
    with pytest.raises(AttributeError, match="key_for"):
        table_of("fixed", plans=itself).hit(object(), "x")


def test_an_item_is_copied_and_pickled_without_its_plan() -> None:
    table, item = table_of("fixed"), PerMinute(7, "mine")
    table.hit(item)
    for other in (copy.copy(item), copy.deepcopy(item), pickle.loads(pickle.dumps(item))):
        assert (other.namespace, other.amount, other.multiples) == ("mine", 7, 1)
        assert other.plan is None
    empty = Item.__new__(Item)
    with pytest.raises(AttributeError, match="no attribute 'amount'"):
        _ = empty.amount


# ---- tallies ----


@pytest.mark.parametrize("kernel", [TokenBucket(1, 1, 1, 0), SlidingWindow(1, SECOND)])
@pytest.mark.parametrize(
    ("mode", "answers", "counts"),
    [(0, [True, False, False], (1, 2)), (1, [True] * 3, (1, 2)), (2, [True] * 3, (0, 0))],
)
def test_hits_are_counted_and_answered_as_the_mode_has_it(
    kernel: Any, mode: int, answers: list[bool], counts: tuple[int, int]
) -> None:
    allowed, rejected, _ = kernel.counters()
    tally = Tally(kernel, mode)
    table = table_of(
        "fixed", plans=lambda item: Plan("x/", "1/1/minute", item.amount, MINUTE, tally)
    )
    item = PerMinute(1)
    assert [table.hit(item) for _ in range(3)] == answers
    now_allowed, now_rejected, _ = kernel.counters()
    assert (now_allowed - allowed, now_rejected - rejected) == counts
    assert len(table) == (mode != 2)
    assert table.test(item) == (mode != 0)


def test_whoever_listens_hears_of_a_refused_hit_and_of_no_other() -> None:
    tally = Tally(TokenBucket(1, 1, 1, 0))
    heard = []
    tally.on_refused = lambda: heard.append("refused")
    table = table_of("fixed", plans=lambda item: Plan("x/", "1", item.amount, MINUTE, tally))
    assert table.hit(PerMinute(1))
    assert heard == []
    assert not table.hit(PerMinute(1))
    assert heard == ["refused"]
    tally.mode = 1
    assert table.hit(PerMinute(1))
    assert heard == ["refused"]
    assert tally.count(True)
    tally.mode = 0
    assert not tally.count(False)
    assert tally.kernel.counters() == (2, 3, 0)


# ---- strategies ----


class Strategy(Limiter):
    def _hit(self, *args: object, **kwargs: object) -> object:
        return "hit", args, kwargs

    def _test(self, *args: object, **kwargs: object) -> object:
        return "test", args, kwargs


@pytest.mark.parametrize("owns", [False, True])
def test_a_limiter_answers_from_its_table_or_from_python(owns: bool) -> None:
    cls = type("Owner", (Strategy,), {}) if owns else Strategy
    if owns:
        own_methods(cls)
        assert "hit" in vars(cls)
    limiter: Any = cls()
    assert limiter.hit("item", 1, cost=2) == ("hit", ("item", 1), {"cost": 2})
    assert limiter.test() == ("test", (), {})
    limiter.table = table_of("moving")
    item = PerMinute(1)
    assert limiter.hit(item, "user") is True
    assert limiter.hit(item, "user") is False
    assert limiter.test(item, "user") is False
    for table in (table_of("moving"), None, table_of("fixed")):
        limiter.table = table
        assert limiter.table is table
        assert limiter.hit(item, "user") == (("hit", (item, "user"), {}) if table is None else True)


def test_a_method_that_a_strategy_overrides_stays_its_own() -> None:
    class Mine(Strategy):
        def hit(self, *args: Any, **kwargs: Any) -> Any:
            return not super().hit(*args, **kwargs)

    own_methods(Mine)
    mine = Mine()
    mine.table = table_of("fixed")
    assert mine.hit(PerMinute(1), "user") is False
    with pytest.raises(TypeError, match="subclass of Limiter"):
        own_methods(int)  # type: ignore[arg-type]


# ---- what a table keeps ----


@every_kind
def test_windows_that_are_over_go_while_others_come(kind: str) -> None:
    clock = ManualClock(0)
    table, item = table_of(kind, clock), PerMinute(10)
    for n in range(5_000):
        table.hit(item, n)
    clock.advance_ns(3 * MINUTE)
    assert len(table) == 0
    assert table.held == 5_000
    for n in range(4_000):
        table.hit(item, "new", n)
    assert len(table) == table.held == 4_000  # the old ones have gone by themselves


@every_kind
def test_hits_of_one_key_have_all_others_go_that_are_over(kind: str) -> None:
    clock = ManualClock(0)
    table, item = table_of(kind, clock), PerMinute(10**9)
    for n in range(100):
        table.hit(item, n)
    clock.advance_ns(3 * MINUTE)
    for _ in range(10_000):
        table.hit(item, "one")
    assert table.held == 1
    clock.advance_ns(3 * MINUTE)
    assert (table.sweep(), table.held) == (1, 0)


def test_what_lies_behind_a_key_that_goes_is_found_all_the_same() -> None:
    table, left = table_of("fixed"), {}
    for n in range(3_000):
        left[str(n)] = table.add(str(n), MINUTE, n + 1)
    for n in random.Random(7).sample(range(3_000), 2_500):
        table.clear(str(n))
        del left[str(n)]
        if n % 50 == 0:
            assert {key: table.look(key)[0] for key in left} == left
    assert sorted(key for key, *_ in table.dump()) == sorted(left)


@every_kind
def test_a_flood_of_keys_neither_grows_a_table_nor_wipes_a_count(kind: str) -> None:
    table, item = table_of(kind, ManualClock(0), most_keys=1_000), PerMinute(5)
    assert table.hit(item, "victim", cost=5)
    for n in range(20_000):
        assert table.hit(item, n)
    assert 900 <= len(table) <= 1_000  # without the GIL each stripe has its share
    assert table.evicted >= 18_900
    assert not table.hit(item, "victim")
    assert table.reset() == len(table.dump()) or len(table) == 0
    assert table.hit(item, "victim")


def test_a_reset_says_how_many_keys_counted() -> None:
    clock = ManualClock(0)
    table, item = table_of("fixed", clock), PerMinute(5)
    for n in range(10):
        table.hit(item, n)
    clock.advance_ns(MINUTE)
    table.hit(item, 1)
    assert table.reset() == 1
    assert table.reset() == 0
    assert table.dump() == []


@every_kind
def test_what_no_dump_can_have_given_is_refused(kind: str) -> None:
    table = table_of(kind)
    for wrong in ([3], [()], [("key",)], [(1, 2, 3)], [("key", "x", "y", "z", "w")]):
        with pytest.raises((TypeError, ValueError)):
            table.load(wrong)
    with pytest.raises(TypeError):
        table.load(None)
    assert len(table) == 0


def test_arguments_that_no_table_can_have_are_refused() -> None:
    with pytest.raises(TypeError, match="plan_of: got 3"):
        FixedWindows(3, Clock())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="most_keys: got 0, allowed 1 to"):
        FixedWindows(plan_of, Clock(), 0)
    with pytest.raises(AttributeError, match="_capsule"):
        FixedWindows(plan_of, object())
    with pytest.raises(TypeError, match="phase_ns"):
        FixedWindows(plan_of, Clock(), phase_ns=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="amount: got 'x'"):
        Plan("", "", "x", 1)  # type: ignore[arg-type]


def test_numbers_beyond_what_a_kernel_counts_are_held_at_its_bounds() -> None:
    plan = Plan("", "x", 10**30, 10**30)
    assert (plan.amount, plan.expiry_ns) == (2**61, 2**60)
    table = table_of("fixed", ManualClock(0), lambda item: plan)
    assert table.hit(PerMinute(1), cost=2**61)
    assert not table.hit(PerMinute(1))
    assert table.look_item(PerMinute(1)) == (2**61 + 1, 2**60)
    for _ in range(9):
        assert not table.hit(PerMinute(1), cost=2**61)
    assert table.look_item(PerMinute(1)) == (2**62, 2**60)


@every_kind
@pytest.mark.parametrize("cost", [2**61 + 1, 2**63 - 1, 2**64, 10**100])
def test_a_cost_beyond_what_a_kernel_counts_is_one_that_does_not_fit(kind: str, cost: int) -> None:
    table, item = table_of(kind), PerMinute(9)
    assert not table.test(item, "user", cost=cost)
    assert not table.hit(item, "user", cost=cost)
    assert not table.hit_text("key", 9, MINUTE, cost)


def test_a_table_in_a_cycle_is_collected() -> None:
    class Owner:
        def __init__(self) -> None:
            self.table = FixedWindows(self.plan_of, Clock())

        def plan_of(self, item: Any) -> Plan:
            return plan_of(item)

    owner = Owner()
    owner.table.hit(PerMinute(1))
    gone = weakref.ref(owner.table)
    del owner
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@every_kind
def test_a_forked_child_has_the_windows_of_its_parent_and_fills_its_own(kind: str) -> None:
    table, item = table_of(kind), PerMinute(3)
    assert table.hit(item, "user", cost=2)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            answers = [table.hit(item, "user") for _ in range(2)]
            code = 0 if answers == [True, False] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert table.hit(item, "user")
    assert not table.hit(item, "user")


@every_kind
@pytest.mark.stress
def test_threads_take_what_the_limit_has_and_no_more(kind: str, stress_scale: int) -> None:
    limit, threads = 1000 * stress_scale, 8
    table, item = table_of(kind, ManualClock(0)), PerMinute(limit)
    start, taken = threading.Barrier(threads), [0] * threads

    def hit(number: int) -> None:
        start.wait()
        for n in range(limit // 4):
            taken[number] += table.hit(item, "shared")
            assert table.hit(item, number, n)
            if n % 100 == 0:
                item.amount = limit  # the plan is made anew while others read it

    workers = [threading.Thread(target=hit, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(taken) == limit
