"""Programs of each library run with its face after the change that the command prints."""  # RT-18

import ast
import sys

import pytest

from holdfast.agent.migrate.look import look_at
from holdfast.compat.differences import LIBRARIES

PROGRAMS = {
    "tenacity": """\
import asyncio
import tenacity
from tenacity import retry, stop_after_attempt, wait_none as none
import tenacity.stop

found = []


@retry(stop=stop_after_attempt(3), wait=none(), reraise=True)
def load():
    found.append(1)
    if len(found) < 3:
        raise OSError("again")
    return len(found)


assert load() == 3 and load.statistics["attempt_number"] == 3
assert isinstance(tenacity.stop_never, tenacity.stop.stop_base)


async def main():
    async for attempt in tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(2)):
        with attempt:
            return attempt.retry_state.attempt_number


assert asyncio.run(main()) == 1
""",
    "stamina": """\
import stamina as s
from stamina.instrumentation import set_on_retry_hooks

set_on_retry_hooks([])
calls = iter([ValueError("one"), "two"])


@s.retry(on=ValueError, attempts=2, wait_initial=0, wait_jitter=0)
def load():
    one = next(calls)
    if isinstance(one, Exception):
        raise one
    return one


assert load() == "two"
""",
    "backoff": """\
import backoff, os

calls = iter([OSError("one"), os.sep])


@backoff.on_exception(backoff.constant, OSError, interval=0, max_tries=2)
def load():
    one = next(calls)
    if isinstance(one, Exception):
        raise one
    return one


assert load() == os.sep
""",
    "pybreaker": """\
import pybreaker


class Listener(pybreaker.CircuitBreakerListener):
    def state_change(self, breaker, old, new):
        names.append(new.name)


names = []
bank = pybreaker.CircuitBreaker(1, 30, exclude=[LookupError], listeners=[Listener()])
try:
    bank.call(int, "x")
except pybreaker.CircuitBreakerError:
    pass
assert names == ["open"] and bank.current_state == pybreaker.STATE_OPEN
""",
    "circuitbreaker": """\
from circuitbreaker import CircuitBreakerError, CircuitBreakerMonitor, circuit


@circuit(failure_threshold=1, expected_exception=ValueError, name="a circuit of a program")
def load(text):
    return int(text)


for expected in (ValueError, CircuitBreakerError):
    try:
        load("x")
    except expected:
        continue
    raise AssertionError
assert CircuitBreakerMonitor.get("a circuit of a program").opened
""",
    "aiobreaker": """\
import asyncio
from datetime import timedelta

import aiobreaker
from aiobreaker.state import CircuitBreakerState

breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(seconds=9))


@breaker
async def load():
    raise OSError("refused")


try:
    asyncio.run(load())
except aiobreaker.CircuitBreakerError:
    pass
assert breaker.current_state is CircuitBreakerState.OPEN
""",
    "limits": """\
from limits import *
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

limiter = FixedWindowRateLimiter(storage_from_string("memory://"))
item = parse("1/hour")
assert [limiter.hit(item, "a"), limiter.hit(item, "a")] == [True, False]
""",
    "aiolimiter": """\
import asyncio


async def main():
    from aiolimiter import AsyncLimiter

    limiter = AsyncLimiter(1, 60)
    async with limiter:
        return limiter.has_capacity()


assert asyncio.run(main()) is False
""",
}


@pytest.fixture
def looked(tmp_path):
    def look(library):
        (tmp_path / "program.py").write_text(PROGRAMS[library])
        return look_at(str(tmp_path))

    return look


def changed(text, patch):
    """Apply a diff of ours."""
    lines = text.splitlines()
    at = 0
    for line in patch.decode().splitlines()[2:]:
        if line.startswith("@@"):
            at = int(line.split("+")[1].split(",")[0]) - 1
        elif line[0] == "+":
            lines[at] = line[1:]
            at += 1
        elif line[0] == " ":
            assert lines[at] == line[1:]
            at += 1
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_program_runs_with_the_face_after_the_change(library, looked, monkeypatch):
    report = looked(library)
    [patch] = report.patches
    program = changed(PROGRAMS[library], patch)
    for name in LIBRARIES:  # the library need not be there
        monkeypatch.setitem(sys.modules, name, None)
    exec(compile(program, f"{library} changed", "exec"), {"__name__": "changed"})
    imports = [one for one in ast.walk(ast.parse(program)) if isinstance(one, ast.ImportFrom)]
    assert not any((one.module or "").partition(".")[0] in LIBRARIES for one in imports)


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_name_of_a_program_is_there_and_what_differs_is_told(library, looked):
    report = looked(library)
    assert {use.library for use in report.uses} == {library}
    assert [use.by_hand for use in report.uses if use.by_hand] == []
    assert [use for use in report.uses if use.kind == "name"]
    assert [text for use in report.uses for text in use.differs]


def test_what_is_excluded_from_a_breaker_is_told_where_it_is_written(looked):
    report = looked("pybreaker")
    [line] = [
        at for at, text in enumerate(PROGRAMS["pybreaker"].splitlines(), 1) if "exclude" in text
    ]
    told = [text for use in report.uses if use.line == line for text in use.differs]
    assert any("metaclass" in text for text in told)
