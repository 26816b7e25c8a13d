"""A worker process that does as it is told, a line each: `python worker.py`, commands on stdin.

Answers each with a line of JSON. Not a test: tests/stores start it, many times.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast._native import ledger as native
from holdfast.stores import ledger as ledger_module
from holdfast.stores import workers
from holdfast.stores.ledger import ledger
from holdfast.telemetry.prometheus import Collector

member = hf.Timeout(60)  # without a name no metric shows it; with it the process has a file
collector = Collector()
policies: dict[str, list[Any]] = {}
children: list[int] = []


def fail() -> None:
    raise ConnectionError


def breaker(name: str) -> hf.CircuitBreaker:
    if name not in policies:
        policies[name] = [hf.CircuitBreaker(name, failure_threshold=None, failure_rate=1.0)]
    found: hf.CircuitBreaker = policies[name][-1]
    return found


def full(name: str) -> hf.Bulkhead:
    bulkhead = hf.Bulkhead(name, max_concurrent=1)
    bulkhead.enter()
    return bulkhead


def tripped(name: str, reset_timeout: float) -> hf.CircuitBreaker:
    made = hf.CircuitBreaker(name, reset_timeout=reset_timeout)
    made.trip()
    return made


def make(kind: str, name: str) -> str:
    made = {
        "breaker": lambda: hf.CircuitBreaker(name, latency=True),
        "bulkhead": lambda: hf.Bulkhead(name, max_waiting=2, max_wait=1),
        "full": lambda: full(name),
        "retry": lambda: hf.Retry(name, attempts=3, backoff=hf.Constant(0), budget=None),
        "limiter": lambda: hf.RateLimiter(name, limits="2/hour;3/hour"),
        "window": lambda: hf.RateLimiter(name, rate=2, per=3600, window="sliding"),
        "timeout": lambda: hf.Timeout(60, name=name),
        "fallback": lambda: hf.Fallback(0, on=ConnectionError, name=name),
        "errors": lambda: hf.ErrorBudget(name, slo=0.9),
        "latency": lambda: hf.LatencyBudget(name, min_samples=1),
        "open": lambda: tripped(name, 3600),
        "due": lambda: tripped(name, 1e-9),
        "pipeline": lambda: hf.Pipeline.standard(name, attempts=1),
        "observing": lambda: hf.RateLimiter(name, rate=1, per=3600, mode="observe"),
    }[kind]()
    policies.setdefault(name, []).append(made)
    return kind


def call(name: str, times: str) -> int:
    guard = breaker(name)
    for _ in range(int(times)):
        guard.call(int)
    return int(times)


def check(checker: str, name: str, results: str) -> int:
    """Record results of a health check: passed, degraded, failed, unproven."""
    from holdfast.health.figures import Figures

    made = Figures(checker, name, failures=2, successes=1, start_period_ns=0)
    policies.setdefault(name, []).append(made)
    for result in results:
        made.state.record("pdf?".index(result), 0, 0)
    return made.state.state


def degrade(manager: str, component: str, level: str) -> int:
    """Ask for a level of a component."""
    from holdfast.degradation import DegradationManager

    if manager not in policies:
        policies[manager] = [DegradationManager(manager, stable_time=0)]
    made = policies[manager][-1].component(component)
    made.set(level)
    return int(made.level)


def fail_calls(name: str, times: str) -> int:
    for _ in range(int(times)):
        policies[name][-1].try_call(fail)
    return int(times)


def drop(name: str) -> None:
    del policies[name]
    gc.collect()


def scrape() -> list[Any]:
    return [
        [metric.type, sample.name, sorted(sample.labels.items()), sample.value]
        for metric in collector.collect()
        for sample in metric.samples
    ]


def scrape_meanwhile() -> list[Any]:
    """Scrape, and wait for a line on stdin after the first reading of the other workers."""
    look = workers.Workers.look

    def look_and_wait(*args: Any, **kwargs: Any) -> Any:
        workers.Workers.look = look  # type: ignore[method-assign]
        view = look(*args, **kwargs)
        print(json.dumps("read"), flush=True)
        sys.stdin.readline()
        return view

    workers.Workers.look = look_and_wait  # type: ignore[method-assign]
    return scrape()


def make_many(first: str, number: str) -> int:
    """Make so many policies of each of six kinds, and have each count a call."""
    for at in range(int(first), int(first) + int(number)):
        name = f"n{at}"
        made: list[Any] = [
            hf.CircuitBreaker(name),
            hf.RateLimiter(name, rate=1),
            hf.Bulkhead(name, max_concurrent=1),
            hf.Retry(name, on=ConnectionError, attempts=2, backoff=hf.Constant(0), budget=None),
            hf.Timeout(60, name=name),
            hf.Fallback(0, on=ConnectionError, name=name),
        ]
        for policy in made:
            policy.try_call(fail)
        made[2].enter()
        made[2].try_enter()
        policies.setdefault(name, []).extend(made)
    return int(number)


def use_every() -> list[str]:
    """Make each policy of the table twice, which enforces and observes, and have it count calls."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from holdfast.testing import chaos_enabled
    from tests.policies.members import MEMBERS
    from tests.policies.members import fail as fail_as_named

    with chaos_enabled(clock=hf.ManualClock()):
        for mode in ("enforce", "observe"):
            for member in MEMBERS.values():
                policy = member.make(clock=hf.ManualClock(), mode=mode)
                for work in (int, int, fail_as_named):
                    policy.try_call(work)
                policies.setdefault("every", []).append(policy)
    return sorted({policy.kind for policy in policies["every"]})


def keep(keys: str) -> int:
    """Have the totals keep about so many keys."""
    workers.KEYS_MOST = int(keys)
    return int(keys)


def bound(names: str) -> int:
    """Scrape with this bound on names from here on."""
    global collector
    collector = Collector(max_names=int(names))
    return int(names)


def fork() -> int:
    """Go on as the child; the parent waits for it, and then goes on itself."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid


def child(name: str, times: str) -> str:
    """Have a child make calls, and wait until it has ended."""
    pid = os.fork()
    if pid == 0:
        call(name, times)
        breaker(name).trip()
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    return breaker(name).state.value


def touches_the_directory(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an audit event opens, renames or removes a file there, or lists it."""
    if event == "os.listdir":
        return isinstance(arguments[0], int)
    names = (str(ledger.directory), "worker-", ".worker-", "totals.json", ".totals.json", "lock")
    return event in ("open", "os.rename", "os.remove") and str(arguments[0]).startswith(names)


def die_at(step: str, merge: Callable[[], Any] = scrape) -> None:
    """Scrape, and die just before the step of that number that touches the directory."""
    left = int(step)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if touches_the_directory(event, arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), 9)

    sys.addaudithook(count)
    merge()
    left = -1


def die_at_in_tidy(step: str) -> None:
    """Die in the same way while doing what a process does when it has made a file."""
    workers.FEW = 2
    assert ledger.directory is not None
    die_at(step, partial(workers.tidy, ledger.directory))


def opened_by(what: str) -> int:
    """Return how many files of the directory are opened after a start, or by a scrape."""
    opened = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal opened
        opened += event == "open" and touches_the_directory(event, arguments)

    sys.addaudithook(count)
    assert ledger.directory is not None
    scrape() if what == "scrape" else workers.tidy(ledger.directory)
    return opened


def endless(name: str) -> None:
    """Make calls until killed; says so first."""
    print(json.dumps("begun"), flush=True)
    guard = breaker(name)
    while True:
        guard.try_call(int)
        guard.try_call(fail)


def churn() -> None:
    """Make policies and drop them until killed; says so first."""
    print(json.dumps("begun"), flush=True)
    lives_on = hf.CircuitBreaker("churned")
    while True:
        hf.CircuitBreaker("churned").call(int)
        lives_on.call(int)


def make_and_drop(names: str, first: str = "0") -> None:
    """Make so many breakers one after the other, each of which is called once and dropped."""
    for number in range(int(first), int(first) + int(names)):
        hf.CircuitBreaker(f"gone-{number}").call(int)


def keep_gone(most: str) -> None:
    """Keep fewer sums of collected policies than an ordinary worker."""
    ledger_module.GONE_MOST = ledger._gone_most = int(most)


def keep_dead(most: str) -> None:
    """Keep fewer sums of dead workers than an ordinary worker."""
    workers.KEYS_MOST = int(most)


def close() -> None:
    """Close every descriptor but the standard ones, as a daemon does."""
    os.closerange(3, 100)


def count(name: str, good: str, failed: str) -> int:
    """Count requests for an error budget."""
    [budget] = policies[name]
    budget.record(ok=True, n=int(good))
    budget.record(ok=False, n=int(failed))
    return int(failed)


COMMANDS: dict[str, Any] = {
    "make": make,
    "count": count,
    "call": call,
    "fail": fail_calls,
    "check": check,
    "degrade": degrade,
    "drop": drop,
    "trip": lambda name: breaker(name).trip(),
    "enter": lambda name: policies[name][-1].enter(),
    "record": lambda name, seconds, times: [
        policies[name][-1].record(float(seconds)) for _ in range(int(times))
    ],
    "take": lambda name: policies[name][-1].try_acquire(),
    "scrape": scrape,
    "scrape_meanwhile": scrape_meanwhile,
    "bound": bound,
    "keep": keep,
    "fork": fork,
    "child": child,
    "endless": endless,
    "churn": churn,
    "make_and_drop": make_and_drop,
    "make_many": make_many,
    "use_every": use_every,
    "keep_gone": keep_gone,
    "keep_dead": keep_dead,
    "used": native.used,
    "close": close,
    "die_at": die_at,
    "die_at_in_tidy": die_at_in_tidy,
    "opened_by": opened_by,
    "file": lambda: ledger.file,
    "pid": os.getpid,
}

if __name__ == "__main__":
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        print(json.dumps(COMMANDS[command](*arguments)), flush=True)
