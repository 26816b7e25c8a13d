"""Celery: tasks of guarded functions, and guards of tasks."""

from __future__ import annotations

from typing import Any

import celery
import pytest

from holdfast import CircuitBreaker, CircuitOpenError, ManualClock
from tests.gate.parts import fates


@pytest.fixture
def app() -> Any:
    app = celery.Celery("here", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_always_eager = True
    return app


@pytest.mark.parametrize("typing", [True, False])
def test_a_task_of_a_guarded_function_runs_guarded(app: Any, typing: bool) -> None:
    breaker = CircuitBreaker("b")

    @app.task(shared=False, typing=typing)
    @breaker
    def add(x: int, y: int = 1, *, z: int = 0) -> int:
        """Add up."""
        return x + y + z

    assert add.delay(1, 2).get() == 3
    assert add.apply_async((1,), {"z": 5}).get() == 7
    assert add.s(4)(5) == 9
    assert fates(breaker) == {"succeeded": 3}
    assert (add.name, add.__doc__) == (f"{__name__}.add", "Add up.")
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        add.delay(1, 2).get()


def test_a_task_checks_its_arguments_before_it_is_sent(app: Any) -> None:
    breaker = CircuitBreaker("b")

    @app.task(shared=False)
    @breaker
    def add(x: int, y: int) -> int:
        return x + y

    for args, kwargs in (((1,), {}), ((1, 2, 3), {}), ((1, 2), {"z": 3})):
        with pytest.raises(TypeError, match=r"add\(\)"):
            add.apply_async(args, kwargs)
    assert breaker.snapshot().admitted == 0


def test_a_bound_task_gets_itself_and_may_retry(app: Any) -> None:
    breaker, tries = CircuitBreaker("b"), []

    @app.task(shared=False, bind=True, max_retries=2)
    @breaker
    def flaky(self: Any, x: int) -> int:
        tries.append(self.request.retries)
        if len(tries) < 2:
            raise self.retry(exc=ConnectionError("no"), countdown=0)
        return x

    with pytest.raises(TypeError):
        flaky.delay()
    assert flaky.delay(7).get() == 7
    assert tries == [0, 1]


def test_a_task_retries_by_itself_what_the_guard_lets_through(app: Any) -> None:
    breaker, tries = CircuitBreaker("b"), []

    @app.task(shared=False, autoretry_for=(ConnectionError,), default_retry_delay=0)
    @breaker
    def flaky(x: int) -> int:
        tries.append(x)
        if len(tries) < 3:
            raise ConnectionError
        return x

    assert flaky.delay(7).get() == 7
    assert fates(breaker) == {"failed": 2, "succeeded": 1}


def test_what_a_task_was_refused_for_comes_through_a_backend_of_json(app: Any) -> None:
    breaker = CircuitBreaker("mail", reset_timeout=10, clock=ManualClock())
    breaker.trip()
    with pytest.raises(CircuitOpenError) as caught:
        breaker.call(len, "")
    backend = app.backend
    sent = backend.encode(backend.prepare_exception(caught.value, "json"))
    answer = backend.exception_to_python(backend.decode(sent))
    assert type(answer) is CircuitOpenError
    assert str(answer) == "circuit breaker 'mail' is open: by hand; retry in 10.000 s"
    assert (answer.name, answer.reason, answer.retry_after) == ("mail", "open", 10.0)


def test_a_task_itself_may_be_guarded(app: Any) -> None:
    breaker = CircuitBreaker("b")

    @breaker
    @app.task(shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    assert add(1, 2) == 3
    assert fates(breaker) == {"succeeded": 1}
    assert add.__name__ == "add"
