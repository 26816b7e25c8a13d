"""Guarding what a plain function returned to be run later: awaitables, context managers, futures.

What has not begun is admitted when it does: awaited, entered, iterated. A future runs already, so
the call was admitted, and settles when the future is done. Elsewhere: generators (``streams``), and
how such results are told from others (``csrc/python/late.c``).
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from types import FunctionType
from weakref import WeakKeyDictionary

from holdfast._native.gate import _callable_kind
from holdfast.errors import Rejected
from holdfast.validation import titled
from holdfast.waiting.streams import guarded_async_generator, guarded_generator, items_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, NoReturn, TypeVar

    from holdfast._native.gate import Gate, GuardedCoroutine, Permit

    F = TypeVar("F")
    M = TypeVar("M")

__all__ = [
    "as_expected",
    "block_of",
    "guarded_async_manager",
    "guarded_awaitable",
    "guarded_manager",
    "guarded_task",
    "refuse_future",
    "refuse_kind",
    "refuse_late",
    "settle_when_done",
]


# ---- which kind, by the numbers of the native gate (hf_callable and hf_late in hfpy.h) ----

_COROUTINE, _GENERATOR, _, _MANAGER, _ASYNC_MANAGER, _AWAITABLE, _TASK, _FUTURE = range(1, 9)
_CALLABLES = ("plain", "coroutine", "generator", "asynchronous generator")
_LATE = (
    "its result",
    "a coroutine",
    "a generator",
    "an asynchronous generator",
    "a context manager",
    "an asynchronous context manager",
    "an awaitable",
    "a future of asyncio",
    "a future",
)


def refuse_kind(method: str, kind: int, fn: Any) -> NoReturn:
    """Refuse a function that ``method`` of a policy cannot see the end of.

    Raises:
        TypeError: Always.
    """
    other = _awaited_twin(method) if kind == _COROUTINE else "call"
    raise TypeError(f"{method}() got the {_CALLABLES[kind]} function {fn!r}; use '{other}()'")


def refuse_late(method: str, kind: int, fn: Any, late: Any) -> NoReturn:
    """Refuse what ``fn`` returned to ``method`` of a policy, and see to it that nothing of it runs.

    Raises:
        TypeError: Always.
    """
    if kind in (_TASK, _FUTURE):
        late.cancel()
    elif kind in (_COROUTINE, _GENERATOR) or (
        # close() of another awaitable may mean something else
        kind == _AWAITABLE and hasattr(late, "send") and hasattr(late, "close")
    ):
        late.close()
    other = _awaited_twin(method) if kind in (_COROUTINE, _AWAITABLE, _TASK) else "call"
    raise TypeError(f"{method}() got {fn!r}, which returned {_LATE[kind]}; use '{other}()'")


def _awaited_twin(method: str) -> str:
    return "await " + method.replace("call", "acall").replace("execute", "aexecute")


# ---- what a fallback gave ----


def as_expected(given: Any, fn: Any, late: int, in_loop: int) -> Any:
    """Return what a fallback gave as the caller expects it: to be awaited, or to be entered.

    Args:
        given: What the fallback gave.
        fn: The guarded function.
        late: Which kind of late result it gave in earlier calls; 0: none.
        in_loop: Whether an event loop runs in this thread.
    """
    if late in (_MANAGER, _ASYNC_MANAGER) or (late == 0 and _makes_managers(fn)):
        return block_of(given)
    if late in (_COROUTINE, _AWAITABLE, _TASK) or (late == 0 and in_loop and _is_awaited(fn)):
        return _given(given)
    return given


async def _given(result: F) -> F:
    return result


# The code of every function that one of these decorators has made.
_makers: Any = (contextmanager, asynccontextmanager)
_MAKER_CODES = [made(int).__code__ for made in _makers]


def _makes_managers(fn: Any) -> bool:
    return type(fn) is FunctionType and fn.__code__ in _MAKER_CODES


def _is_awaited(fn: Any) -> bool:
    """Return whether a coroutine function is behind what wraps it."""
    for _ in range(100):  # wrappers of wrappers, perhaps in a circle
        try:
            fn = fn.__wrapped__
        except Exception:  # noqa: BLE001 - this one wraps nothing
            break
    return _callable_kind(fn) == _COROUTINE


# ---- what runs already ----


def settle_when_done(future: F, permit: Permit) -> F:
    """Return ``future``, of asyncio or concurrent.futures; when it is done, ``permit`` settles."""
    settle: Callable[[Any], None] = partial(_settle, permit)
    its: Any = future
    if its.done():
        settle(its)
    else:
        its.add_done_callback(settle)
    return future


def _settle(permit: Permit, future: Any) -> None:
    if future.cancelled():
        permit.ignore()
        return
    # Not exception(): whoever asks that has retrieved it, and asyncio would not tell of one that
    # nobody else has.
    error = future._exception if hasattr(future, "_exception") else future.exception()
    if error is None:
        permit._returned(future.result())
    else:
        permit.failure(error)


def guarded_task(gate: Gate, awaitable: Any, *again: Any) -> Any:
    """Return a task, for a caller who is used to get a future.

    Args:
        gate: The policy or pipeline.
        awaitable: A guarded call; or a future that ``gate``, which controls calls, is to guard.
        *again: Of a future: the function that gave it, and its arguments.
    """
    from asyncio import _get_running_loop

    if again:
        awaitable = _awaited(gate._await(awaitable, *again), awaitable)
    loop = _get_running_loop()
    return awaitable if loop is None else loop.create_task(awaitable)


async def _awaited(guarded: GuardedCoroutine[Any], future: Any) -> Any:
    try:
        return await guarded
    except Rejected:
        future.cancel()  # what was not admitted is not to run
        raise


def refuse_future(gate: Gate, future: Any) -> None:
    """Refuse a future of concurrent.futures: nobody here could run it again, or cut it short.

    Raises:
        TypeError: Always.
    """
    future.cancel()
    raise TypeError(
        f"{titled(gate)} has a timeout, a retry or a fallback, which cannot control a "
        f"{type(future).__name__} of concurrent.futures: guard what the executor runs, as in "
        "executor.submit(policy.call, fn)"
    )


# ---- context managers of contextlib: guarded is the generator in them ----


def guarded_manager(gate: Gate, manager: M, *again: Any) -> M:
    """Return what ``@contextmanager`` made, guarded from its entry to its exit.

    Args:
        gate: The policy or pipeline.
        manager: What it guards; used as a decorator, each call of what it decorates is guarded.
        *again: For a gate that controls calls: the function that gave it, and its arguments.
    """
    guarded = partial(guarded_generator, gate, items=_entered_instead, around=True)
    return _with_guarded_generator(gate, manager, guarded, again)


def guarded_async_manager(gate: Gate, manager: M, *again: Any) -> M:
    """Do what ``guarded_manager`` does for what ``@asynccontextmanager`` made."""
    guarded = partial(guarded_async_generator, gate, items=_aentered_instead, around=True)
    return _with_guarded_generator(gate, manager, guarded, again)


def _with_guarded_generator(
    gate: Gate, manager: M, guarded: Callable[..., Any], again: tuple[Any, ...]
) -> M:
    its: Any = manager
    if not hasattr(its, "func"):
        return manager  # entered before, so it has begun elsewhere
    if again:
        fn, *arguments = again
        again = (partial(_generator_of, fn), *arguments)
    its.gen = guarded(its.gen, *again)
    its.func = gate._guard(its.func)  # as a decorator it makes itself anew for every call
    return manager


def _generator_of(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return fn(*args, **kwargs).gen


def _entered_instead(given: Any) -> Generator[Any, None, None]:
    """Enter what a fallback gave for a context manager: another one, or what `as` is to name."""
    with block_of(given) as value:
        yield value


async def _aentered_instead(given: Any) -> AsyncGenerator[Any, None]:
    if hasattr(type(given), "__aenter__"):
        async with given as value:
            yield value
    else:
        with block_of(given) as value:
            yield value


def block_of(given: Any) -> Any:
    """Return what a fallback gave, as something to be entered."""
    enters = hasattr(type(given), "__enter__") or hasattr(type(given), "__aenter__")
    return given if enters else nullcontext(given)


# ---- awaitables ----


def guarded_awaitable(gate: Gate, inner: Any, *again: Any) -> LateAwaitable:
    """Return an object that is ``inner`` in all ways but that it is awaited and entered guarded.

    Args:
        gate: The policy or pipeline.
        inner: An awaitable that is no coroutine and no future; perhaps it may also be entered with
            `async with`, or iterated with `async for`, as a request of aiohttp.
        *again: For a gate that controls calls: the function that gave it, and its arguments.
    """
    return _facade_of(type(inner))(gate, inner, again)


class LateAwaitable:
    """What stands for an awaitable object; each class of those has a subclass of its own."""

    __slots__ = ("__weakref__", "_hf_again", "_hf_gate", "_hf_inner", "_hf_under_way")

    def __init__(self, gate: Gate, inner: Any, again: tuple[Any, ...]) -> None:
        own = partial(object.__setattr__, self)
        own("_hf_gate", gate)
        own("_hf_inner", inner)
        own("_hf_again", again)
        own("_hf_under_way", [])  # what is entered, the innermost last; or the coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        guarded: GuardedCoroutine[Any] = self._hf_gate._await(self._hf_inner, *self._hf_again)
        return guarded.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hf_inner, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._hf_inner, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._hf_inner, name)

    def __dir__(self) -> list[str]:
        return dir(self._hf_inner)

    def __repr__(self) -> str:
        return f"<{self._hf_inner!r} guarded by {self._hf_gate!r}>"


async def _aenter(self: LateAwaitable) -> Any:
    stream = _stream(self, _entered)
    manager = asynccontextmanager(lambda: stream)()
    try:
        value = await manager.__aenter__()
    except BaseException:
        if hasattr(type(self._hf_inner), "send"):
            self._hf_inner.close()  # refused, it is not to complain that it was never awaited
        raise
    self._hf_under_way.append(manager)
    return value


def _aexit(self: LateAwaitable, *raised: Any) -> Awaitable[bool | None]:
    exit_: Awaitable[bool | None] = self._hf_under_way.pop().__aexit__(*raised)
    return exit_


def _aiter(self: LateAwaitable) -> AsyncGenerator[Any, None]:
    return _stream(self, items_of)


def _stream(
    self: LateAwaitable, stream_of: Callable[[Any], AsyncGenerator[Any, None]]
) -> AsyncGenerator[Any, None]:
    again = self._hf_again
    if again:
        fn, *arguments = again
        again = (partial(_stream_of_call, stream_of, fn), *arguments)
    around = stream_of is _entered
    items = _aentered_instead if around else items_of
    return guarded_async_generator(
        self._hf_gate, stream_of(self._hf_inner), *again, items=items, around=around
    )


def _stream_of_call(stream_of: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    return stream_of(fn(*args, **kwargs))


async def _entered(manager: Any) -> AsyncGenerator[Any, None]:
    async with manager as value:
        yield value


# An awaitable with these is a coroutine to asyncio: create_task takes it, and makes its steps.


def _send(self: LateAwaitable, value: object) -> Any:
    return _coroutine_of(self).send(value)


def _throw(self: LateAwaitable, *raised: Any) -> Any:
    return _coroutine_of(self).throw(*raised)


def _close(self: LateAwaitable) -> None:
    (_coroutine_of(self) if self._hf_under_way else self._hf_inner).close()


def _coroutine_of(self: LateAwaitable) -> GuardedCoroutine[Any]:
    if not self._hf_under_way:
        self._hf_under_way.append(self._hf_gate._await(self._hf_inner, *self._hf_again))
    coroutine: GuardedCoroutine[Any] = self._hf_under_way[0]
    return coroutine


_guarded = {
    "__aenter__": _aenter,
    "__aexit__": _aexit,
    "__aiter__": _aiter,
    "__iter__": LateAwaitable.__await__,
    "send": _send,
    "throw": _throw,
    "close": _close,
}
_coroutine_only = {"__iter__", "close"}  # of others it may mean something else
_never_forwarded = {"__init__", "__init_subclass__", "__del__", "__getattribute__", "__anext__"}
_facades: WeakKeyDictionary[type, type[LateAwaitable]] = WeakKeyDictionary()


def _facade_of(cls: type) -> type[LateAwaitable]:
    """Return the class that stands for ``cls``: there operators are looked up."""
    facade = _facades.get(cls)
    if facade is None:
        names = {name for name in dir(cls) if _is_own(cls, name)}
        members: dict[str, Any] = {name: _forward(name) for name in names}
        for name, method in _guarded.items():
            if name not in _coroutine_only or hasattr(cls, "send"):
                members.update({name: method} if hasattr(cls, name) else {})
        members |= {
            "__slots__": (),
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
            "__class__": property(lambda self: type(self._hf_inner)),
        }
        facade = _facades[cls] = type(cls.__name__, (LateAwaitable,), members)
    return facade


def _is_own(cls: type, name: str) -> bool:
    """Whether ``cls`` has an operator of its own that is to be passed on."""
    return (
        name.startswith("__")
        and name.endswith("__")
        and name not in _never_forwarded
        and not hasattr(LateAwaitable, name)
        and callable(getattr(cls, name))
    ) or (name in ("__eq__", "__hash__", "__str__") and _differs(cls, name))


def _differs(cls: type, name: str) -> bool:
    return getattr(cls, name) is not getattr(object, name)


def _forward(name: str) -> Any:
    def forward(self: LateAwaitable, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._hf_inner, name)(*args, **kwargs)

    forward.__name__ = name
    return forward
