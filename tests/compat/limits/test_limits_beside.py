"""The same hits at the same times have the answers of limits itself, where it is installed."""

import random
from threading import RLock
from types import SimpleNamespace

import pytest

import holdfast.compat.limits as face
from holdfast import ManualClock

limits = pytest.importorskip("limits", reason="limits is not installed")
memory = pytest.importorskip("limits.storage.memory")


@pytest.fixture
def clock(monkeypatch):
    """The clock of both: limits asks ``time``, and starts a timer that is not needed."""
    clock = ManualClock(start=1_700_000_000.25)
    monkeypatch.setattr(memory, "time", SimpleNamespace(time=clock.now))
    monkeypatch.setattr(limits.strategies, "time", SimpleNamespace(time=clock.now))
    timer = SimpleNamespace(Timer=lambda *_: SimpleNamespace(start=int), RLock=RLock)
    monkeypatch.setattr(memory, "threading", timer)
    monkeypatch.setattr(memory.MemoryStorage, "_MemoryStorage__schedule_expiry", lambda _: None)
    return clock


def answer(_lib, limiter, item, asked, identifiers, cost):
    if asked == "stats":
        stats = limiter.get_window_stats(item, *identifiers)
        is_untouched = stats.remaining == item.amount  # then limits may name a time that is past
        return stats.remaining, None if is_untouched else round(stats.reset_time, 4)
    if asked == "clear":
        return limiter.clear(item, *identifiers)
    return getattr(limiter, asked)(item, *identifiers, cost=cost)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("strategy", sorted(face.strategies.STRATEGIES))
def test_answers_are_those_of_limits(strategy, seed, clock):  # RT-18
    rng = random.Random(seed)
    amount, multiples = rng.choice([0, 1, 2, 5, 10, 100]), rng.choice([1, 7, 60])
    both = []
    for lib, storage in (
        (limits, memory.MemoryStorage()),
        (face, face.storage.MemoryStorage(clock=clock)),
    ):
        limiter = lib.strategies.STRATEGIES[strategy](storage)
        both.append((lib, limiter, lib.RateLimitItemPerSecond(amount, multiples)))
    for step in range(150):
        if rng.random() < 0.25:  # never exactly to the end of a window, where they differ
            span = rng.choice([0.001, 0.37, 1.0, multiples / 3, multiples, 2 * multiples])
            clock.advance(span * rng.uniform(0.5, 1.5))
        asked = rng.choices(["hit", "test", "stats", "clear"], [12, 4, 4, 1])[0]
        identifiers = rng.choice([(), ("u",), ("u", "v"), (1,)])
        cost = max(1, rng.choice([1, 1, 1, 2, 3, amount]))
        theirs, ours = (answer(*one, asked, identifiers, cost) for one in both)
        assert ours == theirs, (step, asked, identifiers, cost)
