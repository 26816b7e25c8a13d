"""Coroutine functions that are tried again in their task."""

from __future__ import annotations

from functools import wraps

from holdfast.compat._retrying import Course
from holdfast.compat.backoff._calls import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from holdfast.compat.backoff._calls import Plan

__all__ = ["aretry_exception", "aretry_predicate"]


async def _call_handlers(handlers: Iterable[Any], details: dict[str, Any]) -> None:
    for handler in handlers:
        await _settled(handler(details))


async def _settled(answer: Any) -> Any:
    """Return what a function of the user's has answered, a coroutine function's as well."""
    return await answer if hasattr(answer, "__await__") else answer


def aretry_exception(plan: Plan) -> Callable[..., Any]:
    """Return the coroutine function of a plan, called again while it raises."""
    target, policy, on_success = plan.target, plan.policy, plan.on_success
    begin = plan.begin

    @wraps(target)
    async def retry(*args: Any, **kwargs: Any) -> Any:
        if policy.is_off:
            return await target(*args, **kwargs)
        begun = begin()
        call: Call | None = None
        while True:
            try:
                if policy.faults is None:
                    result = await target(*args, **kwargs)
                else:
                    result = await policy.arun(target, args, kwargs)
            except BaseException as error:
                if call is None:
                    call = Call(plan, args, kwargs, begun)
                if not call.catches(error):
                    raise
                if await _follows(call, error):
                    continue
                if plan.raise_on_giveup:
                    raise
                return None
            if call is None:
                policy.count_success(0)
            else:
                call.course.succeed()
            if on_success:
                await _call_handlers(on_success, plan.told(call, args, kwargs, begun))
            return result

    retry.policy = policy  # type: ignore[attr-defined]
    return retry


async def _follows(call: Call, error: BaseException) -> bool:
    """Return whether another attempt follows an exception, once its pause is over."""
    plan, course = call.plan, call.course
    try:
        refused = await _settled(plan.condition(error))
        if not call.goes_on(error, error=error, refused=refused):
            await _call_handlers(plan.on_giveup, call.details(exception=error))
            return False
        await _call_handlers(plan.on_backoff, call.details(wait=call.seconds, exception=error))
    except BaseException as broken:
        course.stop(broken)
        raise
    await course.apause(call.seconds)
    call.tries += 1
    return True


def aretry_predicate(plan: Plan) -> Callable[..., Any]:
    """Return the coroutine function of a plan, called again while the predicate is true."""
    target, policy, on_success = plan.target, plan.policy, plan.on_success
    begin, predicate = plan.begin, plan.condition

    @wraps(target)
    async def retry(*args: Any, **kwargs: Any) -> Any:
        if policy.is_off:
            return await target(*args, **kwargs)
        begun = begin()
        call: Call | None = None
        while True:
            try:
                if policy.faults is None:
                    result = await target(*args, **kwargs)
                else:
                    result = await policy.arun(target, args, kwargs)
                again = await _settled(predicate(result))
            except BaseException as error:
                (Course(policy) if call is None else call.course).refuse(error)
                raise
            if again:
                if call is None:
                    call = Call(plan, args, kwargs, begun)
                if await _follows_result(call, result):
                    continue
                return result
            if call is None:
                policy.count_success(0)
            else:
                call.course.succeed()
            if on_success:
                details = plan.told(call, args, kwargs, begun, value=result)
                await _call_handlers(on_success, details)
            return result

    retry.policy = policy  # type: ignore[attr-defined]
    return retry


async def _follows_result(call: Call, result: Any) -> bool:
    """Return whether another attempt follows a result, once its pause is over."""
    plan, course = call.plan, call.course
    try:
        if not call.goes_on(result):
            await _call_handlers(plan.on_giveup, call.details(value=result))
            return False
        await _call_handlers(plan.on_backoff, call.details(value=result, wait=call.seconds))
    except BaseException as broken:
        course.stop(broken)
        raise
    await course.apause(call.seconds)
    call.tries += 1
    return True


def __getattr__(name: str) -> Any:
    """Import asyncio for tests that patch ``backoff._async.asyncio.sleep``, as backoff has it."""
    if name == "asyncio":
        import asyncio

        return asyncio
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
