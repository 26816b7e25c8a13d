"""holdfast beside other libraries and the standard library: equal work, in one process, by turns.

Run from the project's root: ``python -m benchmarks.compare``; writes ``comparison.json``, of which
``report.py`` makes a page and ``charts.py`` pictures. What is not installed, or cannot do it, is
left out with a word.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import platform
import tracemalloc
from importlib import metadata
from itertools import repeat
from pathlib import Path
from random import Random
from threading import Barrier, Lock, Thread
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import holdfast as hf
from benchmarks import contenders
from holdfast.bench.cases import Case
from holdfast.bench.timing import loop_of, run_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).resolve().parent / "comparison.json"
STANDARD = ("bare ", "a loop", "threading.", "asyncio.")

# What each measures, and what one statement of it stands for.
SCENARIOS: dict[str, tuple[str, dict[str, contenders.Make], int]] = {
    "success": ("breaker, call succeeds", contenders.SUCCESS, 1),
    "async success": ("breaker, `await` succeeds", contenders.ASYNC_SUCCESS, 1),
    "failure": ("breaker, call fails and is counted", contenders.FAILURE, 1),
    "rejection": ("breaker, open", contenders.REJECTION, 1),
    "retry": ("retry, first attempt succeeds", contenders.RETRY_SUCCESS, 1),
    "retry failures": ("retry, two failures, no pause", contenders.RETRY_FAILURES, 1),
    "limit": ("limiter, takes a token", contenders.LIMIT, 1),
    "limit rejection": ("limiter, no token left", contenders.LIMIT_REJECTION, 1),
    "async limit": ("limiter, `await`s a token that is there", contenders.ASYNC_LIMIT, 1),
    "bulkhead": ("bulkhead, `with`", contenders.BULKHEAD, 1),
    "async bulkhead": ("bulkhead, `async with`", contenders.ASYNC_BULKHEAD, 1),
    "waiting": ("bulkhead of one, 100 tasks, each waits", contenders.WAITING, contenders.TASKS),
    "timeout": ("timeout of a coroutine, not hit", contenders.TIMEOUT, 1),
    "hedge": ("hedge of a coroutine, not needed", contenders.HEDGE, 1),
    "full": ("all protection of a name, call succeeds", contenders.FULL, 1),
    "async full": ("all protection of a name, `await` succeeds", contenders.ASYNC_FULL, 1),
}
THREADS, CALLS, NAP = 8, 5, 0.004
CALLERS = 20
KEYS = 10_000


def version_of(library: str) -> str:
    if library == "holdfast":
        return hf.__version__
    if library.startswith(STANDARD):
        return platform.python_version()
    return metadata.version(library)


def compare(
    makers: dict[str, Callable[[], Any]], measure: Callable[[dict[str, Any]], dict[str, float]]
) -> dict[str, Any]:
    """Make what there is, measure all of it together, and say why the rest is not there."""
    there: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for library, make in makers.items():
        try:
            version_of(library)
            made = make()
            if isinstance(made, Case):  # whatever it has to say against being run, it says here
                loop_of(made)(repeat(None, 10))
            there[library] = made
        except (ImportError, metadata.PackageNotFoundError):
            left_out[library] = "not installed"
        except Exception as error:  # noqa: BLE001 - its own trouble, to be told of
            left_out[library] = f"does not run here: {type(error).__name__}: {error}"
    figures = measure(there) if there else {}
    return {"figures": figures, "left_out": left_out}


def timed(cases: dict[str, Case], rounds: int, each: int) -> dict[str, float]:
    return {library: ns / each for library, ns in run_in_turn(cases, rounds).items()}


# ---- what is not a matter of nanoseconds ----


def threads_ratio(guarded: Callable[[], object]) -> float:
    """Return how long eight threads take that each sleep five times, over what one takes."""
    barrier = Barrier(THREADS + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(CALLS):
            guarded()

    threads = [Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = perf_counter()
    for thread in threads:
        thread.join()
    return (perf_counter() - began) / (CALLS * NAP)


def tail(guard: Callable[..., Any], calls: int = 6_000, tasks: int = 30) -> tuple[float, float]:
    """Return the 99th percentile of calls in milliseconds, and the extra calls in percent.

    A call takes about 5 ms, lognormal; one in twenty takes ten times as long.
    """
    rng, made, times = Random(1), 0, []

    async def work() -> None:
        nonlocal made
        made += 1
        slow = 10 if rng.random() < 0.05 else 1
        await asyncio.sleep(0.005 * math.exp(rng.gauss(0, 0.4)) * slow)

    async def caller() -> None:
        for _ in range(calls // tasks):
            began = perf_counter()
            await guarded()
            times.append(perf_counter() - began)

    async def crowd() -> None:
        await asyncio.gather(*(caller() for _ in range(tasks)))

    guarded = guard(work)
    asyncio.run(crowd())
    times.sort()
    return times[len(times) * 99 // 100] * 1e3, (made / len(times) - 1) * 100


def callers_inside(guarded: Callable[..., Any], trip: Callable[[], object]) -> float:
    """Return how many of twenty callers at once reach a dependency that has just failed."""
    inside, most, lock = 0, 0, Lock()

    def probe() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        sleep(0.2)
        with lock:
            inside -= 1

    trip()
    sleep(1.1)  # the open time is a second
    barrier = Barrier(CALLERS)
    call = guarded(probe)

    def work() -> None:
        barrier.wait()
        try:
            call()
        except Exception:  # noqa: BLE001 - rejected, as it should be
            return

    threads = [Thread(target=work) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most


def recovering() -> dict[str, Callable[[], tuple[Any, Callable[[], object]]]]:
    """Return breakers that one failure opens for a second, and how each is made to fail."""

    def tripping(breaker: Any) -> tuple[Any, Callable[[], object]]:
        def trip() -> None:
            try:
                breaker(contenders.fail)()
            except Exception:  # noqa: BLE001 - the failure that opens it
                return

        return breaker, trip

    def ours() -> Any:
        return tripping(
            hf.CircuitBreaker(
                "recovery", failure_threshold=1, reset_timeout=1, half_open_max_calls=1
            )
        )

    def pybreaker() -> Any:
        import pybreaker

        return tripping(pybreaker.CircuitBreaker(fail_max=1, reset_timeout=1))

    def circuitbreaker() -> Any:
        import circuitbreaker

        return tripping(circuitbreaker.CircuitBreaker(failure_threshold=1, recovery_timeout=1))

    def purgatory() -> Any:
        import purgatory

        factory = purgatory.SyncCircuitBreakerFactory(default_threshold=1, default_ttl=1)
        return tripping(factory("recovery"))

    def interlock() -> Any:
        import interlock

        config = interlock.Config(
            minimum_number_of_calls=1,
            window_size=1,
            wait_duration_in_open=1,
            max_concurrent_probes=1,
        )
        breaker = interlock.CircuitBreaker(name="recovery", config=config)
        return tripping(lambda fn: lambda: breaker.call_sync(fn))

    def baldur() -> Any:
        policy = contenders.baldur_policy(1, reset=1)
        return tripping(lambda fn: lambda: policy.execute(fn))

    return {
        "holdfast": ours,
        "pybreaker": pybreaker,
        "circuitbreaker": circuitbreaker,
        "purgatory": purgatory,
        "interlock-cb": interlock,
        "baldur-framework": baldur,
    }


def keyed() -> dict[str, Callable[[], Callable[[], Callable[[str], object]]]]:
    """Return, for each library, what makes a limiter that takes a token of a key."""

    def ours() -> Callable[[], Callable[[str], object]]:
        def made() -> Callable[[str], object]:
            limiters: dict[str, hf.RateLimiter] = {}

            def take(key: str) -> object:
                limiter = limiters.get(key)
                if limiter is None:
                    limiter = limiters[key] = hf.RateLimiter(key, rate=1000)
                return limiter.try_acquire()

            return take

        return made

    def limits() -> Callable[[], Callable[[str], object]]:
        import limits

        item = limits.RateLimitItemPerSecond(1000)

        def made() -> Callable[[str], object]:
            strategy = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
            return lambda key: strategy.hit(item, key)

        return made

    def throttled() -> Callable[[], Callable[[str], object]]:
        import throttled

        def made() -> Callable[[str], object]:
            limiter = throttled.Throttled(
                using=throttled.RateLimiterType.GCRA.value,
                quota=throttled.rate_limiter.per_sec(1000, burst=1000),
                store=throttled.MemoryStore(options={"MAX_SIZE": 2 * KEYS}),
            )
            return limiter.limit

        return made

    def grelmicro() -> Callable[[], Callable[[str], object]]:
        from grelmicro.resilience import MemoryTokenBucket

        def made() -> Callable[[str], object]:
            return MemoryTokenBucket(capacity=1000, refill_rate=1000).try_acquire

        return made

    return {
        "holdfast": ours,
        "limits": limits,
        "throttled-py": throttled,
        "grelmicro": grelmicro,
    }


def over_keys(made: Callable[[], Callable[[str], object]], keys: int) -> tuple[float, float]:
    """Return nanoseconds of a token of each key in turn, and bytes that each key takes."""
    names = [f"key {n}" for n in range(keys)]
    tracemalloc.start()
    take = made()
    before = tracemalloc.get_traced_memory()[0]
    for name in names:
        take(name)
    size = (tracemalloc.get_traced_memory()[0] - before) / keys
    tracemalloc.stop()
    least = float("inf")
    for _ in range(3):
        began = perf_counter()
        for name in names:
            take(name)
        least = min(least, perf_counter() - began)
    return least / keys * 1e9, size


def measure(rounds: int, keys: int = KEYS) -> dict[str, Any]:
    """Return every scenario's figures: nanoseconds, but where the unit says something else."""
    found: dict[str, Any] = {}
    for name, (label, makers, each) in SCENARIOS.items():
        done = compare(makers, lambda cases, each=each: timed(cases, rounds, each))
        found[name] = {"label": label, "unit": "ns", **done}
    nap = {
        library: lambda make=make: make()(lambda: sleep(NAP))
        for library, make in contenders.BREAKERS.items()
    }
    found["threads"] = {
        "label": f"{THREADS} threads through one breaker, the function sleeps",
        "unit": "× one thread's time",
        **compare(nap, lambda them: {name: threads_ratio(one) for name, one in them.items()}),
    }
    found["recovery"] = {
        "label": f"{CALLERS} callers at once on recovery, one probe wanted",
        "unit": "at once inside",
        **compare(
            recovering(), lambda them: {name: callers_inside(*one) for name, one in them.items()}
        ),
    }
    tails: dict[str, tuple[float, float]] = {}
    slowest = compare(
        contenders.HEDGES,
        lambda them: {name: tails.setdefault(name, tail(one))[0] for name, one in them.items()},
    )
    found["tail"] = {
        "label": "hedge, 99th percentile: 5 ms, of which 5 % take ten times as long",
        "unit": "ms",
        **slowest,
    }
    found["tail load"] = {
        "label": "hedge, extra calls for that",
        "unit": "%",
        "figures": {name: extra for name, (_, extra) in tails.items()},
        "left_out": slowest["left_out"],
    }
    both: dict[str, tuple[float, float]] = {}
    many = compare(
        keyed(),
        lambda them: {
            name: both.setdefault(name, over_keys(one, keys))[0] for name, one in them.items()
        },
    )
    found["keys"] = {"label": f"limiter, {keys:,} keys in turn", "unit": "ns", **many}
    found["key size"] = {
        "label": f"limiter, memory of one of {keys:,} keys",
        "unit": "bytes",
        "figures": {name: size for name, (_, size) in both.items()},
        "left_out": many["left_out"],
    }
    return found


def main() -> None:
    """Compare, and write ``comparison.json``."""
    parser = argparse.ArgumentParser(description="holdfast beside other libraries.")
    parser.add_argument("--rounds", type=int, default=40)
    found = measure(parser.parse_args().rounds)
    libraries = {library for one in found.values() for library in one["figures"]}
    written = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    version = ".".join(platform.python_version_tuple()[:2])
    written[version] = {
        "versions": {
            library: version_of(library)
            for library in sorted(libraries)
            if not library.startswith(STANDARD)
        },
        "scenarios": found,
    }
    RESULTS.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    for one in found.values():
        print(f"\n{one['label']} ({one['unit']})")
        for library, figure in sorted(one["figures"].items(), key=lambda item: item[1]):
            print(f"  {library:28s} {figure:12,.1f}")
        for library, why in one["left_out"].items():
            print(f"  {library:28s} {why}")


if __name__ == "__main__":
    main()
