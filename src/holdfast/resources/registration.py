"""The book of a resource manager: what is registered, in use and gone, and within which limits.

Owns the one step that ends a registration. Elsewhere: clean-ups (``cleanups``), and the settings
and the life of a manager (``manager``).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from holdfast._native.resource import ALL_FULL, ALL_HIGH, COLLECTED, DONE, HIGH, MOST, RELEASED
from holdfast.errors import ConfigError
from holdfast.events import Event
from holdfast.forks import settle
from holdfast.resources.cleanup_round import running_loop
from holdfast.resources.errors import ResourceLimitError
from holdfast.resources.figures import KindFigures, TotalFigures
from holdfast.resources.kinds import OPERATION, refuse_kind
from holdfast.resources.news import log_high, log_resource, wants_each
from holdfast.resources.resource import Resource
from holdfast.resources.settings import read_amount, read_id, read_metadata
from holdfast.resources.sites import outer_site, site_of
from holdfast.resources.tracked import Tracked, read_tracked
from holdfast.validation import Problems, is_name, shown

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.events import Listeners
    from holdfast.resources.resource import Tally

    Cleanup = Callable[[], object]
    Kernel = Any

__all__ = ["Registration"]


class Registration:
    """The part of a manager that registers, and knows what is registered."""

    _name: str
    _clock: Clock
    _lock: Any
    _all: TotalFigures
    _total: Kernel  # of these
    _now_ns: Callable[[], int]
    _tallies: dict[str, Tally]
    _living: dict[Any, Resource]
    _using: dict[Resource, list[None]]
    _dead: deque[Tracked]
    _owed: deque[Resource]
    _serials: Iterator[int]
    _accepts: bool
    _listeners: Listeners
    _heard: Mapping[Any, None]  # its subscriptions

    def _wake(self) -> None:
        """Have the loop look."""
        raise NotImplementedError

    # ---- registration ----

    def register(
        self,
        id: Any,
        kind: str,
        cleanup: Cleanup | None = None,
        *,
        amount: int = 1,
        metadata: Mapping[str, Any] | None = None,
    ) -> Resource:
        """Register a resource.

        Args:
            id: Its identifier: a string, an integer or a tuple of such. Only one resource of an
                identifier is registered at a time.
            kind: Its kind.
            cleanup: Closes it, without arguments. If it returns an awaitable, this is awaited.
            amount: How much of its kind it is, as for the kind's limit.
            metadata: Further values, for you.

        Returns:
            The resource. A ``with`` block of it cleans it at its end.

        Raises:
            ConfigError: An argument is invalid, the kind is unknown, or the identifier is taken.
            ResourceLimitError: There is no room for it.
            RuntimeError: The manager was stopped.
        """
        if type(id) is not str:
            read_id(id)
        if type(amount) is not int or not 1 <= amount <= MOST:
            amount = read_amount(amount)
        try:
            of = self._tallies[kind]
        except (KeyError, TypeError):
            raise self._unknown(kind) from None
        loop = None
        if cleanup is not None:
            given: object = cleanup
            if not callable(given):
                self._refuse("cleanup", cleanup, "a callable without arguments, or None")
            loop = running_loop()
        if metadata is not None:
            metadata = read_metadata(metadata)
        if not self._accepts:
            raise self._stopped()
        if self._dead:
            self._bury()
        site = site_of(sys._getframe(1))
        made = Resource(of, id, cleanup, amount, metadata, loop, self._now_ns(), site)
        try:
            there = self._living.setdefault(id, made)
            if there is not made:
                raise self._taken(there)
            answer = of.add(amount, self._total, made._held)  # from here on it can be ended
            if answer != DONE:
                if answer < DONE:
                    self._refuse_more(answer, made)
                self._say_scarce(answer, of)
            if not self._accepts and self._take(made, RELEASED):  # type: ignore[unreachable]
                raise self._stopped()  # it was stopped meanwhile
            if self._heard or wants_each():
                self._log_and_emit("registered", "resource_registered", made)
        except BaseException:  # Ctrl-C too
            self._undo(made)
            raise
        return made

    def unregister(self, id: Any) -> bool:
        """Forget a resource without cleaning it: its owner has closed it.

        Args:
            id: Its identifier.

        Returns:
            Whether it was registered.
        """
        try:
            resource = self._living[id]
        except (LookupError, TypeError):  # also what cannot be an identifier
            return False
        # As _release(), without its calls.
        of, held, amount = resource._of, resource._held, resource._amount
        if not of.take(held, self._living, id, RELEASED, amount, self._total, None, None):
            return False
        if self._using:
            self._using.pop(resource, None)
        if self._heard or wants_each():
            self._log_and_emit("unregistered", "resource_unregistered", resource)
        return True

    def _release(self, resource: Resource) -> bool:
        if not self._take(resource, RELEASED):
            return False
        if self._heard or wants_each():
            self._log_and_emit("unregistered", "resource_unregistered", resource)
        return True

    def _take(self, resource: Resource, end: int, into: object = None) -> bool:
        """End a registration; return whether nobody else has.

        Args:
            resource: The resource.
            end: What has become of it.
            into: Where it is put by the same step.
        """
        of = resource._of
        held, amount, total = resource._held, resource._amount, self._total
        if not of.take(held, self._living, resource._id, end, amount, total, into, resource):
            return False
        if self._using:
            self._using.pop(resource, None)
        return True

    def _undo(self, made: Resource) -> None:
        """Undo a registration that was interrupted."""
        if not self._take(made, RELEASED):
            self._drop(made)

    def _drop(self, made: Resource) -> None:
        """Free the identifier of what was never registered, unless another resource has it."""
        if self._living.get(made._id) is made:
            self._living.pop(made._id, None)

    def _refuse_more(self, answer: int, made: Resource) -> None:
        """Refuse what there is no room for."""
        of, is_total = made._of, answer == ALL_FULL
        figures: KindFigures | TotalFigures = self._all if is_total else of.figures
        self._drop(made)  # a listener may make room, and register it
        self._emit("refused", made, reason="max_resources" if is_total else "limit")
        raise ResourceLimitError(
            self._name, of.kind, figures.limit or 0, figures.active, is_total=is_total
        )

    def _say_scarce(self, answer: int, of: Tally) -> None:
        if answer & HIGH:
            self._say_high(of.kind, of.figures)
        if answer & ALL_HIGH:
            self._say_high(None, self._all)

    def _say_high(self, kind: str | None, figures: KindFigures | TotalFigures) -> None:
        log_high(self._name, kind, figures.active, figures.limit, self._clock)
        event = Event("high", self, self._name, new=kind, reason="limit", at=self._clock.now())
        self._listeners.emit(event)

    # ---- objects that are tracked, and operations ----

    def track(
        self, obj: object, kind: str, cleanup: Callable[..., object] | None = None, *args: object
    ) -> Resource:
        """Register an object for as long as it lives, by a weak reference.

        If it dies before it is unregistered, it counts as collected, and its clean-up runs in the
        background: after the next look, within ``cleanup_interval``.

        Args:
            obj: The object.
            kind: Its kind.
            cleanup: Closes what it stands for; must not refer to the object.
            args: Arguments of ``cleanup``; neither may they.

        Raises:
            ConfigError: An argument is invalid, the clean-up refers to the object, or the object
                cannot be referred to weakly.
            ResourceLimitError: There is no room for it.
            RuntimeError: The manager was stopped.
        """
        bound = read_tracked(obj, cleanup, args)
        made = self.register((type(obj).__name__, next(self._serials)), kind, bound)
        try:
            made._site = outer_site(sys._getframe(1))
            tracked = Tracked(obj, self._dead.append)
            tracked.resource = made
            made._ref = tracked
        except BaseException:  # Ctrl-C: nobody would notice its end
            self._undo(made)
            raise
        return made

    def register_operation(self, id: Any, kind: str, n: int = 1) -> Resource:
        """Register an operation that goes on, as a resource of kind "operation".

        Args:
            id: Its identifier, as of a resource.
            kind: The kind of operation, 1 to 200 characters, for the snapshot.
            n: Its amount, such as the number of requests.

        Raises:
            ConfigError: An argument is invalid, or the identifier is taken.
            ResourceLimitError: There is no room for it.
            RuntimeError: The manager was stopped.
        """
        if type(kind) is not str or not is_name(kind):
            problems = Problems("ResourceManager", self._name)
            kind = problems.name(kind, "kind")
            problems.done()
        if type(n) is not int or not 1 <= n <= MOST:
            n = read_amount(n, "n")
        made = self.register(id, OPERATION, amount=n, metadata={OPERATION: kind})
        made._site = outer_site(sys._getframe(1))
        return made

    def unregister_operation(self, id: Any) -> bool:
        """Forget the operation ``id``, which has ended; return whether it was registered."""
        resource = self.get(id)
        return resource is not None and resource._of.kind == OPERATION and self._release(resource)

    def operation(self, kind: str, n: int = 1) -> Resource:
        """Register an operation for a ``with`` block, with a new identifier.

        Args:
            kind: The kind of operation.
            n: Its amount.

        Raises:
            ConfigError: An argument is invalid.
            ResourceLimitError: There is no room for it.
            RuntimeError: The manager was stopped.
        """
        return self.register_operation((OPERATION, next(self._serials)), kind, n)

    # ---- use ----

    def touch(self, id: Any) -> bool:
        """Report that the resource ``id`` was used now; return whether it is registered."""
        resource = self.get(id)
        return resource is not None and self._touch(resource)

    def _touch(self, resource: Resource) -> bool:
        now_ns = self._clock.now_ns()
        with self._lock:  # or it might be taken as idle meanwhile
            resource._used_ns = now_ns
            return bool(resource._held)

    def _begin_use(self, resource: Resource) -> list[None]:
        settle()
        now_ns = self._clock.now_ns()
        with self._lock:
            if resource._held:
                resource._used_ns = now_ns
                uses = self._using.setdefault(resource, [])
                uses.append(None)
                if resource._held:
                    return uses
                self._using.pop(resource, None)  # it was ended meanwhile
        raise RuntimeError(f"{resource!r} of resource manager {self._name!r} cannot be used")

    def _end_use(self, resource: Resource, uses: list[None]) -> None:
        now_ns = self._clock.now_ns()
        with self._lock:
            uses.pop()
            resource._used_ns = now_ns
            if not uses and self._using.get(resource) is uses:
                del self._using[resource]

    def _bury(self) -> None:
        """Count objects that have died; what they leave is cleaned in the background."""
        dead, is_news = self._dead, False
        while dead:
            try:
                tracked = dead[0]  # it stays there until this is done: Ctrl-C may come
                resource: Resource = tracked.resource
                owed = None if resource._cleanup is None else self._owed
                if self._take(resource, COLLECTED, owed):
                    is_news = is_news or owed is not None
                    self._emit("collected", resource)
                dead.remove(tracked)
            except (IndexError, ValueError):  # another thread was faster
                continue
        if is_news:
            self._wake()

    # ---- what others see ----

    def get(self, id: Any) -> Resource | None:
        """Return the registered resource ``id``; None: there is none."""
        try:
            found = self._living.get(id)
        except TypeError:  # what cannot be an identifier
            return None
        return found if found is not None and found._held else None

    def is_managed(self, id: Any) -> bool:
        """Return whether a resource ``id`` is registered."""
        return self.get(id) is not None

    def count(self, kind: str | None = None) -> int:
        """Return how many resources are registered, of one ``kind`` or of all.

        Raises:
            ConfigError: The kind is unknown.
        """
        settle()
        self._bury()
        if kind is None:
            return self._all.active
        try:
            return self._tallies[kind].registered()
        except (KeyError, TypeError):
            raise self._unknown(kind) from None

    def resources(self) -> tuple[Resource, ...]:
        """Return what is registered, the oldest first."""
        return tuple(one for one in self._living.copy().values() if one._held)

    # ---- telling ----

    def _log_and_emit(self, kind: str, record: str, resource: Resource) -> None:
        log_resource(record, self._name, resource, "", self._clock)
        self._emit(kind, resource)

    def _emit(self, kind: str, resource: Resource, reason: str = "") -> None:
        if len(self._listeners):
            event = Event(
                kind,
                self,
                self._name,
                old=resource._id,
                new=resource._of.kind,
                reason=reason,
                at=self._clock.now(),
            )
            self._listeners.emit(event)

    def _refuse(self, field: str, value: object, allowed: str) -> None:
        problems = Problems("ResourceManager", self._name)
        problems.refuse(field, value, allowed)
        problems.done()

    def _unknown(self, kind: object) -> Exception:
        problems = Problems("ResourceManager", self._name)
        refuse_kind(problems, kind, self._tallies, "kind")
        return _error_of(problems)

    def _taken(self, there: Resource) -> Exception:
        problems = Problems("ResourceManager", self._name)
        allowed = (
            f"one that is not registered: {there._of.kind} {shown(there._id)} was, at {there.where}"
        )
        problems.refuse("id", there._id, allowed)
        return _error_of(problems)

    def _stopped(self) -> RuntimeError:
        return RuntimeError(f"resource manager {self._name!r} was stopped: start() it first")


def _error_of(problems: Problems) -> ConfigError:
    try:
        problems.done()
    except ConfigError as error:
        return error
    raise AssertionError("it had no problems")
