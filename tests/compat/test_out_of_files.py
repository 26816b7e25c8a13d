"""Faces in a process that has no file descriptor left: that is a failure they are there for."""

import pytest

from tests.apart import run_apart

# Everything a failure needs is imported before. Nothing can be imported afterwards.
PREAMBLE = """
import asyncio, os, resource
import {module} as face
loop = asyncio.new_event_loop()

def refused():
    raise OSError(24, "Too many open files")

async def arefused():
    raise OSError(24, "Too many open files")

def answer(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return type(error).__name__ + " " + str(error)[:12]

descriptors = []

def use_up():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            descriptors.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass

def show(*lines):
    for one in descriptors:
        os.close(one)
    loop.close()
    print(*lines, sep="\\n")

"""


def answers(module: str, source: str) -> list[str]:
    return run_apart(PREAMBLE.format(module=module) + source).splitlines()


RETRIES = {
    "tenacity": """
retry = face.retry(stop=face.stop_after_attempt(2), wait=face.wait_fixed(0.001), reraise=True)
def block():
    for attempt in face.Retrying(stop=face.stop_after_attempt(2), reraise=True):
        with attempt:
            refused()
""",
    "stamina": """
face.instrumentation.set_on_retry_hooks([])
retry = face.retry(on=OSError, attempts=2, wait_initial=0.001, wait_jitter=0.001)
def block():
    for attempt in face.retry_context(on=OSError, attempts=2, wait_initial=0.001, wait_jitter=0):
        with attempt:
            refused()
""",
    "backoff": """
retry = face.on_exception(face.expo, OSError, max_tries=2, factor=0.001)
block = face.on_exception(face.constant, OSError, max_tries=2, interval=0.001)(refused)
""",
}


@pytest.mark.parametrize("library", RETRIES)
def test_a_face_raises_what_the_function_raised_if_no_file_can_be_opened(
    library: str,
) -> None:
    said = answers(
        f"holdfast.compat.{library}",
        RETRIES[library]
        + """
calls, acalls = retry(refused), retry(arefused)
use_up()
said = answer(calls), answer(block), answer(lambda: loop.run_until_complete(acalls()))
show(*said)
""",
    )
    assert said == ["OSError [Errno 24] T"] * 3


BREAKERS = {
    "circuitbreaker": """
def make(name):
    return face.CircuitBreaker(failure_threshold=1, name=name)
def close(breaker): breaker.reset()
""",
    "pybreaker": """
def make(name):
    return face.CircuitBreaker(1, name=name, throw_new_error_on_trip=False)
def close(breaker): breaker.close()
""",
    "aiobreaker": """
def make(name):
    return face.CircuitBreaker(1, name=name)
def close(breaker): breaker.close()
""",
    "": """
def make(name):
    return face.CircuitBreaker(name, failure_threshold=1)
def close(breaker): breaker.reset()
""",
}


@pytest.mark.parametrize("library", BREAKERS)
def test_a_breaker_that_opens_since_no_file_can_be_opened_tells_its_listeners(library: str) -> None:
    module = f"holdfast.compat.{library}" if library else "holdfast"
    said = answers(
        module,
        BREAKERS[library]
        + """
seen = []
first, second = make("first"), make("second")
calls, acalls = first(refused), second(arefused)
for one in (first, second):
    getattr(one, "policy", one).on_event(lambda event: event.new and seen.append(str(event.new)))
use_up()
answer(calls)
answer(lambda: loop.run_until_complete(acalls()))
said = answer(calls), answer(lambda: loop.run_until_complete(acalls()))
close(first)
show(" ".join(seen), *said)
""",
    )
    assert said[0] == "open open closed"
    assert ["Circuit" in line for line in said[1:]] == [True, True]


def test_a_limiter_waits_though_no_file_can_be_opened() -> None:
    assert answers(
        "holdfast.compat.aiolimiter",
        """
limiter = face.AsyncLimiter(1, 0.001)

async def twice():
    async with limiter:
        pass
    async with limiter:
        return "twice"

use_up()
said = answer(lambda: loop.run_until_complete(twice()))
show(said)
""",
    ) == ["twice"]


def test_a_native_retry_waits_in_a_task_though_no_file_can_be_opened() -> None:
    assert (
        answers(
            "holdfast",
            """
retry = face.Retry("r", attempts=2, backoff=0.001, on=OSError)
use_up()
said = answer(retry.call, refused), answer(lambda: loop.run_until_complete(retry.acall(arefused)))
show(*said)
""",
        )
        == ["OSError [Errno 24] T"] * 2
    )


def test_a_breaker_made_at_the_end_of_the_process_or_without_files_guards() -> None:
    assert (
        answers(
            "holdfast",
            """
import os, sys

class AtTheEnd:
    def __del__(self):
        breaker = face.CircuitBreaker("last", failure_threshold=2)
        os.write(1, (answer(breaker.call, refused) + "\\n").encode())

sys.modules["kept"] = AtTheEnd()
use_up()
breaker = face.CircuitBreaker("b", failure_threshold=2)
show(answer(breaker.call, refused))
sys.stdout.flush()
""",
        )
        == ["OSError [Errno 24] T"] * 2
    )
