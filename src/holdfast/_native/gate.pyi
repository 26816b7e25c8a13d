from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from types import CellType, CodeType, GenericAlias, TracebackType
from typing import Any, Generic, Literal, ParamSpec, Protocol, Self, final

from typing_extensions import TypeVar

_D = TypeVar("_D")
_Default = TypeVar("_Default", default=None)
_E = TypeVar("_E", bound=Rejected)
_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)
_By_co = TypeVar("_By_co", covariant=True, default=Any)
_T_co = TypeVar("_T_co", covariant=True)

MAX_STEPS: int
LTO: bool  # the build optimised over all files of the gate

class HoldfastError(Exception):
    """The base class of all errors of holdfast. `code` is a stable identifier."""

    code: str
    summary: str

class Rejected(HoldfastError):  # noqa: N818 - the name of the public face
    """A policy has rejected the call; the function did not run.

    Attributes: policy, name, reason, retry_after (seconds or None).
    """

    policy: Any
    name: str | None
    reason: str
    _detail: Any
    _details: tuple[str, ...]
    _figures: tuple[int, int, int, int]
    _seconds: float
    _waited: float
    def __init__(
        self,
        *args: object,
        policy: object = None,
        name: str | None = None,
        reason: str = "",
        retry_after: float | None = None,
        **details: Any,
    ) -> None: ...
    def _said(self) -> str: ...
    def _take(self, *args: Any, **details: Any) -> None: ...
    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be admitted again; None when unknown."""

@final
class Outcome(Generic[_T_co]):
    """The result of try_call: a value, an error or a rejection. True if the call succeeded.

    A match statement takes it apart: `case Outcome(ok=True, value=value)`, or by position, which is
    (value, error, rejection).

    Immutable; may be shared by threads.
    """
    @property
    def value(self) -> _T_co | None:
        """The result of the call; None unless ok."""
    @property
    def error(self) -> Exception | None:
        """The Exception the call raised, or None."""
    @property
    def rejection(self) -> Rejected | None:
        """The Rejected that kept the call from running, or None."""
    @property
    def ok(self) -> bool:
        """True when the call ran and returned."""
    __match_args__: tuple[Literal["value"], Literal["error"], Literal["rejection"]]
    def unwrap(self) -> _T_co:
        """Return the value, or raise the error or the rejection."""
    def value_or(self, default: _D, /) -> _T_co | _D:
        """Return the value if the call succeeded, also if it is None; else the default."""
    def __bool__(self) -> bool: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Permit:
    """An admission held by hand: settle it once, or use it as a context manager.

    May be settled from any thread or task. Collected unsettled, it frees its slot without an
    outcome.
    """
    @property
    def _is_probe(self) -> bool: ...
    def _step(self, into: bool, /) -> None: ...
    @property
    def settled(self) -> bool:
        """Whether the permit is settled."""
    def success(self) -> bool:
        """Settle as a success. Returns False if the permit is already settled."""
    def failure(self, exc: BaseException | None = None, /) -> bool:
        """Settle as a failure. An exception is judged as if the call had raised it."""
    def ignore(self) -> bool:
        """Free the slot without an outcome.

        The call counts neither as success nor as failure.
        """
    def _returned(self, result: object, /) -> bool: ...
    def __enter__(self) -> Self:
        """Return the permit."""
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]:
        """Settle by how the block ended, unless it is settled."""

@final
class GuardedCoroutine(Coroutine[Any, Any, _T_co]):
    """The awaitable of a guarded call. Belongs to the task that awaits it."""
    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_code(self) -> Any: ...
    @property
    def cr_frame(self) -> Any: ...
    @property
    def cr_origin(self) -> Any: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_state(self) -> str: ...
    @property
    def cr_suspended(self) -> bool: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    def send(self, value: Any, /) -> Any:
        """Make one step."""
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raise inside the call."""
    def close(self) -> None:
        """End the call without a verdict."""
    def __await__(self) -> Generator[Any, Any, _T_co]: ...

class _Optional(Protocol[_Q]):
    def with_options(self, *args: _Q.args, **options: _Q.kwargs) -> object: ...

@final
class Guard(Generic[_P, _R_co, _By_co]):
    """A guarded function: what a policy makes of the function that it decorates.

    It has the signature, the name and the attributes of the function, and binds as the function
    does. ``policy`` is what guards it, ``__wrapped__`` the function. ``with_options`` returns the
    function guarded by other policies. In an annotation: ``Guard[[str, int], float]``, or with its
    policy, ``Guard[[str, int], float, Pipeline]``.

    Safe to share between threads and event loops.
    """

    __wrapped__: Callable[_P, _R_co]
    __name__: str
    __qualname__: str
    __type_params__: tuple[Any, ...]
    __code__: CodeType
    __defaults__: tuple[Any, ...] | None
    __kwdefaults__: dict[str, Any] | None
    @property
    def __globals__(self) -> dict[str, Any]: ...
    @property
    def __builtins__(self) -> dict[str, Any]: ...
    @property
    def __closure__(self) -> tuple[CellType, ...] | None: ...
    @property
    def policy(self) -> _By_co:
        """The policy, pipeline or operation that guards."""
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...
    def with_options(
        self: Guard[_P, _R_co, _Optional[_Q]], /, *args: _Q.args, **options: _Q.kwargs
    ) -> Guard[_P, _R_co, _By_co]:
        """Return the function guarded with other options; see Pipeline and Retry.with_options.

        Of a method it is one that is not bound, whichever way it was reached: call it with the
        object.

        Raises:
            TypeError: What guards is neither a pipeline nor a retry.
            ConfigError: As of with_options.
        """
    def __set_name__(self, owner: type, name: str, /) -> None: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

class Gate:
    """The native base class of all policies and pipelines."""

    _listening: bool
    _tells: int
    _can_wait: bool
    _asks: bool
    _rest: Gate | None
    @property
    def _controls(self) -> bool: ...
    @property
    def _records(self) -> bool: ...
    @property
    def _reruns(self) -> bool: ...
    @property
    def _threaded_at(self) -> int: ...
    @property
    def name(self) -> str | None:
        """The policy's name."""
    @property
    def _is_made(self) -> bool: ...
    @property
    def _kernel(self) -> Any: ...
    @property
    def _kernels(self) -> tuple[Any, ...]: ...
    @property
    def _clock(self) -> Any: ...
    @property
    def _histogram(self) -> Any: ...
    @property
    def _ends(self) -> Any: ...
    @property
    def _listeners(self) -> Any: ...
    @property
    def _queue(self) -> Any: ...
    @property
    def _parts(self) -> tuple[Gate, ...]: ...
    @property
    def _observed(self) -> int: ...
    @property
    def _unobserved(self) -> int: ...
    @property
    def _busy_ns(self) -> int: ...
    @property
    def _settled_twice(self) -> int: ...
    def _bind(
        self,
        kind: str,
        kernels: tuple[Any, ...],
        clock: object,
        name: str | None,
        mode: int,
        rejection: type[Rejected],
        *,
        can_wait: bool = False,
        timed: bool = False,
        asks: bool = False,
        threads: bool = False,
        stands_by_call: bool = False,
        calls_coroutines: bool = False,
        results_only: bool = False,
        reads_results: bool = False,
        on: tuple[type[Exception], ...] = (),
        on_categories: int = 0,
        ignore: tuple[type[Exception], ...] | Callable[[Any], object] = (),
        ignore_categories: int = 0,
        is_failure: Callable[[Any], object] | None = None,
        wanted: Callable[[Any], object] | None = None,
        retry_after: object = None,
        own_backoff: object = None,
        stand_in: object = None,
        backoff: object = None,
        budget: object = None,
        budget_clock: object = None,
        failure_rate: object = None,
        adaptive: object = None,
        adaptive_rate: object = None,
    ) -> None: ...
    def _compose(self, name: str, parts: tuple[Gate, ...], /) -> None: ...
    def _inject(self, on: bool, /) -> None: ...
    def _attach(self, fault: Gate, /) -> None: ...
    def _record_latency(self) -> None: ...
    def _keep_histogram(self, histogram: object, /) -> None: ...
    def _keep_ends(self, ends: object, /) -> None: ...
    def _once(
        self, attribute: Literal["_listeners", "_queue"], make: Callable[[], _R], /
    ) -> _R: ...
    def _keep_trip(self, generation: int, trip: object, /) -> None: ...
    def _refuse(
        self,
        reason: str,
        retry_after_ns: int = -1,
        cls: type[Rejected] | None = None,
        waited_ns: int = -1,
        limit: int = 0,
        /,
    ) -> None: ...
    def _guard(self, fn: Callable[_P, _R], /) -> Guard[_P, _R, Self]: ...
    def _attempt_made(
        self,
        retries: int,
        previous_ns: int,
        started_ns: int,
        error: BaseException | None,
        result: object,
        returned: bool,
        granted: list[int | None],
        /,
    ) -> bool: ...
    def _attempt_failed(self, error: BaseException | None, result: object, /) -> bool: ...
    def _pause_ended(self, retries: int, interrupted: bool, /) -> None: ...
    def _check_begin(self) -> None: ...
    def _block_begins(self) -> int: ...
    def _block_ended(self, error: BaseException | None, began_ns: int, failed: bool, /) -> None: ...
    def _leave_entry(
        self, error: BaseException | None, result: object, returned: bool, ran: bool, /
    ) -> bool: ...
    def _leave_place(self, place: list[int], /) -> None: ...
    def _open(self, opener: Callable[[], Any], /) -> tuple[Permit, Any]: ...
    def _await(
        self,
        awaitable: Any,
        fn: Callable[..., Any] = ...,
        args: tuple[Any, ...] = ...,
        kwargs: dict[str, Any] = ...,
        /,
    ) -> GuardedCoroutine[Any]: ...
    def _call_within(self, fn: Callable[[], _R], /) -> tuple[_R, bool]: ...
    def _aopen(
        self, opener: Callable[[], Coroutine[Any, Any, Any]], /
    ) -> GuardedCoroutine[tuple[Permit, Any]]: ...
    def _call_counted(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> tuple[Outcome[_R], int, int, int]: ...
    def _acall_counted(
        self,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> GuardedCoroutine[tuple[Outcome[_R], int, int, int]]: ...
    def _permit(self) -> Permit: ...
    def _apermit(self) -> GuardedCoroutine[Permit]: ...
    def _places_in(self, holder: object, /) -> int: ...
    def _peek_inside(self, now_ns: int, /) -> bool: ...
    def _try_enter(self) -> bool: ...
    def _try_take(self, n: int = 1) -> bool: ...
    def _weight(self, n: int, /) -> int: ...
    def _wait_ns(self, n: int, /) -> int: ...
    def _count_clear(self) -> None: ...
    def call(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call fn under this policy and return what it returns.

        Args:
            fn: The function; *args and **kwargs are its arguments.

        Raises:
            Rejected: The policy has rejected the call; fn did not run.
            TypeError: fn is a coroutine function, or returned an object that can only be awaited;
                use acall().
        """
    def try_call(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Outcome[_R]:
        """Call fn under this policy and return an Outcome instead of raising.

        Args:
            fn: The function; *args and **kwargs are its arguments.

        Returns:
            An Outcome with the value, the Exception that fn raised, or the rejection.

        Raises:
            TypeError: fn is not a plain function, or its result is still to run.
        """
    def acall(
        self,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> GuardedCoroutine[_R]:
        """Await fn(*args, **kwargs) under this policy; fn is called once the call is admitted.

        Args:
            fn: A coroutine function, or a function that returns an awaitable, such as a future
                of asyncio; *args and **kwargs are its arguments.

        Returns:
            A coroutine of the result.

        Raises:
            Rejected: The policy has rejected the call; fn did not run.
            TypeError: fn returned no awaitable; use call().
        """
    def try_acall(
        self,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> GuardedCoroutine[Outcome[_R]]:
        """Await fn(*args, **kwargs) under this policy for an Outcome.

        Args:
            fn: As of acall(); *args and **kwargs are its arguments.

        Returns:
            A coroutine of an Outcome with the value, the Exception that was raised, or the
            rejection.

        Raises:
            TypeError: fn returned no awaitable; use try_call().
        """
    def __enter__(self) -> Self:
        """Admit the `with` block as one call; return the policy."""
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]:
        """Settle the call by how the `with` block ended."""
    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        """Admit the `async with` block as one call; return the policy."""
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Coroutine[Any, Any, Literal[False]]:
        """Settle the call by how the `async with` block ended."""

class Handle:
    """The native base class of operations: a name whose gate may be replaced at any time.

    Calls go to the gate of this moment, and end on the gate that they began with, which they keep
    alive. So do calls of the functions that a handle decorates.

    Safe to share between threads and event loops.
    """

    def __init__(self, name: str) -> None: ...
    @property
    def name(self) -> str:
        """The name of the operation."""
    @property
    def _gate(self) -> Gate | None: ...
    def _turn_to(self, gate: Gate | None, /) -> None: ...
    # There is no gate: turn to one and return True, or raise why there is none. Or return a gate,
    # that of this call; or the course of a guarded call or of call(): a function, called with the
    # guarded one or with None, and with the arguments.
    def _missing(self) -> object: ...
    def _guard(self, fn: Callable[_P, _R], /) -> Guard[_P, _R, Self]: ...
    def __call__(self, fn: Callable[_P, _R], /) -> Guard[_P, _R, Self]:
        """Return ``fn`` guarded by this policy."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def call(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call fn under the policies of this operation and return what it returns.

        Args:
            fn: The function; *args and **kwargs are its arguments.

        Raises:
            Rejected: A policy has rejected the call; fn did not run.
            TypeError: fn is a coroutine function, or returned an object that can only be awaited;
                use acall().
        """
    def try_call(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Outcome[_R]:
        """Call fn under the policies of this operation and return an Outcome instead of raising.

        Args:
            fn: The function; *args and **kwargs are its arguments.

        Returns:
            An Outcome with the value, the Exception that fn raised, or the rejection.

        Raises:
            TypeError: fn is not a plain function, or its result is still to run.
        """
    def acall(
        self,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> GuardedCoroutine[_R]:
        """Await fn(*args, **kwargs) under the policies of this operation.

        The policies are those of the moment of this call, not of the moment of the await.

        Args:
            fn: A coroutine function, or a function that returns an awaitable, such as a future
                of asyncio; *args and **kwargs are its arguments.

        Returns:
            A coroutine of the result.

        Raises:
            Rejected: A policy has rejected the call; fn did not run.
            TypeError: fn returned no awaitable; use call().
        """
    def try_acall(
        self,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> GuardedCoroutine[Outcome[_R]]:
        """Await fn(*args, **kwargs) under the policies of this operation for an Outcome.

        Args:
            fn: As of acall(); *args and **kwargs are its arguments.

        Returns:
            A coroutine of an Outcome with the value, the Exception that was raised, or the
            rejection.

        Raises:
            TypeError: fn returned no awaitable; use try_call().
        """
    def acquire(self) -> Permit:
        """Admit one call and return a permit.

        Returns:
            A permit. Settle it with success(), failure(exc) or ignore(), or use it as a context
            manager. It belongs to the policies of this moment.

        Raises:
            Rejected: No call is admitted.
            TypeError: A retry, a hedge or a fallback cannot run a block again.
        """
    def aacquire(self) -> GuardedCoroutine[Permit]:
        """Admit one call, waiting without blocking the event loop.

        Returns:
            A coroutine of a permit, as of acquire().

        Raises:
            Rejected: No call is admitted.
            TypeError: A retry, a hedge or a fallback cannot run a block again.
        """

class Directory:
    """The native base class of managers: operations by name.

    Safe to share between threads and event loops.
    """

    @property
    def _handles(self) -> dict[str, Handle]: ...
    def _missing(self, name: str, /) -> Handle: ...  # a handle, or the error
    def execute(
        self, name: str, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Call fn with all protection that is registered for the operation of that name.

        Args:
            name: The operation.
            fn: The function; *args and **kwargs are its arguments.

        Returns:
            What fn returns.

        Raises:
            Rejected: A policy has rejected the call; fn did not run.
            UnprotectedError: The operation has no policy, or names a policy that is not registered.
            TypeError: fn is a coroutine function, or returned an object that can only be awaited;
                use aexecute().
        """
    def aexecute(
        self,
        name: str,
        fn: Callable[_P, Awaitable[_R]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> GuardedCoroutine[_R]:
        """Await fn(*args, **kwargs) with all protection registered for the operation of that name.

        Args:
            name: The operation.
            fn: A coroutine function, or a function that returns an awaitable; *args and **kwargs
                are its arguments.

        Returns:
            A coroutine of the result.

        Raises:
            Rejected: A policy has rejected the call; fn did not run.
            UnprotectedError: The operation has no policy, or names a policy that is not registered.
            TypeError: fn returned no awaitable; use execute().
        """

def deadline(default: _Default = ..., /) -> float | _Default:
    """Return the seconds that the enclosing Timeout has left; the default without a Timeout.

    With several timeouts, the earliest deadline counts. The result is 0.0 after the deadline. A
    Timeout in observe mode or off sets no deadline. Safe to call from any thread and task; each
    has its own. A task from create_task() does not inherit it.

    >>> import holdfast as hf
    >>> hf.deadline() is None
    True
    >>> hf.deadline(5)
    5
    >>> 0 < hf.Timeout(30).call(hf.deadline) <= 30
    True
    """

def check_deadline() -> None:
    """Raise an error if the enclosing Timeout has expired; for loops in synchronous code.

    Raises:
        DeadlineExceededError: The deadline has passed.
        Cancelled: The operation of a TimeoutManager that this code belongs to was cancelled.

    Safe to call from any thread and task; each has its own deadline.

    >>> import holdfast as hf
    >>> hf.Timeout(30).call(hf.check_deadline)
    """

def _at_hand(cls: type[_E], /) -> type[_E]: ...
def _forget_classes() -> None: ...
def _install_rules(of_class: Callable[[type], object], /) -> None: ...
def _look(rule: object, error: object, /) -> Any: ...
def _classify(error: object, /) -> Any: ...
def _set_retrying(on: bool, /) -> None: ...
def _is_retrying() -> bool: ...
def _deadline_here() -> tuple[Gate, int] | None: ...
def _under_deadline(here: tuple[Gate, int] | None, fn: Callable[[], _R], /) -> _R: ...
def _race_parts(coroutine: GuardedCoroutine[Any], at: int, /) -> tuple[Any, ...] | None: ...
def _cut_first(coroutine: GuardedCoroutine[Any], at: int, /) -> None: ...
def _is_ending(coroutine: GuardedCoroutine[Any], at: int, /) -> bool: ...
def _install_asyncio(find: Callable[[], tuple[object, ...] | None], /) -> None: ...
def _limits_in_force() -> int: ...
def _install_blocks(blocks: Callable[[], tuple[tuple[Any, int], ...]], /) -> None: ...
def _count_blocks(n: int, /) -> None: ...
def _probes_here() -> tuple[object, ...] | None: ...
def _set_probes(probes: tuple[object, ...] | None, /) -> None: ...
def _need_answer(field: str, fn: object, answer: _R, /) -> _R: ...
def _fork_number() -> int: ...
def _referents(one: object, /) -> list[object]: ...
def _settle_fork() -> None: ...
def _install_scope(variable: ContextVar[Any], /) -> None: ...
def _install_fork(in_child: Callable[[], object], /) -> bool: ...
def _callable_kind(fn: object, /) -> int: ...
def _own_methods(cls: type[Gate | Handle | Directory], /) -> None: ...
def _inside_guard(one: object, /) -> tuple[Callable[..., Any], dict[str, Any]] | None: ...
def _install_guard_face(
    attributes: dict[str, Any],
    getters: dict[str, Callable[[Guard[..., Any], str], Any]],
    setters: dict[str, Callable[..., Any]],
    /,
) -> None: ...
