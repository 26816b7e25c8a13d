"""Functions that are tried again in their thread."""

from __future__ import annotations

import time
from functools import wraps

from holdfast.compat._retrying import Course
from holdfast.compat.backoff._calls import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from holdfast.compat.backoff._calls import Plan

__all__ = ["retry_exception", "retry_predicate"]


def _call_handlers(handlers: Iterable[Any], details: dict[str, Any]) -> None:
    for handler in handlers:
        handler(details)


def retry_exception(plan: Plan) -> Callable[..., Any]:
    """Return the function of a plan, called again while it raises."""
    target, policy, on_success = plan.target, plan.policy, plan.on_success
    begin = plan.begin

    @wraps(target)
    def retry(*args: Any, **kwargs: Any) -> Any:
        if policy.is_off:
            return target(*args, **kwargs)
        begun = begin()
        call: Call | None = None
        while True:
            try:
                if policy.faults is None:
                    result = target(*args, **kwargs)
                else:
                    result = policy.run(target, args, kwargs)
            except BaseException as error:
                if call is None:
                    call = Call(plan, args, kwargs, begun)
                if not call.catches(error):
                    raise
                if _follows(call, error):
                    continue
                if plan.raise_on_giveup:
                    raise
                return None
            if call is None:
                policy.count_success(0)
            else:
                call.course.succeed()
            if on_success:
                _call_handlers(on_success, plan.told(call, args, kwargs, begun))
            return result

    retry.policy = policy  # type: ignore[attr-defined]
    return retry


def _follows(call: Call, error: BaseException) -> bool:
    """Return whether another attempt follows an exception, once its pause is over."""
    plan, course = call.plan, call.course
    try:
        if not call.goes_on(error, error=error, refused=plan.condition(error)):
            _call_handlers(plan.on_giveup, call.details(exception=error))
            return False
        _call_handlers(plan.on_backoff, call.details(wait=call.seconds, exception=error))
    except BaseException as broken:
        course.stop(broken)
        raise
    _pause(call)
    return True


def _pause(call: Call) -> None:
    # No pause is none, save where somebody has put his own in place of the system's.
    if call.seconds == 0 and getattr(time.sleep, "__self__", None) is time:
        call.course.begin()
    else:
        call.course.pause(call.seconds, time.sleep, replaceable=True)
    call.tries += 1


def retry_predicate(plan: Plan) -> Callable[..., Any]:
    """Return the function of a plan, called again while the predicate is true of its result."""
    target, policy, on_success = plan.target, plan.policy, plan.on_success
    begin, predicate = plan.begin, plan.condition

    @wraps(target)
    def retry(*args: Any, **kwargs: Any) -> Any:
        if policy.is_off:
            return target(*args, **kwargs)
        begun = begin()
        call: Call | None = None
        while True:
            try:
                if policy.faults is None:
                    result = target(*args, **kwargs)
                else:
                    result = policy.run(target, args, kwargs)
                again = predicate(result)
            except BaseException as error:
                (Course(policy) if call is None else call.course).refuse(error)
                raise
            if again:
                if call is None:
                    call = Call(plan, args, kwargs, begun)
                if _follows_result(call, result):
                    continue
                return result
            if call is None:
                policy.count_success(0)
            else:
                call.course.succeed()
            if on_success:
                _call_handlers(on_success, plan.told(call, args, kwargs, begun, value=result))
            return result

    retry.policy = policy  # type: ignore[attr-defined]
    return retry


def _follows_result(call: Call, result: Any) -> bool:
    """Return whether another attempt follows a result, once its pause is over."""
    plan, course = call.plan, call.course
    try:
        if not call.goes_on(result):
            _call_handlers(plan.on_giveup, call.details(value=result))
            return False
        _call_handlers(plan.on_backoff, call.details(value=result, wait=call.seconds))
    except BaseException as broken:
        course.stop(broken)
        raise
    _pause(call)
    return True
