"""The course of a pybreaker breaker on which its storage decides, and methods of a subclass.

At each call the native policy is put where the storage is, so that it refuses and counts; and the
storage where the policy is, if that was moved by an order or by its clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import GeneratorType

from holdfast._native.gate import _callable_kind
from holdfast.compat.pybreaker.policy import name_of, reset_ns_of
from holdfast.compat.pybreaker.storage import STATE_OF, STATE_OPEN, age_of
from holdfast.policies.breaker.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from holdfast.compat.pybreaker.policy import BreakerPolicy
    from holdfast.locks import RLock

    Guards = tuple[Callable[..., Any], ...]  # by the kind of function; empty: natively

__all__ = ["Storing"]

_COROUTINE, _GENERATOR = 1, 2  # hf_callable
_ORDERED = (State.FORCED_OPEN, State.DISABLED, State.METRICS_ONLY)
_INEXACT_NS = 50_000_000


class Storing:
    """What a breaker does whose storage decides."""

    _lock: RLock
    _policy: BreakerPolicy | None
    _follows: bool  # whether the policy is moved after the storage at this moment
    _reset_timeout: float
    _state_storage: Any
    _state: Any

    if TYPE_CHECKING:  # what the face has

        @property
        def policy(self) -> BreakerPolicy: ...  # noqa: D102
        @property
        def state(self) -> Any: ...  # noqa: D102
        def half_open(self) -> None: ...  # noqa: D102
        def _tell(self, hook: str, *about: Any, **more: Any) -> None: ...
        def _create_new_state(
            self, new_state: str, prev_state: Any = None, notify: bool = False
        ) -> Any: ...

    def _run_stored(
        self, guards: Guards, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        kind = _callable_kind(func)
        if kind == _COROUTINE:
            return self._arun_stored(guards[1], func, args, kwargs)
        if kind == _GENERATOR:
            return self._grun_stored(guards[2], func, args, kwargs)
        self._follow_storage()
        return guards[0](func, args, kwargs)

    async def _arun_stored(self, guard: Any, func: Any, args: Any, kwargs: Any) -> Any:
        self._follow_storage()
        return await guard(func, args, kwargs)

    def _grun_stored(
        self, guard: Any, func: Any, args: Any, kwargs: Any
    ) -> Generator[Any, Any, Any]:
        self._follow_storage()
        return (yield from guard(func, args, kwargs))

    def _decide(self, func: Any, args: Any, kwargs: Any) -> Any:
        state = self._enter(func, args, kwargs)
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            state._handle_error(error)
            raise
        if type(result) is GeneratorType:  # nothing of it has run
            return self._gdrive(state, result)
        state._handle_success()
        return result

    async def _adecide(self, func: Any, args: Any, kwargs: Any) -> Any:
        state = self._enter(func, args, kwargs)
        try:
            result = await func(*args, **kwargs)
        except Exception as error:
            state._handle_error(error)
            raise
        state._handle_success()
        return result

    def _gdecide(self, func: Any, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        state = self._enter(func, args, kwargs)
        return (yield from self._gdrive(state, func(*args, **kwargs)))

    @staticmethod
    def _gdrive(state: Any, stream: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            result = yield from stream
        except Exception as error:
            state._handle_error(error)
            raise
        state._handle_success()
        return result

    def _enter(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return the state that has admitted a call, once it and the listeners know of the call."""
        state = self._state
        if state.name != STATE_OPEN:  # an open one only observes
            state.before_call(func, *args, **kwargs)
        self._tell("before_call", func, *args, **kwargs)
        return state

    def _follow_storage(self) -> None:
        """Put the policy where the storage is; half-open both when the open time is over."""
        policy = self.policy
        with self._lock:
            if policy.state in _ORDERED:
                return
            if self.state.name != STATE_OPEN:
                self._put_policy(STATE_OF[self._state.name])
                return
            opened_at = self._state_storage.opened_at
            left = self._reset_timeout
            left -= left if opened_at is None else age_of(opened_at).total_seconds()
            if left <= 0:
                self.half_open()
            self._put_policy(STATE_OF[self._state.name])
            if policy.state is State.OPEN:
                now_ns, left_ns = policy._clock.now_ns(), int(left * 1e9)
                if abs(policy._kernel.retry_after_ns(now_ns) - left_ns) > _INEXACT_NS:
                    policy._turn(State.OPEN, now_ns + left_ns - reset_ns_of(self._reset_timeout))

    def _put_policy(self, state: State) -> None:
        """Put the policy into a state, unless somebody's order has it in another."""
        policy = self._policy
        if policy is None or policy.state is state or policy.state in _ORDERED:
            return
        self._follows = True
        try:
            policy._order(state)
        finally:
            self._follows = False

    def _follow_policy(self, new: State) -> None:
        """Put the storage where the policy was moved by its clock, a check or an order."""
        with self._lock:
            if self._follows or new in _ORDERED:
                return
            if new is State.OPEN:
                self._state_storage.opened_at = datetime.now(UTC)
            self._state_storage.state = name_of(new)
            self._state = self._create_new_state(name_of(new), prev_state=self._state, notify=True)
