"""A registered resource: what it is, who registered it where, when it was used, and its end.

Elsewhere: the limits, and when what is cleaned (``manager``), and how (``cleanup_round``).
"""

from __future__ import annotations

from types import MappingProxyType

from holdfast.resources.sites import shown_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from holdfast.resources.figures import KindFigures
    from holdfast.resources.sites import Site

    Manager = Any  # ResourceManager, which stands above
    Cleanup = Callable[[], object]

__all__ = ["Resource", "Tally", "Using"]

NEVER = -1
_NOTHING: Mapping[str, object] = MappingProxyType({})


class Tally:
    """A kind of resource of one manager.

    Attributes:
        add, take: Of the kernel, for registrations and their ends.
        last_cleanup_ns: When one was cleaned last; None: never.
    """

    __slots__ = ("add", "figures", "kind", "last_cleanup_ns", "manager", "take")

    def __init__(self, manager: Manager, kind: str, figures: KindFigures) -> None:
        self.manager = manager
        self.kind = kind
        self.figures = figures
        self.add = figures.kernel.add
        self.take = figures.kernel.take
        self.last_cleanup_ns: int | None = None

    def registered(self) -> int:
        """Return how many are registered: those that have ended first, so that none is counted."""
        figures = self.figures
        ended = figures.cleaned + figures.released + figures.collected
        return figures.created - ended


class Resource:
    """A resource of a ``ResourceManager``, as ``register`` returns it.

    A ``with`` block cleans it at its end, in the same thread and context, as if you had called its
    clean-up; so does ``async with``, which awaits a coroutine function in the same task, and calls
    any other in a thread. Its use is reported with ``touch`` or ``using``. One that is no longer
    registered stays readable. Safe to share between threads and event loops.

    >>> from holdfast.resources import ResourceManager
    >>> resources = ResourceManager("example")
    >>> with resources.register("orders", "file", lambda: print("closed")) as orders:
    ...     orders.kind, orders.is_registered
    ('file', True)
    closed
    """

    __slots__ = (
        "__weakref__",
        "_amount",
        "_cleanup",
        "_created_ns",
        "_held",
        "_id",
        "_is_leak",
        "_loop",
        "_metadata",
        "_of",
        "_ref",
        "_site",
        "_used_ns",
    )

    def __init__(
        self,
        of: Tally,
        id: Any,
        cleanup: Cleanup | None,
        amount: int,
        metadata: Mapping[str, Any] | None,
        loop: AbstractEventLoop | None,
        now_ns: int,
        site: Site,
    ) -> None:
        self._of = of
        self._id = id
        self._cleanup = cleanup
        self._amount = amount
        self._metadata = metadata
        self._loop = loop
        self._created_ns = now_ns
        self._site = site
        self._used_ns = NEVER
        self._is_leak = False
        # Whoever takes the one thing that is in it ends the registration: one step, without a lock.
        # It is put in once there was room.
        self._held: list[None] = []
        self._ref: object = None  # of a tracked object

    def _with_cleanup(self, cleanup: Cleanup) -> Resource:
        """Return what is told of as this resource, but is cleaned by something else."""
        of, amount, metadata, loop = self._of, self._amount, self._metadata, self._loop
        return Resource(of, self._id, cleanup, amount, metadata, loop, self._created_ns, self._site)

    # ---- what it is ----

    @property
    def id(self) -> Any:
        """Its identifier."""
        return self._id

    @property
    def kind(self) -> str:
        """Its kind."""
        return self._of.kind

    @property
    def amount(self) -> int:
        """How much of its kind it is, as for the limit."""
        return self._amount

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata given at the registration; read-only."""
        found = self._metadata
        return _NOTHING if found is None else MappingProxyType(found)

    @property
    def where(self) -> str:
        """The place of its registration: file, line and function, and the same of its caller."""
        return shown_site(self._site)

    @property
    def created(self) -> float:
        """When it was registered, in seconds on the manager's clock."""
        return self._created_ns / 1e9

    @property
    def last_used(self) -> float | None:
        """When its use was reported last, in seconds on the manager's clock; None: never."""
        used_ns = self._used_ns
        return None if used_ns == NEVER else used_ns / 1e9

    @property
    def in_use(self) -> bool:
        """Whether it is within a ``using`` block."""
        return bool(self._of.manager._using.get(self))

    @property
    def is_registered(self) -> bool:
        """Whether it is registered in this process: neither cleaned, unregistered nor collected."""
        return bool(self._held)

    @property
    def is_suspected_leak(self) -> bool:
        """Whether it was found old and unused, once."""
        return self._is_leak

    # ---- its use ----

    def touch(self) -> bool:
        """Report that it was used now; return whether it is registered."""
        return bool(self._of.manager._touch(self))

    def using(self) -> Using:
        """Return a ``with`` block in which it is in use: it is neither idle nor a leak meanwhile.

        Raises:
            RuntimeError: On entering: it is not registered any more.
        """
        return Using(self)

    # ---- its end ----

    def cleanup(self) -> bool:
        """Clean and forget it here, as ``ResourceManager.cleanup`` does with its identifier."""
        return bool(self._of.manager._clean_one(self))

    async def acleanup(self) -> bool:
        """Clean and forget it, as ``ResourceManager.acleanup`` does with its identifier."""
        self._of.manager._refuse_trio("cleanup()")
        return bool(await self._of.manager._aclean_one(self))

    def unregister(self) -> bool:
        """Forget it without cleaning, as its owner has; return whether it was registered."""
        return bool(self._of.manager._release(self))

    def __enter__(self) -> Self:
        if self._cleanup is not None:
            self._of.manager._refuse_here(self, "'async with'")
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cleanup()

    async def __aenter__(self) -> Self:
        self._of.manager._refuse_trio("'with'")
        return self

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.acleanup()

    def __repr__(self) -> str:
        state = "" if self.is_registered else ", not registered"
        amount = "" if self._amount == 1 else f" of {self._amount}"
        return f"<Resource {self._id!r}, {self.kind}{amount}{state}>"


class Using:
    """A ``with`` block in which a resource is in use."""

    __slots__ = ("_resource", "_uses")

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._uses: list[list[None]] = []

    def __enter__(self) -> Resource:
        resource = self._resource
        self._uses.append(resource._of.manager._begin_use(resource))
        return resource

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        resource = self._resource
        resource._of.manager._end_use(resource, self._uses.pop())
