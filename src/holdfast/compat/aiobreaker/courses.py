"""How calls go through a circuit breaker of aiobreaker.

There are two courses. Natively: the policy decides, and listeners hear what it says. Stored: a
storage that is not the memory of this process, or a method that a subclass has changed, decides;
the policy follows it, refuses and counts. Elsewhere: the public face (``circuitbreaker``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import get_ident
from types import GeneratorType

from holdfast._native.gate import _callable_kind
from holdfast.compat._breaking import maker
from holdfast.compat.aiobreaker.listener import CircuitBreakerListener
from holdfast.compat.aiobreaker.native import (
    AT_FIRST_RULE,
    AT_TRIAL_RULE,
    Native,
    state_of,
    utc_now,
)
from holdfast.compat.aiobreaker.state import (
    AT_FIRST,
    AT_TRIAL,
    CircuitBreakerError,
    CircuitBreakerOpenError,
    CircuitBreakerState,
)
from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage
from holdfast.forks import mind
from holdfast.locks import RLock
from holdfast.mode import Mode
from holdfast.policies.base import enter, unentered
from holdfast.policies.breaker.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from holdfast._native.gate import Permit

__all__ = ["Courses"]

_COROUTINE, _GENERATOR = 1, 2  # hf_callable
_MESSAGES = {AT_FIRST_RULE: AT_FIRST, AT_TRIAL_RULE: AT_TRIAL}
_BY_HAND = (State.FORCED_OPEN, State.DISABLED, State.METRICS_ONLY)
_ENOUGH = 0.001  # seconds by which the openings of a storage and of its policy may differ
# What decides in aiobreaker. Changed by a subclass, it does here too.
_DECIDING = (
    *("_create_new_state", "_inc_counter", "open", "half_open", "close", "state", "current_state"),
    *("fail_counter", "fail_max", "timeout_duration", "opens_at", "time_until_open"),
)


class Courses:
    """What a circuit breaker consists of below its public face."""

    _name: str | None
    _fail_max: float
    _timeout_duration: timedelta
    _listeners: list[Any]
    _state_storage: Any
    _state: Any

    state: Any
    call: Any
    call_async: Any
    half_open: Any
    is_system_error: Callable[[Any], bool]
    _create_new_state: Any

    @property
    def opens_at(self) -> datetime | None:
        """When the circuit admits a trial call, in local time without a zone; None: it does."""
        left = self.time_until_open
        return None if left is None else datetime.now() + left

    @property
    def time_until_open(self) -> timedelta | None:
        """How long until the circuit admits a trial call; None: it does."""
        opened_at = self._state_storage.opened_at
        if opened_at is None:
            return None
        if opened_at.tzinfo is not None:
            opened_at = opened_at.astimezone(UTC).replace(tzinfo=None)
        left: timedelta = opened_at + self._timeout_duration - utc_now()
        return left if left > timedelta(0) else None

    def _prepare(self, base: type[Courses]) -> None:
        """Set what there is before the policy."""
        self._lock = RLock()
        self._policy: Native | None = None
        self._maker = maker()
        self._stored = type(self._state_storage) is not CircuitMemoryStorage or any(
            getattr(type(self), name) is not getattr(base, name) for name in _DECIDING
        )
        own = ("call", "call_async")
        self._calls_own = any(getattr(type(self), n) is not getattr(base, n) for n in own)
        self._is_told = False  # somebody hears of each call before it
        self._is_fast = False  # natively, and nobody does
        self._native_call: Any = None
        self._native_acall: Any = None
        self._half_opens_own = type(self).half_open is not base.half_open
        self._movers: set[int] = set()  # threads that put the policy where the storage is
        self._told_of: dict[int, BaseException] = {}  # by thread: a failure told before its end
        mind(self)

    def _after_fork(self) -> None:
        self._lock = RLock()  # a thread of the parent may have held it
        self._movers.clear()
        self._told_of.clear()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object, /) -> Any:
        return self

    # ---- the policy ----

    @property
    def policy(self) -> Native:
        """The breaker of holdfast that decides, refuses and counts."""
        return self._policy or self._make(self._maker)

    def _make(self, label: str) -> Native:
        """Make the policy. A breaker without a name has that of the first function it guards."""
        there = self._policy
        if there is not None:
            return there
        made = unentered(
            None,
            Native,
            label if self._name is None else self._name,
            failure_threshold=self._fail_max,
            reset_timeout=self._timeout_duration,
            rejection=CircuitBreakerOpenError,
            wanted=self._is_failure,
            face=self,
            moved=self._moved,
        )
        with self._lock:
            there = self._policy
            if there is not None:
                return there
            self._part_from_others(made)
            if self._stored:
                made.retune(None, self._timeout_duration)
            else:
                self._bind(made)
            self._policy = made
            self._set_ways()
        enter(made)
        return made

    def _part_from_others(self, made: Native) -> None:
        """Two breakers with one memory: neither has it natively."""
        live = getattr(self._state_storage, "_live", None)
        if live is not None and live is not made:
            live.face._let_storage_decide()
            self._stored = True

    def _bind(self, made: Native) -> None:
        """Have the policy keep what the storage has kept so far."""
        storage = self._state_storage
        state, failures, opened_at = storage.state, storage.counter, storage.opened_at
        if state is not CircuitBreakerState.CLOSED:
            made.turn(state, opened_at)
        made._opened_at = opened_at
        if failures:
            made.counter = failures
        storage._live = made

    def _let_storage_decide(self) -> None:
        """Go over to the course on which the storage and the methods of the breaker decide."""
        with self._lock:
            made, storage = self._policy, self._state_storage
            self._stored = True
            if made is None or storage._live is not made:
                return
            state, failures, opened_at = made.native_state, made.counter, made.opened_at
            storage._live = None
            storage._state, storage._fail_counter = state, failures
            storage._opened_at = opened_at
            made.retune(None, self._timeout_duration)
            self._set_ways()

    def _retune(self) -> None:
        with self._lock:
            if self._policy is not None:
                self._policy.retune(
                    None if self._stored else self._fail_max, self._timeout_duration
                )

    def _set_ways(self) -> None:
        """Find out what listeners want to hear."""
        made = self._policy
        if made is None:
            return
        made.tell_face(
            failures=not self._stored and self._hears("failure"),
            successes=not self._stored and self._hears("success"),
        )
        self._is_told = self._hears("before_call")
        self._native_call, self._native_acall = made.call, made.acall
        self._is_fast = not (self._stored or self._calls_own or self._is_told)

    def _hears(self, hook: str) -> bool:
        """Return whether a listener does anything there."""
        silent = vars(CircuitBreakerListener)[hook]
        heard = [getattr(listener, hook, None) for listener in self._listeners]
        return any(h is not None and getattr(h, "__func__", h) is not silent for h in heard)

    def _tell(self, hook: str, *about: Any, **more: Any) -> None:
        """Tell all listeners. What one raises changes nothing."""
        for listener in tuple(self._listeners):
            hear = getattr(listener, hook, None)
            if hear is None:
                continue
            try:
                hear(self, *about, **more)
            except Exception:
                from logging import getLogger

                getLogger("aiobreaker").exception("%s() of listener %r raised", hook, listener)

    # ---- what the policy says ----

    def _is_failure(self, error: BaseException) -> bool:
        return self.is_system_error(error)

    def _moved(
        self, old: State, new: State, rule: str, error: BaseException | None
    ) -> BaseException | None:
        """Be told of a change of state; return what the caller gets for ``error``, if not that."""
        if self._stored:
            is_change = state_of(old) is not state_of(new)
            if is_change and get_ident() not in self._movers:  # by hand, through the policy
                self._keep_in_storage(state_of(new))
            return None
        message = _MESSAGES.get(rule) if self.policy.mode is Mode.ENFORCE else None
        if error is not None and self._hears("failure"):
            self._tell("failure", error)
            if message is None:  # its end will be told as well
                self._told_of[get_ident()] = error
        self._take_state(None)
        if error is None or message is None:
            return None
        instead = CircuitBreakerError(message, self.opens_at)
        instead.__cause__ = error
        return instead

    def _keep_in_storage(self, new: CircuitBreakerState) -> None:
        with self._lock:
            storage = self._state_storage
            if storage.state is new:
                return
            if new is CircuitBreakerState.OPEN:
                storage.opened_at = self.policy.opened_at
            storage.state = new
        self._take_state(new)

    def _take_state(self, new: CircuitBreakerState | None) -> None:
        """Be in a state, and then tell of the change, if it is one.

        None: that of the policy at this moment, as a later change may have been told before.
        """
        with self._lock:
            if new is None:
                new = self.policy.native_state
            if self._stored and new is CircuitBreakerState.CLOSED:
                self._state_storage.reset_counter()
            before = self._state
            if before.state is new:
                return
            self._state = made = self._create_new_state(new, prev_state=before)
        self._tell("state_change", before, made)

    def _ended(self, failed: bool, error: BaseException | None) -> None:
        """Be told how a call has ended."""
        if not failed:
            self._tell("success")
        elif self._told_of.pop(get_ident(), None) is not error or error is None:
            self._tell("failure", error)

    # ---- natively ----

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        kind = _callable_kind(func)
        if kind == _COROUTINE:
            return self._arun(func, args, kwargs)
        if kind == _GENERATOR:
            return self._grun(func, args, kwargs)
        made = self.policy
        if self._stored and made.mode is not Mode.OFF:
            return self._decide(func, args, kwargs)
        if not self._is_told:
            return made.call(func, *args, **kwargs)
        return made.call(self._begin, func, args, kwargs)

    async def _arun(self, func: Any, args: Any, kwargs: Any) -> Any:
        made = self.policy
        if self._stored and made.mode is not Mode.OFF:
            return await self._adecide(func, args, kwargs)
        if not self._is_told:
            return await made.acall(func, *args, **kwargs)
        return await made.acall(self._abegin, func, args, kwargs)

    def _grun(self, func: Any, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        made = self.policy
        if self._stored and made.mode is not Mode.OFF:
            permit, state = self._enter(func, args, kwargs)
            return (yield from self._drive(permit, state, func(*args, **kwargs)))
        if not self._is_told:
            return (yield from made.call(func, *args, **kwargs))
        return (yield from made.call(self._gbegin, func, args, kwargs))

    def _begin(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._tell("before_call", func, *args, **kwargs)
        return func(*args, **kwargs)

    async def _abegin(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._tell("before_call", func, *args, **kwargs)
        return await func(*args, **kwargs)

    def _gbegin(self, func: Any, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        self._tell("before_call", func, *args, **kwargs)
        return (yield from func(*args, **kwargs))

    # ---- stored ----

    def _decide(self, func: Any, args: Any, kwargs: Any) -> Any:
        permit, state = self._enter(func, args, kwargs)
        try:
            result = func(*args, **kwargs)
            if isinstance(result, GeneratorType):
                return self._drive(permit, state, result)
        except BaseException as error:
            self._end(permit, state, func, error)
            raise
        self._end(permit, state, func, None)
        return result

    async def _adecide(self, func: Any, args: Any, kwargs: Any) -> Any:
        permit, state = self._enter(func, args, kwargs)
        try:
            result = await func(*args, **kwargs)
        except BaseException as error:
            self._end(permit, state, func, error)
            raise
        self._end(permit, state, func, None)
        return result

    def _drive(self, permit: Permit, state: Any, inner: Any) -> Generator[Any, Any, Any]:
        try:
            result = yield from inner
        except BaseException as error:
            self._end(permit, state, None, error)
            raise
        self._end(permit, state, None, None)
        return result

    def _enter(self, func: Any, args: Any, kwargs: Any) -> tuple[Permit, Any]:
        """Admit a call: return its permit and the state that has admitted it.

        Raises:
            CircuitBreakerError: The circuit is open.
        """
        self._follow_storage()
        permit = self.policy.acquire()
        state = self._state
        if state.state is not CircuitBreakerState.OPEN:  # an open one only observes
            state.before_call(func, *args, **kwargs)
        self._tell("before_call", func, *args, **kwargs)
        return permit, state

    def _end(self, permit: Permit, state: Any, func: Any, error: BaseException | None) -> None:
        """Settle a call: the storage decides, and then the policy counts."""
        if error is not None and not isinstance(error, Exception):
            permit.ignore()
            return
        counts = error is not None and self.is_system_error(error)
        try:
            if error is None:
                state._handle_success()
            else:
                state._handle_error(func, error)
        finally:
            if counts:
                permit.failure(error)
            else:
                permit.success()

    def _follow_storage(self) -> None:
        """Put the policy where the storage is; half-open both when the timeout has elapsed."""
        made = self.policy
        if made.state in _BY_HAND:
            return
        state = self.state.state
        if state is CircuitBreakerState.OPEN and self.time_until_open is None:
            self._half_open_if_due()
            return
        self._put_policy(state)
        if state is CircuitBreakerState.OPEN:
            left = self.time_until_open
            if left is not None and abs(left.total_seconds() - made.left_ns / 1e9) > _ENOUGH:
                made.open_as_of(self._state_storage.opened_at)

    def _half_open_if_due(self) -> None:
        """Half-open a circuit whose timeout has elapsed: of many who come, one does it."""
        if self._half_opens_own:
            self.half_open()
            return
        with self._lock:
            storage = self._state_storage
            is_due = storage.state is CircuitBreakerState.OPEN and self.time_until_open is None
            if is_due:
                storage.state = CircuitBreakerState.HALF_OPEN
        if is_due:
            self._put_policy(CircuitBreakerState.HALF_OPEN)
            self._take_state(CircuitBreakerState.HALF_OPEN)

    def _put_policy(self, state: CircuitBreakerState) -> None:
        """Put the policy where the storage is already, if it is not there."""
        made = self.policy
        if made.native_state is state:
            return
        me = get_ident()
        self._movers.add(me)
        try:
            made.order(state)
        finally:
            self._movers.discard(me)
