"""How calls go through a pybreaker breaker: the native policy, and who is told and asked beside it.

There are three courses. Natively: the policy decides, and no Python of ours runs. Told: the same,
and listeners hear of each call before it. Stored: a storage that is not the memory of this process,
or a method that a subclass has changed, decides; the policy follows it, refuses and counts.
"""

from __future__ import annotations

import sys
from contextlib import ContextDecorator
from functools import partial
from threading import get_ident
from weakref import ref

from holdfast._native.gate import Handle, _callable_kind
from holdfast.compat.pybreaker.errors import CircuitBreakerError
from holdfast.compat.pybreaker.policy import (
    NEVER,
    BreakerPolicy,
    name_of,
    need_number,
    reset_ns_of,
    thresholds,
)
from holdfast.compat.pybreaker.storage import (
    CircuitMemoryStorage,
    Live,
)
from holdfast.compat.pybreaker.stored import Storing
from holdfast.forks import mind
from holdfast.locks import RLock
from holdfast.mode import Mode
from holdfast.policies.breaker.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from holdfast._native.gate import Gate
    from holdfast.compat.pybreaker.stored import Guards


__all__ = ["PROBE_TIMEOUT", "TRIP_TEXTS", "Block", "Courses"]

PROBE_TIMEOUT = 30.0  # seconds after which a lost trial call gives up its slot
_FAILURES, _PROBE_FAILED = 1, 4  # hf_rule
TRIP_TEXTS = {
    _FAILURES: "Failures threshold reached, circuit breaker opened",
    _PROBE_FAILED: "Trial call failed, circuit breaker opened",
}
_COROUTINE, _GENERATOR = 1, 2  # hf_callable
# What decides in pybreaker. Changed by a subclass or on an instance, it does here too.
_DECIDING = frozenset(
    [
        "_create_new_state",
        "_inc_counter",
        "close",
        "current_state",
        "fail_counter",
        "fail_max",
        "half_open",
        "open",
        "reset_timeout",
        "state",
        "success_counter",
        "success_threshold",
    ]
)


if TYPE_CHECKING:

    class _Native:  # of the base, what the face does not have in another form
        def __init__(self, name: str) -> None: ...
        @property
        def _gate(self) -> Gate | None: ...
        def _turn_to(self, gate: Gate | None, /) -> None: ...

else:
    _Native = Handle


class Courses(Storing, _Native):
    """What a breaker consists of below its public face."""

    _name: str | None
    _fail_max: float
    _reset_timeout: float
    _success_threshold: float
    _throw_new_error_on_trip: bool
    _excluded_exceptions: list[Any]
    _listeners: list[Any]
    _state_storage: Any
    _state: Any
    _course: Callable[..., Any]
    _guards: Guards
    _base: type[Courses] | None = None
    _policy: BreakerPolicy | None = None

    if TYPE_CHECKING:  # what the face has

        def call(self, func: Any, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102

        @property
        def state(self) -> Any: ...  # noqa: D102
        @state.setter
        def state(self, name: str) -> None: ...
        def half_open(self) -> None: ...  # noqa: D102
        def is_system_error(self, exception: Any) -> bool: ...  # noqa: D102
        def _create_new_state(
            self, new_state: str, prev_state: Any = None, notify: bool = False
        ) -> Any: ...

    def __setattr__(self, name: str, value: object) -> None:
        own = name in _DECIDING and not isinstance(getattr(type(self), name, None), property)
        object.__setattr__(self, name, value)
        if own and self._base is not None:
            self._let_storage_decide()
        elif name == "call":
            self._let_call_decide()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        if name == "call":
            self._let_call_decide()

    def _let_call_decide(self) -> None:
        if self._base is None:  # not made yet
            return
        own = "call" in self.__dict__ or _differs(type(self), self._base, "call")
        object.__setattr__(self, "_calls_own", own)
        self._set_ways()

    def _prepare(self, base: type[Courses]) -> None:
        """Set what there is before the policy."""
        own = self.__dict__
        changed = [name for name in _DECIDING if name in own or _differs(type(self), base, name)]
        self._lock = RLock()
        self._base = base
        self._stored = bool(changed) or type(self._state_storage) is not CircuitMemoryStorage
        self._calls_own = "call" in self.__dict__ or _differs(type(self), base, "call")
        self._moves = 0
        self._notices = False  # whether another process has changed the storage
        self._follows = False  # whether the policy is moved after the storage at this moment
        self._told_of: dict[int, BaseException] = {}  # by thread: a failure told before its end
        self._course = self._begin
        self._guards = ()
        self._module = _caller() if not self._name else ""
        super().__init__(str(self._name or self._module))
        mind(self)

    def _after_fork(self) -> None:
        """In a forked child: nobody holds the lock, and no thread is amid telling."""
        self._lock = RLock()
        self._told_of.clear()

    # ---- the policy ----

    @property
    def policy(self) -> BreakerPolicy:
        """The ``holdfast.CircuitBreaker`` that decides, refuses and counts."""
        there = self._policy
        return self._make(self._module) if there is None else there

    def _make(self, label: str) -> BreakerPolicy:
        """Make the policy. A breaker without a name has that of the first function it guards."""
        made = self._new_policy(label)
        if self._policy is None:
            self._adopt(made, None)
        return self._policy or made

    def _new_policy(self, label: str) -> BreakerPolicy:
        name = str(self._name) if self._name else label or __name__
        failures, successes = thresholds(self._fail_max, self._success_threshold)
        if self._stored or not failures or not 1e-6 <= self._reset_timeout <= 1e6:
            made = BreakerPolicy(self, name, probe_timeout=PROBE_TIMEOUT)
            self._tune(made)
            return made
        return BreakerPolicy(
            self,
            name,
            failure_threshold=failures,
            success_threshold=successes,
            reset_timeout=self._reset_timeout,
            probe_timeout=PROBE_TIMEOUT,
        )

    def _adopt(self, made: BreakerPolicy, instead_of: BreakerPolicy | None) -> None:
        storage: Any = self._state_storage
        self._part_from_others(storage)
        with self._lock:
            if self._policy is not instead_of:
                return
            self._policy = made
            if not self._stored:
                storage._unbind()
                storage._bind(Live(ref(self), made))
            self._set_ways()

    def _part_from_others(self, storage: Any) -> None:
        """Two breakers with one memory: neither has it natively."""
        live = getattr(storage, "_live", None)
        other = None if live is None else live.face()
        if other is not None and other is not self:
            other._let_storage_decide()
            self._stored = True

    def _let_storage_decide(self) -> None:
        """Go over to the course on which the storage and the methods of the breaker decide."""
        with self._lock:
            if self._stored:
                return
            self._stored = True
            if self._policy is not None:
                self._state_storage._unbind()
                self._tune(self._policy)
                self._set_ways()

    def _tune(self, policy: BreakerPolicy) -> None:
        """Put the present settings into force."""
        policy._tune(self._fail_max, self._success_threshold, self._reset_timeout)
        if self._stored:
            policy._kernel.tune(*NEVER, reset_ns_of(self._reset_timeout))

    def _retune(self, **changed: float) -> None:
        """Put other settings into force."""
        for field, value in changed.items():
            need_number(field, value)
        with self._lock:
            for field, value in changed.items():
                setattr(self, f"_{field}", value)
            if self._policy is not None:
                self._tune(self._policy)
                if not self._stored:
                    self._state_storage._live.again_open()

    # ---- ways in ----

    def _set_ways(self) -> None:
        """Choose the course, by the storage and by what listeners want to hear."""
        policy = self._policy
        if policy is None:
            return
        hears = [_heard_by(listener) for listener in self._listeners]
        stored, told = self._stored, any("before_call" in one for one in hears)
        policy._tell_face(
            not stored and any("failure" in one for one in hears),
            not stored and any("success" in one for one in hears),
        )
        guards: Guards
        if stored:
            plain, waiting, stream = self._decide, self._adecide, self._gdecide
            guards = policy._guard(plain), policy._guard(waiting), policy._guard(stream)
            self._course = partial(self._run_stored, guards)
        elif told:
            plain, waiting, stream = self._begin_told, self._abegin_told, self._gbegin_told
            guards = policy._guard(plain), policy._guard(waiting), policy._guard(stream)
            self._course = partial(self._run_told, guards)
        else:
            guards = ()
            self._course = policy.call
        self._guards = guards
        is_native = not (stored or told or self._calls_own)
        self._turn_to(policy if is_native else None)

    def _missing(self) -> Any:
        """Say how a function is called that does not go straight to the policy."""
        policy = self.policy
        if self._calls_own:
            return self._run_own
        return self._run if self._guards else policy

    def _begin(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make the first call, before there is a policy."""
        self._make(self._module)
        return self._course(func, *args, **kwargs)

    # The first argument is the function that is guarded; None for that of `call`.

    def _run(self, func: Callable[..., Any] | None, /, *args: Any, **kwargs: Any) -> Any:
        if func is None:
            return self._course(*args, **kwargs)
        return self._course(func, *args, **kwargs)

    def _run_own(self, func: Callable[..., Any] | None, /, *args: Any, **kwargs: Any) -> Any:
        if func is None:  # by the user's own `call`
            return self._course(*args, **kwargs)
        return self.call(func, *args, **kwargs)

    # ---- told ----

    def _run_told(
        self, guards: Guards, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        kind = _callable_kind(func)
        return guards[kind if kind <= _GENERATOR else 0](func, args, kwargs)

    def _begin_told(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._tell("before_call", func, *args, **kwargs)
        return func(*args, **kwargs)

    async def _abegin_told(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._tell("before_call", func, *args, **kwargs)
        return await func(*args, **kwargs)

    def _gbegin_told(self, func: Any, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        self._tell("before_call", func, *args, **kwargs)
        return (yield from func(*args, **kwargs))

    def _tell(self, hook: str, *about: Any, **more: Any) -> None:
        """Tell all listeners, one thread at a time. What one raises changes nothing."""
        with self._lock:
            for listener in tuple(self._listeners):
                hear = getattr(listener, hook, None)
                if hear is None:
                    continue
                try:
                    hear(self, *about, **more)
                except Exception as error:
                    from logging import getLogger

                    getLogger("pybreaker").error(
                        "%s() of listener %r raised", hook, listener, exc_info=error
                    )

    # ---- what the policy says ----

    def _is_failure(self, error: Exception) -> bool:
        if self._stored and type(error) is CircuitBreakerError and error.args[0] in _TEXTS:
            return True  # what has opened the circuit
        return self.is_system_error(error)

    def _moved(
        self, old: State, new: State, rule: int, count: int, error: BaseException | None
    ) -> BaseException | None:
        """Be told of a change of state; return what the caller gets for ``error``, if not that."""
        if self._stored:
            self._follow_policy(new)
            return None
        policy = self._policy
        if policy is None:
            return None
        has_failed = error is not None and rule in TRIP_TEXTS
        throws = self._throw_new_error_on_trip and policy.mode is Mode.ENFORCE
        with self._lock:
            live = self._state_storage._live
            if live is None:  # another thread has let the storage decide
                return None
            live.moved(new, rule, count)
            self._moves = moves = self._moves + 1
            if error is not None and has_failed and policy.tells_failures:
                live.shown = name_of(old)  # as it is in pybreaker until the failure was told
                try:
                    self._tell("failure", error)
                finally:
                    live.shown = None
                if not throws:  # its end will be told as well
                    self._told_of[get_ident()] = error
            if name_of(old) != name_of(new) and self._moves == moves:  # else a listener moved it
                self._state = self._create_new_state(
                    name_of(new), prev_state=self._state, notify=True
                )
        if error is None or not (has_failed and throws):
            return None
        return CircuitBreakerError(TRIP_TEXTS[rule]).with_traceback(error.__traceback__)

    def _ended(self, failed: bool, error: BaseException | None) -> None:
        """Be told how a call has ended."""
        if not failed:
            self._tell("success")
        elif self._told_of.pop(get_ident(), None) is not error or error is None:
            self._tell("failure", error)


_TEXTS = frozenset(TRIP_TEXTS.values())


class Block(ContextDecorator):
    """A `with` block that is one call of a breaker; belongs to who enters it."""

    __slots__ = ("_face", "_permit", "_state")

    def __init__(self, face: Courses) -> None:
        self._face = face

    def _recreate_cm(self) -> Block:
        return Block(self._face)

    def __enter__(self) -> None:
        face = self._face
        policy = face.policy
        if face._stored:
            face._follow_storage()
        self._permit = permit = policy.acquire()
        permit.__enter__()
        self._state = None
        if face._stored:
            self._state = face._enter(face.call, (), {})
        elif face._guards:
            face._tell("before_call", face.call)

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        state = self._state
        if state is None or (error is not None and not isinstance(error, Exception)):
            self._permit.__exit__(cls, error, traceback)
            return
        with self._permit:
            if error is None:
                state._handle_success()
                return
            state._handle_error(error)
            self._permit.__exit__(cls, error, traceback)


def _differs(cls: type, base: type, name: str) -> bool:
    return getattr(cls, name, None) is not getattr(base, name, None)


def _heard_by(listener: object) -> set[str]:
    """Return which hooks a listener has that do something."""
    hooks = ("before_call", "failure", "success")
    return {hook for hook in hooks if not _is_silent(getattr(listener, hook, None))}


def _is_silent(hear: Any) -> bool:
    return hear is None or getattr(hear, "_is_silent", None) is True


def _caller() -> str:
    """Return the module that makes a breaker: the first outside of this package."""
    frame = sys._getframe(1)
    ours = __name__.rpartition(".")[0]
    while True:
        name: str = frame.f_globals.get("__name__", "?")
        if frame.f_back is None or not (name == ours or name.startswith(ours + ".")):
            return name
        frame = frame.f_back
