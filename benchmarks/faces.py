"""Each face of another library beside its original: the same code, in one process, by turns.

Run from the project's root: ``python -m benchmarks.faces``; writes ``faces.json``, of which
``report.py`` makes tables: how much faster the face is, and what one more costs of many.
An original that is not installed is left out with a word.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
from contextlib import suppress
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import HOUR, NEVER, PLENTY, awaited, called, fail, failing, twice
from holdfast.bench.cases import Case, bare, bare_async
from holdfast.bench.rows import GIL
from holdfast.bench.timing import run_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).resolve().parent / "faces.json"


def never(_: object) -> None:
    """Sleep, for a retry that is not to."""


async def never_async(_: object) -> None:
    """Sleep, for a retry that is not to."""


# Each takes the module, the original or the face, and returns a case for each thing it is timed at.


def pybreaker(lib: Any) -> dict[str, Case]:
    def breaker(threshold: int = NEVER) -> Any:
        return lib.CircuitBreaker(fail_max=threshold, reset_timeout=HOUR)

    opened = breaker(1)
    opened.open()
    return {
        "closed, decorated `def`": called(breaker()(bare)),
        "closed, `call`": Case("call(f)", call=breaker().call, f=bare),
        "closed, `with calling()`": Case("with calling():\n    pass", calling=breaker().calling),
        "a failure that is counted": failing(breaker()(fail)),
        "open": failing(opened(bare), lib.CircuitBreakerError),
    }


def circuitbreaker(lib: Any) -> dict[str, Case]:
    def breaker(threshold: int = NEVER) -> Any:
        return lib.CircuitBreaker(failure_threshold=threshold, recovery_timeout=HOUR)

    opened = breaker(1)(fail)
    with suppress(ConnectionError):
        opened()
    return {
        "closed, decorated `def`": called(breaker()(bare)),
        "closed, `call`": Case("call(f)", call=breaker().call, f=bare),
        "closed, decorated `async def`": awaited(breaker()(bare_async)),
        "a failure that is counted": failing(breaker()(fail)),
        "open": failing(opened, lib.CircuitBreakerError),
    }


def aiobreaker(lib: Any) -> dict[str, Case]:
    from datetime import timedelta

    def breaker(threshold: int = NEVER) -> Any:
        return lib.CircuitBreaker(
            fail_max=threshold, timeout_duration=timedelta(hours=1), name="aio"
        )

    opened = breaker(1)
    opened.open()
    return {
        "closed, decorated `def`": called(breaker()(bare)),
        "closed, `call`": Case("call(f)", call=breaker().call, f=bare),
        "closed, decorated `async def`": awaited(breaker()(bare_async)),
        "closed, `call_async`": Case(
            "await call(f)", in_loop=True, call=breaker().call_async, f=bare_async
        ),
        "a failure that is counted": failing(breaker()(fail)),
        "open": failing(opened(bare), lib.CircuitBreakerError),
    }


def tenacity(lib: Any) -> dict[str, Case]:
    def guard(fn: Callable[[], Any], sleep: Callable[[Any], Any] = never) -> Any:
        return lib.retry(
            stop=lib.stop_after_attempt(4),
            wait=lib.wait_none(),
            retry=lib.retry_if_exception_type(ConnectionError),
            sleep=sleep,
            reraise=True,
        )(fn)

    return {
        "first success, decorated `def`": called(guard(bare)),
        "first success, decorated `async def`": awaited(guard(bare_async, never_async)),
        "two failures, no pause": called(guard(twice())),
    }


def stamina(lib: Any) -> dict[str, Case]:
    lib.instrumentation.set_on_retry_hooks([])  # it would log each retry

    def guard(fn: Callable[[], Any]) -> Any:
        return lib.retry(
            on=ConnectionError, attempts=4, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
        )(fn)

    return {
        "first success, decorated `def`": called(guard(bare)),
        "first success, decorated `async def`": awaited(guard(bare_async)),
        "two failures, no pause": called(guard(twice())),
    }


def backoff(lib: Any) -> dict[str, Case]:
    def guard(fn: Callable[[], Any]) -> Any:
        return lib.on_exception(
            lib.constant, ConnectionError, max_tries=4, interval=0, jitter=None, logger=None
        )(fn)

    return {
        "first success, decorated `def`": called(guard(bare)),
        "first success, decorated `async def`": awaited(guard(bare_async)),
        "two failures, no pause": called(guard(twice())),
    }


def limits(lib: Any) -> dict[str, Case]:
    from_string = import_module(f"{lib.__name__}.storage").storage_from_string
    strategies = import_module(f"{lib.__name__}.strategies")
    cases = {}
    for name, strategy in strategies.STRATEGIES.items():
        # A log of so many hits would measure the memory of the original.
        most = 1_000 if name == "moving-window" else PLENTY
        limiter, item = strategy(from_string("memory://")), lib.RateLimitItemPerSecond(most)
        cases[f"a hit, {name}"] = Case(
            "hit(item, 'user')", hit=limiter.hit, item=item, tidy=limiter.storage.reset
        )
        cases[f"a test, {name}"] = Case("test(item, 'user')", test=limiter.test, item=item)
    return cases


def aiolimiter(lib: Any) -> dict[str, Case]:
    limiter = lib.AsyncLimiter(PLENTY, 1)
    return {"`async with`, no wait": Case("async with at:\n    pass", in_loop=True, at=limiter)}


LIBRARIES = {
    fn.__name__: fn
    for fn in (
        *(pybreaker, circuitbreaker, aiobreaker),
        *(tenacity, stamina, backoff),
        *(limits, aiolimiter),
    )
}
# The least it is to be; of the others it is to be faster.
TARGETS = {
    ("pybreaker", "closed, decorated `def`"): 8,
    ("pybreaker", "closed, `call`"): 8,
    ("circuitbreaker", "closed, decorated `def`"): 8,
    ("tenacity", "first success, decorated `def`"): 20,
    ("stamina", "first success, decorated `def`"): 20,
    ("limits", "a hit, fixed-window"): 20,
    ("limits", "a hit, moving-window"): 20,
    ("limits", "a hit, sliding-window-counter"): 20,
}


# ---- how the cost of one more grows with their number ----

SIZES = (10, 1_000, 20_000)


def function() -> Callable[[], None]:
    """Return a function of its own, as a module has many."""

    def one() -> None:
        """Do nothing."""

    return one


# Each takes the module and a number, and makes what there may be many of.
MANY: dict[str, tuple[str, Callable[[Any], Callable[[int], object]]]] = {
    "pybreaker": (
        "breakers, each with a name",
        lambda lib: lambda at: lib.CircuitBreaker(name=f"pybreaker {at}"),
    ),
    "circuitbreaker": (
        "breakers, each with a name",
        lambda lib: lambda at: lib.CircuitBreaker(name=f"circuitbreaker {at}"),
    ),
    "aiobreaker": (
        "breakers, each with a name",
        lambda lib: lambda at: lib.CircuitBreaker(name=f"aiobreaker {at}"),
    ),
    "tenacity": ("`Retrying` objects, none with a name", lambda lib: lambda _: lib.Retrying()),
    "stamina": (
        "functions that are decorated",
        lambda lib: lambda _: lib.retry(on=OSError)(function()),
    ),
    "backoff": (
        "functions that are decorated",
        lambda lib: lambda _: lib.on_exception(lib.expo, OSError)(function()),
    ),
    "limits": (
        "keys that are hit once",
        lambda lib: partial(
            lambda limiter, item, at: limiter.hit(item, f"user {at}"),
            import_module(f"{lib.__name__}.strategies").FixedWindowRateLimiter(
                import_module(f"{lib.__name__}.storage").storage_from_string("memory://")
            ),
            lib.RateLimitItemPerHour(100),
        ),
    ),
    "aiolimiter": ("limiters", lambda lib: lambda _: lib.AsyncLimiter(100)),
}


def make_many(library: str, module: str) -> list[float]:
    """Return the microseconds of one more, where so many are made and kept."""
    found = []
    make = MANY[library][1](import_module(module))
    for size in SIZES:
        least = float("inf")
        for _ in range(max(1, 2_000 // size)):
            kept: list[object] = []
            began = thread_time()
            kept.extend(map(make, range(size)))
            least = min(least, (thread_time() - began) / size * 1e6)
            kept.clear()
            gc.collect()
        found.append(least)
    return found


def measure_many(library: str) -> dict[str, Any]:
    """Return what one more costs with the original and with the face, by their number."""
    return {
        "library": library,
        "label": MANY[library][0],
        "original": make_many(library, library),
        "face": make_many(library, f"holdfast.compat.{library}"),
    }


def table_of_many(found: list[dict[str, Any]]) -> list[str]:
    """Return what one more costs, in Markdown."""
    sizes = " | ".join(f"of {size:,}" for size in SIZES)
    lines = [f"| µs for one more | | {sizes} |", "|---|---|" + "---:|" * len(SIZES)]
    for row in found:
        for which in ("original", "face"):
            figures = " | ".join(f"{us:.1f}" for us in row[which])
            lines.append(f"| {row['library']}: {row['label']} | {which} | {figures} |")
    return lines


def measure(library: str, rounds: int) -> list[dict[str, Any]]:
    """Return what the original and the face of a library take, in nanoseconds, for each case."""
    cases = LIBRARIES[library]
    originals = cases(import_module(library))
    faces = cases(import_module(f"holdfast.compat.{library}"))
    ns = run_in_turn(
        {(which, label): case for which, made in (("original", originals), ("face", faces))
         for label, case in made.items()},
        rounds,
    )  # fmt: skip
    return [
        {
            "library": library,
            "label": label,
            "original": ns["original", label],
            "face": ns["face", label],
            "target": TARGETS.get((library, label), 1),
        }
        for label in originals
    ]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Return the measured rows in Markdown."""
    lines = ["| | | original, ns | face, ns | times | target |", "|---|---|---:|---:|---:|---:|"]
    for row in found:
        times = row["original"] / row["face"]
        missed = " (missed)" if times < row["target"] else ""
        lines.append(
            f"| {row['library']} | {row['label']} | {row['original']:,.0f} | {row['face']:,.0f} "
            f"| {times:.1f}{missed} | ≥ {row['target']} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure faces beside their originals.")
    parser.add_argument("libraries", nargs="*", help="of which libraries; all by default")
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    found: list[dict[str, Any]] = []
    many: list[dict[str, Any]] = []
    for library in asked.libraries or LIBRARIES:
        try:
            metadata.version(library)
        except metadata.PackageNotFoundError:
            print(f"left out: {library} is not installed")
            continue
        found += measure(library, asked.rounds)
        many.append(measure_many(library))
    print(*table(found), "", *table_of_many(many), sep="\n")
    if not asked.libraries:
        everything = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        version = ".".join(platform.python_version_tuple()[:2]) + ("" if GIL else "t")
        everything[version] = {"speed": found, "many": many}
        RESULTS.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
