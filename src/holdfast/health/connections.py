"""Connections to databases, of the shapes that libraries give them: used once, and given back.

Owns that each connection is closed, also after an error, and that no transaction is left open.
Threads and tasks take the same steps; only tasks await what a step returns. Elsewhere: the meaning
of a slow answer (``database``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias

    # Each step yields what a library has returned, and receives what that gives if it is awaited.
    Steps: TypeAlias = Generator[Any, Any, None]
    End: TypeAlias = Callable[[Any], object]

__all__ = ["ask", "ask_in_task"]

_SHAPES = ("cursor", "exec_driver_sql", "fetchrow")  # DB-API, SQLAlchemy, asyncpg
_ASYNC = "make the check with is_async=True"


def ask(connect: Callable[[], Any], query: str, give_back: End | None) -> None:
    """Ask a database in this thread, and read the first row of its answer.

    Args:
        connect: Returns a connection, or a context manager that gives one.
        query: The query.
        give_back: A callable that gets the connection at the end, instead of closing it.

    Raises:
        TypeError: ``connect`` returned something else.
        Exception: An error of the library, also at the end; of several errors, the first.
    """
    opened = connect()
    if _is_awaitable(opened) or (
        hasattr(opened, "__aenter__") and not hasattr(opened, "__enter__")
    ):
        _drop(opened)
        raise TypeError(f"connect() returned something that needs a task: {_ASYNC}")
    if _is_connection(opened):
        _take(_steps(opened, query, give_back or _close))
    elif hasattr(opened, "__enter__"):
        with opened as connection:
            _take(_steps(connection, query, give_back))
    else:
        raise _no_connection(opened)


async def ask_in_task(connect: Callable[[], Any], query: str, give_back: End | None) -> None:
    """Ask a database in this task, as ``ask`` does."""
    opened = connect()
    if _is_awaitable(opened) and not hasattr(opened, "__aenter__"):
        opened = await opened
    elif _is_awaitable(opened):  # either way, but only the block gives back what a pool has given
        async with opened as connection:
            await _take_in_task(_steps(connection, query, give_back))
        return
    if _is_connection(opened):
        await _take_in_task(_steps(opened, query, give_back or _close))
    elif hasattr(opened, "__aenter__"):
        async with opened as connection:
            await _take_in_task(_steps(connection, query, give_back))
    else:
        raise _no_connection(opened)


def _steps(connection: Any, query: str, end: End | None) -> Steps:
    """Ask the query, and then close all that was opened, the connection with ``end``."""
    if not _is_connection(connection):
        raise _no_connection(connection)
    closing: list[Callable[[], object]] = []
    if end is not None:
        closing.append(lambda: end(connection))
    if hasattr(connection, "rollback"):
        closing.append(connection.rollback)
    error: BaseException | None = None
    try:
        if hasattr(connection, "exec_driver_sql"):
            answer = yield connection.exec_driver_sql(query)
            closing.append(answer.close)
            if answer.returns_rows:
                yield answer.fetchone()
        elif hasattr(connection, "fetchrow"):
            yield connection.fetchrow(query)
        else:
            cursor = yield connection.cursor()
            closing.append(cursor.close)
            yield cursor.execute(query)
            if cursor.description is not None:  # there is an answer with rows
                yield cursor.fetchone()
    except GeneratorExit:  # the loop is gone: nothing can be awaited any more
        _terminate(connection, end)
        raise
    except BaseException as raised:  # noqa: BLE001 - it is raised below
        error = raised
    if error is not None and not isinstance(error, Exception) and end is _close:
        # Cancelled: no polite end, for which a server that hangs would have to answer.
        closing = [lambda: _terminate(connection, end) or _close(connection)]
    for step in reversed(closing):
        try:
            yield step()
        except GeneratorExit:
            _terminate(connection, end)
            raise
        except BaseException as raised:  # noqa: BLE001 - it is raised below
            if error is None or (
                isinstance(error, Exception) and not isinstance(raised, Exception)
            ):
                error = raised  # the first, but an interrupt comes before an error
    if error is not None:
        raise error


def _take(steps: Steps) -> None:
    step: Callable[[Any], Any] = steps.send
    argument: Any = None
    while True:
        try:
            returned = step(argument)
        except StopIteration:
            return
        if _is_awaitable(returned):
            _drop(returned)
            argument = TypeError(f"the connection returned something to await: {_ASYNC}")
            step = steps.throw
        else:
            argument, step = returned, steps.send


async def _take_in_task(steps: Steps) -> None:
    step: Callable[[Any], Any] = steps.send
    argument: Any = None
    while True:
        try:
            returned = step(argument)
        except StopIteration:
            return
        try:
            argument = await returned if _is_awaitable(returned) else returned
            step = steps.send
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the steps raise it again, after the end
            argument, step = error, steps.throw


def _is_connection(opened: Any) -> bool:
    return any(hasattr(opened, name) for name in _SHAPES)


def _is_awaitable(returned: Any) -> bool:
    return hasattr(returned, "__await__")


def _close(connection: Any) -> object:
    return connection.close()


def _terminate(connection: Any, end: End | None) -> bool:
    """Close a connection that is ours without a word to the server; return whether it has a way."""
    if end is not _close or not hasattr(connection, "terminate"):
        return False
    connection.terminate()
    return True


def _drop(awaitable: Any) -> None:
    if hasattr(awaitable, "cr_frame"):
        awaitable.close()  # a coroutine that is not awaited would warn


def _no_connection(opened: object) -> TypeError:
    return TypeError(
        f"connect() gave an object of {type(opened).__name__}, not a connection to a database"
    )
