"""What every policy shares: its name, its listeners, its place in the registry.

Elsewhere: decisions (native kernels) and waiting (``waiting``).
"""

from __future__ import annotations

from weakref import ref

from holdfast._native import gate
from holdfast._native.histogram import Ends, Histogram
from holdfast.events import Event, Listeners
from holdfast.forks import settle
from holdfast.guards import decorate, install_guard_face
from holdfast.mode import Mode
from holdfast.named import full_name
from holdfast.registry import kinds, registry
from holdfast.stores.figures import PIPELINE
from holdfast.stores.ledger import ledger
from holdfast.validation import Problems, explain_arguments, is_checking, titled
from holdfast.waiting.finding import find_asyncio
from holdfast.waiting.foreign import refuse_cut
from holdfast.waiting.parking import sleep_ns
from holdfast.waiting.standstill import mind_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
        Iterable,
        Sequence,
    )
    from collections.abc import Set as AbstractSet
    from functools import partialmethod
    from typing import (
        Any,
        Literal,
        NoReturn,
        ParamSpec,
        Protocol,
        Self,
        SupportsIndex,
        TypeAlias,
        TypeVar,
        overload,
    )

    from holdfast.categories import Category
    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.policies.call_stats import CallStats
    from holdfast.stores.ledger import Part

    # Methods are told by the name of their first parameter: decorated, they keep their exact type.
    # An attribute of another class would neither implement a protocol nor override a method.

    class _OfInstance(Protocol):
        def __call__(_, self: Any, *args: Any, **kwargs: Any) -> Any: ...  # noqa: N805

    class _OfClass(Protocol):
        def __call__(_, cls: Any, *args: Any, **kwargs: Any) -> Any: ...  # noqa: N805

    _Descriptor: TypeAlias = (
        classmethod[Any, Any, Any] | staticmethod[Any, Any] | partialmethod[Any]
    )
    _Method = TypeVar("_Method", bound=_OfInstance | _OfClass | _Descriptor)
    _P = ParamSpec("_P")
    _R = TypeVar("_R")
    _Made = TypeVar("_Made", bound="Policy")

    # Which exceptions are meant: classes and categories, or a predicate.
    Word = Category | Literal["transient", "permanent", "resource", "logic"]
    Named = type[Exception] | Word
    On = Named | tuple[Named, ...] | Sequence[Named] | AbstractSet[Named] | Callable[[Any], object]
    OnResult = Callable[[Any], object] | Literal["http"]

__all__ = [
    "NATIVE_MODES",
    "Default",
    "Policy",
    "enter",
    "full_name",
    "made_as",
    "made_for",
    "made_within",
    "problems_of",
    "read_on_result",
    "refuse_nameless_sharing",
    "role_of",
    "scope_of",
    "settings_of",
    "unentered",
    "within_deadline_ns",
]

NATIVE_MODES = {Mode.ENFORCE: 0, Mode.OBSERVE: 1, Mode.OFF: 2}  # enum hf_mode


def within_deadline_ns(wait_ns: int | None) -> int | None:
    """Return how long a wait may be: no longer than the time of an enclosing Timeout is.

    None is a wait without limit.
    """
    here = gate._deadline_here()
    if here is None:
        return wait_ns
    policy, deadline_ns = here
    left_ns: int = deadline_ns - policy._clock.now_ns()
    return max(0, left_ns if wait_ns is None else min(wait_ns, left_ns))


class Default(int):
    """A default that can be told from the same number given by the caller."""


class _Unmade:
    """What a policy has in place of its parts whose ``__init__`` called no ``super().__init__``.

    Whatever is done with it raises a RuntimeError that says so.
    """

    __slots__ = ("_policy",)

    def __init__(self, policy: Policy) -> None:
        self._policy = type(policy).__name__

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError(
            f"{self._policy}.__init__() did not call super().__init__(), "
            "so this policy guards nothing"
        )

    __getattr__ = __getitem__ = __iter__ = __len__ = __call__ = __lt__ = __index__ = _refuse


def _mark_unmade(policy: Policy) -> None:
    """Have every part that is missing say why, as the native gate does at its own doors."""
    unmade = _Unmade(policy)
    ours = [cls for cls in type(policy).__mro__ if cls.__module__.startswith("holdfast.")]
    for slot in {slot for cls in ours for slot in cls.__dict__.get("__slots__", ())}:
        if not hasattr(policy, slot):
            setattr(policy, slot, unmade)


class _Signature:
    """What ``inspect.signature`` says of a class of policies: what its ``__init__`` takes."""

    def __get__(self, cls: Any, _meta: type | None = None) -> Any:
        if cls is None:
            raise AttributeError("__signature__")
        from inspect import Signature, signature

        _, *parameters = signature(cls.__init__).parameters.values()
        return Signature(parameters)


# What other libraries have in a policy; ``hints`` says for each kind of policy what to use.
_ELSEWHERE = (
    "aacquire acall_async acquire acquire_async active add add_listener add_listeners aexecute "
    "allow append apply apply_async arun async_acquire available_tokens begin breaker breakers "
    "bulkhead call_async calling can_acquire can_consume capacity check circuit_breaker "
    "circuit_state close closed closed_circuit config consume copy counters current_state "
    "decorate decorator delay execute execute_async fail_count fail_counter fail_max "
    "failure_count failure_threshold failures fallback get_stats get_window_stats guard "
    "has_capacity hit insert invoke is_allowed is_closed is_half_open is_open isolate iter join "
    "last_error last_exception limit limiter listeners locked map max_concurrent max_rate "
    "metrics on_close on_failure on_open on_retry on_state_change on_success open "
    "open_remaining opened protect rate rate_limiter recovery_timeout release remaining remove "
    "remove_listener reschedule reset_timeout retry retry_with run seconds settings shutdown "
    "size state statistics stats subscribe success_counter take terminate time_remaining "
    "timeout tokens try_acquire try_consume wait with_options wrap wraps"
)


class _Elsewhere:
    """What another library has in a policy, and holdfast has not: the error says what to use.

    Not ``__getattr__``: a class that has one makes each attribute of a policy slower to reach, and
    doubles the time of ``policy.call``.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, policy: Policy | None, cls: type) -> NoReturn:
        from holdfast.hints import missing_attribute

        raise missing_attribute(policy, cls, self._name)


def _without_elsewhere(cls: type, names: Iterable[str]) -> list[str]:
    """Return the names of attributes without those that only say what to use instead."""
    found: dict[str, object] = {}
    for one in reversed(cls.__mro__):
        found.update(vars(one))
    return [name for name in names if type(found.get(name)) is not _Elsewhere]


class _Registered(type):
    """Registers a policy once it is made, and finds the living one where it is to be shared."""

    __signature__: Any = _Signature()  # else it would be that of __call__ below

    # Typed as giving an instance of the class: pyright would else take every policy for Any. That
    # `cls` is a class of policies is more than mypy knows of a metaclass.
    def __call__(cls: type[_Made], *args: Any, **kwargs: Any) -> _Made:  # type: ignore[misc]
        if cls is Policy:
            raise TypeError("Policy is abstract: instantiate one of its subclasses")
        ledger.prepare()
        try:
            made: _Made = super().__call__(*args, **kwargs)  # type: ignore[misc]
        except TypeError:
            explain_arguments(cls.__init__, cls, args, kwargs)
            raise
        if is_checking():
            return made
        if not made._is_made:
            _mark_unmade(made)
            return made
        if getattr(made, "name", None) is None:
            registry.mind(made)
            return made
        shared = bool(kwargs.get("shared", False))
        there: _Made = registry.add(made, shared=shared)
        if there is not made:
            there._must_equal(made)
        elif parts := made._figured():
            ledger.enter(made, NATIVE_MODES[made.mode], parts)
        elif made.kind == "pipeline" and ledger.file is not None:
            made._make_ends()  # other workers show its series from here on
        return there

    def __dir__(cls) -> list[str]:
        return _without_elsewhere(cls, super().__dir__())


def role_of(policy: Policy) -> int | None:
    """Return the role by which metrics know a policy; None if it has no name."""
    return ledger.role_of(policy)


def made_for(role: int | None, cls: type[_Made], *args: Any, **kwargs: Any) -> _Made:
    """Make a policy with a name that metrics know by another role than others of its class.

    From the first call on: no count may move from one series to another. None: as any other.
    """
    return made_as(None, role, cls, *args, **kwargs)


def scope_of(policy: Policy) -> str | None:
    """Return the name of the manager that a policy belongs to; None if it belongs to none."""
    return getattr(policy, "_scope", None)


def made_within(scope: str | None, cls: type[_Made], *args: Any, **kwargs: Any) -> _Made:
    """Make a policy that the registry and metrics know as ``scope/name``.

    Its own name, in messages and events, is the plain one. None: as any other.
    """
    return made_as(scope, None, cls, *args, **kwargs)


def made_as(
    scope: str | None, role: int | None, cls: type[_Made], *args: Any, **kwargs: Any
) -> _Made:
    """Make a policy within a scope, with a role of its own; see ``made_within``, ``made_for``."""
    if scope is None and role is None:
        return cls(*args, **kwargs)
    made = unentered(scope, cls, *args, **kwargs)
    enter(made, role)
    return made


def unentered(scope: str | None, cls: type[_Made], *args: Any, **kwargs: Any) -> _Made:
    """Make a policy that neither the registry nor metrics know before ``enter``.

    For one that may turn out to be needless, or is made while a lock is held.
    """
    ledger.prepare()
    try:
        made: _Made = type.__call__(cls, *args, **kwargs)
    except TypeError:
        explain_arguments(cls.__init__, cls, args, kwargs)
        raise
    if not made._is_made:
        _mark_unmade(made)
    made._scope = scope
    return made


def enter(made: Policy, role: int | None = None, *, is_listed: bool = True) -> None:
    """Have the registry and metrics know a policy, by another role than others of its class.

    No lock may be held: those who watch the registry are told. One of many that are not listed is
    not found in the registry, which has the one that they are made after.
    """
    if is_checking() or not made._is_made:
        return
    if made.name is None:
        registry.mind(made)
        return
    if is_listed:
        registry.add(made)
    else:
        registry.mind(made)
    if parts := made._figured():
        if role is not None:
            parts = tuple((role, *part[1:]) for part in parts)
        ledger.enter(made, NATIVE_MODES[made.mode], parts)
    elif made.kind == "pipeline" and ledger.file is not None:
        made._make_ends()


class Policy(gate.Gate, metaclass=_Registered):
    """The abstract base class of all policies and of pipelines.

    A policy is a decorator and a context manager, and has the methods ``call``, ``acall``,
    ``try_call`` and ``try_acall``.

    A decorator or ``call`` also guards work that a plain function returns to be run later. An
    awaitable, a generator, or the result of ``@contextmanager`` is admitted when it starts and
    settles when it ends. A future is already running; the call admits it, and it settles when it
    is done. Work is never counted before it has run.

    Attributes:
        kind: The kind of policy, for the registry: "circuit_breaker", "rate_limiter" …
        name: The name that the user has chosen.
        mode: "enforce", "observe" or "off". A pipeline has no mode; its policies have.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_scope", "_settings", "mode")

    kind = "policy"
    mode: Mode
    _scope: str | None  # the name of its manager; not there if it never had one
    # In the order of ``_settings``. Not `_fields`, or help() would list all that is private.
    _setting_names: tuple[str, ...] = ()
    _settings: tuple[Any, ...]
    _waits: Histogram | None  # of those that calls wait for; made for the first that did

    if TYPE_CHECKING:

        def snapshot(self) -> Any:
            """Return a frozen dataclass of what it is at this moment."""

        def reset(self) -> None:
            """Put it back to where it began."""

        @overload
        def __call__(self, fn: _Method, /) -> _Method: ...
        @overload
        def __call__(self, fn: Callable[_P, _R], /) -> gate.Guard[_P, _R, Self]: ...
        def __call__(self, fn: Any, /) -> Any:
            """Return ``fn`` guarded by this policy."""

    else:
        __call__ = decorate

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the subclass native methods of its own.

        The interpreter makes the call of a native method cheap only where it is the very class's
        own: inherited, ``breaker.try_call`` and ``limiter.try_acquire`` would cost 10 ns more.
        """
        super().__init_subclass__(**kwargs)
        kinds.add(cls.kind)
        gate._own_methods(cls)

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for each event of this policy.

        The listener runs in the thread that caused the event, after the decision, outside all
        locks, and before the call returns. An exception from the listener is logged and counted
        and changes no decision.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        remove = self._once("_listeners", Listeners).subscribe(listener)
        self._mind_listeners()

        def unsubscribe() -> None:
            remove()
            self._mind_listeners()

        return unsubscribe

    def call_with_stats(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> tuple[gate.Outcome[_R], CallStats]:
        """Call ``fn`` as ``try_call`` does, and return the outcome and statistics of this call.

        The statistics include only this call. Work that a ``Timeout(thread=True)`` runs in its
        thread counts as one attempt, and so do all attempts of a ``Hedge``.

        Raises:
            TypeError: ``fn`` is not a plain function.
        """
        clock = self._stopwatch()
        began_ns = clock.now_ns()
        outcome, *counts = self._call_counted(fn, *args, **kwargs)
        return outcome, _stats(outcome, clock.now_ns() - began_ns, *counts)

    async def acall_with_stats(
        self,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> tuple[gate.Outcome[_R], CallStats]:
        """Await ``fn`` as ``try_acall`` does, and return what ``call_with_stats`` returns.

        Raises:
            TypeError: ``fn`` returned no awaitable.
        """
        clock = self._stopwatch()
        began_ns = clock.now_ns()
        outcome, *counts = await self._acall_counted(fn, *args, **kwargs)
        return outcome, _stats(outcome, clock.now_ns() - began_ns, *counts)

    def describe(self) -> str:
        """Return the policy and its settings in one line."""
        given = zip(self._setting_names, self._settings, strict=True)
        settings = ", ".join(f"{field}={_brief(value)}" for field, value in given)
        name = "" if self.name is None else f" {self.name!r}"
        return f"{type(self).__name__}{name}" + (f": {settings}" if settings else "")

    def __dir__(self) -> list[str]:
        return _without_elsewhere(type(self), super().__dir__())

    def __repr__(self) -> str:
        try:
            state = self._in_words()
            if self.mode is not Mode.ENFORCE:
                state += f", {self.mode.value}" if state else self.mode.value
        except Exception:  # noqa: BLE001 - half made, or in the hands of a user's subclass
            state = ""
        name = getattr(self, "name", None)
        shown = [type(self).__name__, *([] if name is None else [repr(name)])]
        return f"<{' '.join([*shown, state] if state else shown)}>"

    def _in_words(self) -> str:
        """Return the present state in a few words, for ``repr()``."""
        return ""

    # The copy of an object that has a policy (a dataclass, a model) shares the policy, as it shares
    # a guarded function: two policies that count apart would let twice as much pass.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError(
            f"cannot pickle {type(self).__name__!r} object {getattr(self, 'name', None)!r}: a "
            "policy belongs to one process. Pickle a guarded function, which is pickled by its "
            "name, or create the policy in the other process"
        )

    # ---- what the native gate asks ----

    def _category_of_class(self, cls: type[BaseException]) -> object:
        """Return the category of a class, or a function that looks at the exception, or None."""
        from holdfast.categories import _of_class

        return _of_class(cls)

    def _refused(self, reason: str, retry_after_ns: int) -> None:
        retry_after = None if retry_after_ns < 0 else retry_after_ns / 1e9
        self._emit("rejection", reason=reason, retry_after=retry_after)

    def _block(self) -> None:
        """Wait in this thread for what was refused at once; return inside, or raise."""
        raise NotWaitableError(self)

    async def _suspend(self) -> None:
        """Wait in this task for what was refused at once; return inside, or raise."""
        raise NotWaitableError(self)

    # Of a policy that controls calls `again` are the function and its arguments, to begin afresh.

    def _generator(self, inner: Generator[Any, Any, Any], *again: Any) -> Generator[Any, Any, Any]:
        from holdfast.waiting.streams import guarded_generator

        return guarded_generator(self, inner, *again)

    def _async_generator(
        self, inner: AsyncGenerator[Any, Any], *again: Any
    ) -> AsyncGenerator[Any, Any]:
        from holdfast.waiting.streams import guarded_async_generator

        return guarded_async_generator(self, inner, *again)

    # The same for what a plain function gave that is to run yet, or runs.

    def _late_manager(self, manager: Any, *again: Any) -> Any:
        from holdfast.waiting.late import guarded_manager

        return guarded_manager(self, manager, *again)

    def _late_async_manager(self, manager: Any, *again: Any) -> Any:
        from holdfast.waiting.late import guarded_async_manager

        return guarded_async_manager(self, manager, *again)

    def _late_awaitable(self, awaitable: Any, *again: Any) -> Any:
        from holdfast.waiting.late import guarded_awaitable

        return guarded_awaitable(self, awaitable, *again)

    def _late_task(self, future: Any, *again: Any) -> Any:
        from holdfast.waiting.late import guarded_task

        return guarded_task(self, future, *again)

    def _late_future(self, future: Any, *_again: Any) -> None:
        from holdfast.waiting.late import refuse_future

        refuse_future(self, future)

    @staticmethod
    def _refuse_late(method: str, kind: int, fn: Any, late: Any) -> NoReturn:
        from holdfast.waiting.late import refuse_late

        refuse_late(method, kind, fn, late)

    @staticmethod
    def _refuse_kind(method: str, kind: int, fn: Any) -> NoReturn:
        from holdfast.waiting.late import refuse_kind

        refuse_kind(method, kind, fn)

    @staticmethod
    def _as_expected(given: Any, fn: Any, late: int, in_loop: int) -> Any:
        from holdfast.waiting.late import as_expected

        return as_expected(given, fn, late, in_loop)

    def _call_in_task(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call what gives a future of asyncio in a task, which first waits to be admitted."""
        from holdfast.waiting.late import guarded_task

        return guarded_task(self, self.acall(fn, *args, **kwargs))

    def _has_run(self, result: _R) -> _R:
        """Admit a call that has run, and gave ``result``."""
        return self.call(_same, result)

    def _settle_when_done(self, future: Any, permit: gate.Permit) -> Any:
        from holdfast.waiting.late import settle_when_done

        return settle_when_done(future, permit)

    def _steps(self, coroutine: gate.GuardedCoroutine[Any]) -> Any:
        from holdfast.waiting.steps import Steps

        return Steps(coroutine)

    def _sleep(self, ns: int) -> None:
        mind_loop(self)
        sleep_ns(self._clock, ns)

    def _pause(self, ns: int) -> Coroutine[Any, Any, None]:
        from holdfast.waiting.aio import asleep_ns

        return asleep_ns(self._clock, ns)

    def _refuse_trio(self) -> None:
        """Refuse to limit the time of a task of trio's."""
        refuse_cut(self)

    # ---- what policies share ----

    def _rejected(self, refused: int) -> int:
        """Return how many calls it rejected of those its kernel refused: none if it observes.

        Not the difference of two counts: between them, a reader would see it rise and fall again.
        """
        return 0 if self.mode is Mode.OBSERVE else refused

    def _costs(self) -> list[str]:
        """Return in a few words what a call costs, the unavoidable first."""
        if self.mode is Mode.OFF:
            return ["off: nothing"]
        return ["native", *self._further_costs()]

    def _further_costs(self) -> list[str]:
        return []

    def _stopwatch(self) -> Clock:
        """Return what a call is timed by."""
        clock: Clock = self._clock
        return clock

    def _mind_listeners(self) -> None:
        """Let the gate know whether anybody listens; again if that changed in another thread."""
        while self._listening != (listened_to := self._is_listened_to()):
            self._listening = listened_to

    def _is_listened_to(self) -> bool:
        listeners: Listeners | None = self._listeners
        return listeners is not None and listeners.is_wanted

    def _emit(self, kind: str, **details: Any) -> None:
        if self._listeners:
            at = self._clock.now_ns() / 1e9
            self._listeners.emit(Event(kind, self, self.name, at=at, **details))

    def _say(self, record: str, text: str, *args: object, **fields: Any) -> None:
        """Log what was done to it: ``text`` follows its kind and name."""
        from holdfast.records import note

        name = None if self.name is None else full_name(self)
        who = self.kind.replace("_", " ") + ("" if name is None else f" {name!r}")
        note(record, self.kind, name, f"%s {text}", who, *args, clock=self._clock, **fields)

    def _keep(self, **settings: Any) -> None:
        """Keep the settings, each by its name, and what every policy has beside them.

        Policies of one class that are made one after another mostly have the same: kept once.
        """
        self.mode = settings["mode"]
        kept = tuple(map(settings.pop, self._setting_names))
        assert not settings, f"no setting of {type(self).__name__}: {settings}"
        key = type(self), kept[0] if type(kept[0]) in _NUMBERS else None
        made = _made_last.get(key)
        before = () if made is None else getattr(made(), "_settings", ())
        if len(before) == len(kept) and all(map(_is_same, before, kept)):
            self._settings = before
            return
        self._settings = kept
        if len(_made_last) == SETTINGS_MOST:
            _made_last.clear()
        _made_last[key] = ref(self)

    def _change(self, **settings: Any) -> None:
        """Put some settings into force instead of those there are."""
        there = zip(self._setting_names, self._settings, strict=True)
        self._settings = tuple(settings.get(field, value) for field, value in there)

    def _setting(self, field: str) -> Any:
        """Return a setting as it is in force."""
        return self._settings[self._setting_names.index(field)]

    def _figured(self) -> tuple[Part, ...]:
        """Return what metrics are made of: its roles and kernels."""
        return ()

    def _new_histogram(self, role: int) -> Histogram:
        """Return a histogram for the first duration; of several asked for at once, the same."""
        settle()  # in a forked child another thread of the parent may have held the ledger's lock
        histogram: Histogram = ledger.extend(self, (role, Histogram(), 0))
        return histogram

    def _make_ends(self) -> None:
        """Have the ends of a pipeline's calls counted from here on."""
        settle()
        self._keep_ends(ledger.extend(self, (PIPELINE, Ends(), 0), enters=True))

    def _record_wait(self, role: int, ns: int) -> None:
        """Record how long a call has waited. Where there is no memory it goes on unrecorded."""
        if self._waits is None:
            try:
                self._waits = self._new_histogram(role)
            except MemoryError:
                return
        self._waits.record(ns)

    def _must_equal(self, asked: Policy) -> None:
        """Refuse to hand out a shared policy of another class or with other settings."""
        problems = Problems(type(asked).__name__, asked.name)
        if type(self) is not type(asked):
            problems.refuse("shared", True, f"the class of the existing policy {titled(self)}")
            problems.done()
        for field, living, value in self._differences(asked):
            problems.refuse(field, value, f"{_brief(living)}, as in the existing shared policy")
        problems.done()

    def _differences(self, other: Policy) -> list[tuple[str, Any, Any]]:
        """Return the settings in which a policy of the same class differs: name, ours, its."""
        pairs = zip(self._setting_names, self._settings, other._settings, strict=True)
        return [
            (field, ours, its)
            for field, ours, its in pairs
            if _comparable(ours) != _comparable(its)
        ]

    locals().update((name, _Elsewhere(name)) for name in _ELSEWHERE.split())


def settings_of(init: Any) -> tuple[str, ...]:
    """Return the names of a policy's settings: what ``__init__`` takes but name and shared."""
    code = init.__code__
    given = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    return tuple(field for field in given if field not in {"name", "shared"})


def problems_of(kind: str, name: object) -> Problems:
    """Gather what is wrong with a policy that need not have a name."""
    return Problems(kind) if name is None else Problems(kind, name)


def read_on_result(problems: Problems, value: Any) -> Callable[[Any], object] | None:
    """Return what is asked whether a result is a failure; None if nothing is."""
    if isinstance(value, str) and value == "http":
        from holdfast.categories.http import is_failure

        return is_failure
    if value is not None and not callable(value):
        problems.refuse("on_result", value, '"http", a predicate of the result, or None')
        return None
    return problems.asked("on_result", value)


def refuse_nameless_sharing(problems: Problems, name: str | None, shared: object) -> None:
    """Check ``shared`` of a policy that need not have a name."""
    if problems.flag("shared", shared) and name is None:
        problems.refuse("shared", shared, "False for a policy without a name")


def _is_same(one: object, other: object) -> bool:
    """Return whether two settings cannot be told apart, without asking what is the user's."""
    return one is other or (type(one) is type(other) and type(one) in _NUMBERS and one == other)


_NUMBERS = (float, int)
# By class and first setting, as a pipeline has two timeouts: the last with settings of its own.
_made_last: dict[tuple[type, float | None], ref[Policy]] = {}
SETTINGS_MOST = 64


def _same(result: _R) -> _R:
    return result


class NotWaitableError(RuntimeError):
    """A policy that nobody can wait for was asked to wait: a defect of holdfast."""


def _stats(
    outcome: gate.Outcome[Any], duration_ns: int, attempts: int, waited_ns: int, stand_ins: int
) -> CallStats:
    from holdfast.policies.call_stats import CallStats

    return CallStats(outcome.ok, attempts, duration_ns / 1e9, waited_ns / 1e9, stand_ins > 0)


def _comparable(setting: object) -> object:
    """Return a setting as it is compared: durations in seconds, whichever way they were given."""
    from datetime import timedelta

    if isinstance(setting, tuple):
        return tuple(map(_comparable, setting))
    return setting.total_seconds() if isinstance(setting, timedelta) else setting


def _brief(value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_brief, value)) + ")"
    if isinstance(value, Mode):
        value = value.value  # as it is given, and shorter
    return getattr(value, "__qualname__", None) or repr(value)


install_guard_face()
gate._install_asyncio(find_asyncio)
