"""The scenarios: what is broken, who has to notice, and what has to be so meanwhile and afterwards.

Each is a function of a ``Scene``. It breaks something, waits until that was noticed, makes sure
that nothing else suffers, and mends it. What has to be so after each scenario is in ``play``:
all exchanges are collected, nothing is missing, and no more is in use than before.

Elsewhere: how a scenario waits and tells (``scene``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.market_collector.scene import NOTICED_WITHIN, RECOVERED_WITHIN, told
from examples.market_collector.stage import CACHE, REDIS
from examples.market_collector.worker import MAX_CONCURRENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.market_collector.exchange import ExchangeHandle
    from examples.market_collector.redis_server import RedisHandle
    from examples.market_collector.scene import Scene

    Play = Callable[[Scene], None]


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: In one word, as ``--scenario`` takes it.
        title: What is broken.
        play: What breaks it, and waits for what has to follow.
        needs_redis: Whether it says nothing without Redis.
    """

    name: str
    title: str
    play: Play
    needs_redis: bool = False


def down(scene: Scene) -> None:
    """Each exchange is down in turn: it is left alone, and the others go on."""
    for name in scene.stage.names:
        _outage(scene, name, "is down: connections are refused", _handle(scene, name).stop)


def kill(scene: Scene) -> None:
    """An exchange is killed: the supervisor starts it again."""
    name = scene.any_exchange()
    handle = _handle(scene, name)
    at = scene.breaking()
    scene.broke(f"{name}: kill -9 of process {handle.kill()}", at)
    scene.noticed(told(name, "exited"))
    scene.done(told(name, "recovering"))
    scene.undisturbed(name)
    scene.recovered(told(name, "recovered"))


def everything(scene: Scene) -> None:
    """All exchanges are down at once: the collector says so, and goes on when they are back."""
    stage = scene.stage
    at = scene.breaking()
    for name in stage.names:
        _handle(scene, name).stop()
    scene.broke("all exchanges: connections are refused", at)
    for name in stage.names:
        scene.noticed(told(name, "open"))
    scene.eventually(
        lambda: not stage.collector.health().healthy, "the collector is healthy", NOTICED_WITHIN
    )
    scene.saw("the collector's health", stage.collector.health().message)
    status = stage.ask("/health")
    scene.require(status == 503, f"GET /health answers {status}")
    scene.say(f"GET /health answers {status}")
    scene.say(stage.states())
    stage.heal()
    for name in stage.names:
        scene.recovered(told(name, "closed"))
    scene.eventually(
        lambda: stage.collector.health().healthy, "the collector is unhealthy", RECOVERED_WITHIN
    )
    status = stage.ask("/health")
    scene.require(status == 200, f"GET /health answers {status}")
    scene.verified(f"GET /health answers {status}: {stage.collector.health().message}")


def freeze(scene: Scene) -> None:
    """An exchange is frozen: connections are accepted, and nothing is answered."""
    name = scene.any_exchange()
    handle = _handle(scene, name)
    _outage(scene, name, f"is frozen: SIGSTOP to process {handle.pid}", handle.freeze)


def slow(scene: Scene) -> None:
    """An exchange answers later than a call waits."""
    _fault(scene, "answers after 5 s", "slow", seconds=5.0)


def reset(scene: Scene) -> None:
    """An exchange resets every connection."""
    _fault(scene, "resets its connections", "reset")


def error(scene: Scene) -> None:
    """An exchange answers with errors of its own."""
    _fault(scene, "answers with status 503", "error", status=503)


def garbage(scene: Scene) -> None:
    """An exchange answers with garbage, which is not asked for again, and not believed."""
    _fault(scene, "answers with garbage", "garbage")


def busy(scene: Scene) -> None:
    """An exchange wants to be left alone for a while: it is, and its breaker stays closed."""
    name, stage = scene.any_exchange(), scene.stage
    handle, rest = _handle(scene, name), 1.0
    at = scene.breaking()
    handle.set_fault("busy", retry_after=rest)
    scene.broke(f"{name} answers with status 429 and Retry-After: {rest:g}", at)
    scene.noticed(told("exchange", "retry"))
    before, began = handle.counts()["requests"], time.monotonic()
    scene.undisturbed(name)
    asked, took = handle.counts()["requests"] - before, time.monotonic() - began
    # Requests that were on their way together when it said so are no disobedience.
    most = MAX_CONCURRENT * (took / rest + 1)
    scene.require(asked <= most, f"{name} was asked {asked} times in {took:.1f} s")
    scene.did(f"the client of {name}", f"requests in {took:.1f} s: {asked}, as {name} wants it")
    scene.require(not stage.is_open(name), f"the breaker of {name} is open, though it works")
    stage.heal()
    scene.working(name)
    scene.verified(f"{name} is collected; its breaker was never open")


def half(scene: Scene) -> None:
    """An exchange fails half of the time: its symbols are fetched one by one."""
    name, stage = scene.any_exchange(), scene.stage
    before = stage.worker(name).sequential_rounds
    at = scene.breaking()
    _handle(scene, name).set_fault("garbage", share=0.5, form="page")
    scene.broke(f"{name} answers every second request with garbage", at)
    scene.eventually(
        lambda: stage.worker(name).sequential_rounds > before + 1,
        f"{name} is still collected concurrently",
        NOTICED_WITHIN,
    )
    scene.saw(f"the worker of {name}", "half of the symbols have failed")
    scene.did(f"the worker of {name}", "goes on one by one")
    scene.undisturbed(name)


def redis(scene: Scene) -> None:
    """Redis is filled: it refuses what is written, and memory takes it."""
    stage, handle = scene.stage, _redis(scene)
    at = scene.breaking()
    written = handle.fill()
    scene.broke(f"Redis is full: it has taken {written:,} values, and refuses all others", at)
    scene.noticed(told(CACHE, "failed"))
    scene.undisturbed()
    scene.require(stage.remembers(), "what Redis has refused is not in the cache")
    scene.did("the cache", f"keeps in memory what Redis has refused: {stage.cache_figures()}")
    handle.clear()
    _cache_is_back(scene)


def cache(scene: Scene) -> None:
    """Redis is down: the cache is in memory until it is back."""
    stage = scene.stage
    at = scene.breaking()
    _redis(scene).stop()
    scene.broke("Redis is down: connections are refused", at)
    scene.noticed(told(REDIS, "open"))
    scene.undisturbed()
    scene.require(stage.remembers(), "nothing is in the cache without Redis")
    scene.did("the cache", f"keeps all in memory: {stage.cache_figures()}")
    stage.heal()
    scene.recovered(told(REDIS, "closed"))
    _cache_is_back(scene)


# ---- what several have in common ----


def _outage(scene: Scene, name: str, words: str, harm: Callable[[], object]) -> None:
    """Harm an exchange until its breaker has opened and the others have gone on; heal it."""
    before = scene.stage.worker(name)
    at = scene.breaking()
    harm()
    scene.broke(f"{name} {words}", at)
    scene.noticed(told(name, "open"))
    scene.undisturbed(name)
    after = scene.stage.worker(name)
    scene.did(
        f"the worker of {name}",
        f"{after.rounds - before.rounds} rounds, of which "
        f"{after.skipped_rounds - before.skipped_rounds} ask nothing, as the breaker is open",
    )
    scene.say(scene.stage.states())
    scene.stage.heal()
    scene.recovered(told(name, "closed"))


def _fault(scene: Scene, words: str, kind: str, **options: object) -> None:
    name = scene.any_exchange()
    _outage(scene, name, words, lambda: _handle(scene, name).set_fault(kind, **options))


def _handle(scene: Scene, name: str) -> ExchangeHandle:
    return scene.stage.exchanges[name]


def _cache_is_back(scene: Scene) -> None:
    stage = scene.stage
    scene.eventually(
        lambda: stage.remembers() and stage.cache_works, "the cache fails", RECOVERED_WITHIN
    )
    scene.verified("what is put into the cache is in Redis again")


def _redis(scene: Scene) -> RedisHandle:
    handle = scene.stage.redis
    assert handle is not None  # scenarios that need one are left out without it
    return handle


ALL = (
    Scenario("down", "each exchange is down in turn", down),
    Scenario("all", "all exchanges are down at once", everything),
    Scenario("kill", "an exchange is killed with kill -9", kill),
    Scenario("freeze", "an exchange is frozen (SIGSTOP)", freeze),
    Scenario("slow", "an exchange is slower than a call waits", slow),
    Scenario("busy", "an exchange answers 429 with Retry-After", busy),
    Scenario("error", "an exchange answers 503", error),
    Scenario("reset", "an exchange resets connections", reset),
    Scenario("garbage", "an exchange answers garbage", garbage),
    Scenario("half", "an exchange fails half of the time", half),
    Scenario("redis", "Redis is filled", redis, needs_redis=True),
    Scenario("cache", "Redis is down", cache, needs_redis=True),
)
