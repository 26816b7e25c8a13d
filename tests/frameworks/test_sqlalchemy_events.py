"""SQLAlchemy: guarded listeners, which it calls by what their signature takes."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event

from holdfast import CircuitBreaker
from tests.gate.parts import fates


class Log(list[str]):
    def listen(self, conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.append(statement)

    def brief(self, statement: str, **named: Any) -> None:
        self.append(statement)


def brief(log: Log) -> Callable[..., None]:
    def listen(statement: str, **named: Any) -> None:
        log.append(statement)

    return listen


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", ["function", "method of a guard", "guard of a method"])
def test_a_guarded_listener_is_called_with_what_it_takes(named: bool, kind: str) -> None:
    breaker, log = CircuitBreaker("b"), Log()
    method = log.brief if named else log.listen
    listeners = {
        "function": breaker(brief(log) if named else lambda *args: method(*args)),
        "method of a guard": breaker(type(log).brief if named else type(log).listen).__get__(log),
        "guard of a method": breaker(method),
    }
    engine = sqlalchemy.create_engine("sqlite://")
    event.listen(engine, "before_cursor_execute", listeners[kind], named=named)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
    engine.dispose()
    assert log == ["select 1"]
    assert fates(breaker) == {"succeeded": 1}
