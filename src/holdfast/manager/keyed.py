"""Policies per key: each exchange, host or customer of an operation has its own breaker and limits.

A table of bounded size. What a key has is made when it is first asked for, and goes when it was not
asked for lately, nobody holds it, and a new one would do the same (``apart.rests``). So a key
never has two sets of policies. Elsewhere: what is apart (``apart``), the policies that all keys
share (``operation``).
"""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING
from weakref import ref

from holdfast._native.figures import read
from holdfast._native.gate import Handle, _own_methods
from holdfast._native.histogram import Histogram
from holdfast._native.meter import Meter
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.manager.apart import another, is_apart, records_with_others, rests
from holdfast.manager.errors import UnprotectedError
from holdfast.manager.operation import KEYS
from holdfast.pipeline.counted import pipeline_of
from holdfast.policies.base import enter
from holdfast.stores.figures import KEYED
from holdfast.stores.ledger import ledger
from holdfast.validation import Problems
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from typing import Any

    from holdfast.manager.snapshot import KeyCounts, KeySnapshot, KeysSnapshot
    from holdfast.pipeline.lint import Finding
    from holdfast.pipeline.pipeline import Pipeline
    from holdfast.policies.base import Policy
    from holdfast.policies.breaker import CircuitBreaker
    from holdfast.policies.bulkhead import Bulkhead
    from holdfast.policies.limiter import RateLimiter
    from holdfast.policies.retry import Retry

    Manager = Any  # ResilienceManager, which stands above
    #: Policies of an operation, each with that of one key in its place.
    Own = tuple[tuple[Policy, Policy], ...]

__all__ = ["KeyedOperation", "Keys"]

# For each new key so many are looked at that may not go; beyond that it shares the overflow key.
LOOKS = 8

# What the meter counts.
EVICTED, OVERFLOWED = range(2)


class _Overflow:
    """The key that keys share for which there is no room."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<keys without room>"


OVERFLOW = _Overflow()


class KeyedOperation(Handle):
    """An operation for one key: its own breaker, limits and retry budget; the rest is shared.

    A decorator; ``call``, ``acall``, ``try_call`` and ``try_acall`` call one function. It follows
    the manager as an ``Operation`` does.

    Made by ``ResilienceManager.keyed``. Safe to share between threads and event loops.

    Attributes:
        name: The name of the operation.
        key: The key; that of all keys for which there is no room, if ``is_overflow``.
    """

    __slots__ = ("_alone", "_generation", "_home", "_own", "_recent", "key")

    kind = "keyed_operation"
    key: Any

    def __init__(self, name: str, key: Hashable, home: ref[Keys]) -> None:
        super().__init__(name)
        self.key = key
        self._home = home
        self._own: Own = ()
        self._alone: list[int] = []  # how often each is referred to while nobody holds it
        self._generation = -1  # of the template that its policies are of
        self._recent = False  # it was asked for since the last look

    @property
    def is_overflow(self) -> bool:
        """Whether it is what keys share for which there is no room."""
        return self.key is OVERFLOW

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies that a call passes, from the outermost to the innermost."""
        return self._pipeline().policies

    @property
    def circuit_breaker(self) -> CircuitBreaker:
        """The circuit breaker of this key. Raises LookupError if the operation has none."""
        policy: CircuitBreaker = self._of_kind("circuit_breaker")
        return policy

    @property
    def rate_limiter(self) -> RateLimiter:
        """The rate limiter of this key. Raises LookupError if the operation has none."""
        policy: RateLimiter = self._of_kind("rate_limiter")
        return policy

    @property
    def bulkhead(self) -> Bulkhead:
        """The bulkhead of this key. Raises LookupError if the operation has none."""
        policy: Bulkhead = self._of_kind("bulkhead")
        return policy

    @property
    def retry(self) -> Retry:
        """The retry with the budget of this key. Raises LookupError if the operation has none."""
        policy: Retry = self._of_kind("retry")
        return policy

    def describe(self) -> str:
        """Return a line per policy, outermost first, with its settings and the cost of a call."""
        lines = self._pipeline().describe().splitlines()
        return "\n".join(
            [f"Operation {self.name!r} for {self.key!r}, outermost first:", *lines[1:]]
        )

    def lint(self) -> list[Finding]:
        """Return warnings about settings that are valid but probably unintended."""
        return self._pipeline().lint()

    def snapshot(self) -> KeySnapshot:
        """Return the state of the policies of this key."""
        from holdfast.manager.snapshot import KeySnapshot

        own: dict[str, Any] = {one.kind: one for _, one in self._own}
        retry = own.pop("retry", None)
        shown = {kind: policy.snapshot() for kind, policy in own.items()}
        return KeySnapshot(
            self.key, retry_budget=None if retry is None else retry.budget.snapshot(), **shown
        )

    def reset(self) -> None:
        """Put the policies of this key back to where they began; see ``Policy.reset``."""
        for _, policy in self._own:
            policy.reset()

    def __repr__(self) -> str:
        inside = ", ".join(repr(one) for _, one in self._own)
        return f"<{type(self).__name__} {self.name!r} for {self.key!r}: {inside}>"

    def _pipeline(self) -> Pipeline:
        gate: Any = self._gate
        pipeline: Pipeline = self._missing() if gate is None else gate
        return pipeline

    def _of_kind(self, kind: str) -> Any:
        for policy in self.policies:
            if policy.kind == kind:
                return policy
        raise LookupError(f"operation {self.name!r} has no {kind.replace('_', ' ')}")

    def _missing(self) -> Pipeline:
        """Return the gate of a call that found none, or raise why there is none."""
        home = self._home()
        if home is None:
            raise UnprotectedError(f"the manager that operation {self.name!r} is of is gone")
        return home._renew(self)

    def _rests(self) -> bool:
        return all(rests(policy) for _, policy in self._own)


_own_methods(KeyedOperation)


class _Template:
    """What the keys of an operation are made of, as long as the operation is not compiled anew."""

    __slots__ = ("alone", "durations", "ends", "generation", "policies")

    def __init__(
        self, policies: tuple[Policy, ...], ends: Any, durations: Histogram, generation: int
    ) -> None:
        self.generation = generation  # how often the operation was compiled anew before
        self.policies = policies
        self.ends = ends
        self.durations = durations  # of all keys together
        self.alone: list[int] = []

    def compose(self, scope: str, name: str, before: Own) -> tuple[Own, list[Policy], Pipeline]:
        """Return the policies of one key, which of them are new, and the gate of a call.

        Args:
            scope: The name of the manager.
            name: That of the operation.
            before: What the key had; what is of the same policy of the operation stays.
        """
        there = {id(policy): one for policy, one in before}
        own: list[tuple[Policy, Policy]] = []
        new: list[Policy] = []
        steps: list[Policy] = []
        for policy in self.policies:
            one = policy
            if is_apart(policy):
                if id(policy) in there:
                    one = there[id(policy)]
                else:
                    one = another(policy, scope, name)
                    new.append(one)
                own.append((policy, one))
            steps.append(one)
        pipeline = pipeline_of(name, steps, self.ends)
        pipeline._scope = scope
        return tuple(own), new, pipeline


class Keys(Whole):
    """The keys of one operation that are kept, and the states of their policies.

    Iterated, it gives the keys. It is returned by ``ResilienceManager.keys``. Safe to share between
    threads and event loops.
    """

    kind = "keys"

    def __init__(self, name: str, manager: Manager) -> None:
        self._name = name
        self._manager = ref(manager)
        self._scope: str = manager.name
        self._me = ref(self)  # one for all keys, which are not to keep it alive
        # Held for moments. Re-entrant, for a finaliser may ask for a key.
        self._lock = RLock()
        self._table: dict[Any, KeyedOperation] = {}
        # The same, and places of those that went. Round it goes who looks for one that may go.
        self._ring: list[KeyedOperation | None] = []
        self._holes: list[int] = []
        self._hand = 0  # who is the next to be looked at
        self._looking = False
        self._looks_left = 0
        self._generation = 0  # of the template
        self._renewing = 0  # how many calls have what a key has follow the operation
        # What such calls have made, or had before the operation was compiled anew meanwhile.
        self._latest: dict[KeyedOperation, tuple[int, Pipeline]] = {}
        self._template: _Template | None = None
        self._overflow = KeyedOperation(name, OVERFLOW, self._me)
        self._first_durations = Histogram()
        self._meter = Meter()  # how many went and found no room; how many there are and may be
        mind(self)
        ledger.enter(self, 0, ((KEYED, self._meter, 0),))

    # ---- what others see ----

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self._name

    @property
    def most(self) -> int:
        """How many keys are kept: ``keys`` of ``register_operation``."""
        manager = self._manager()
        return KEYS if manager is None else int(manager._most_keys(self._name))

    @property
    def overflow(self) -> KeyedOperation:
        """What keys share for which there is no room."""
        return self._overflow

    def get(self, key: Hashable) -> KeyedOperation | None:
        """Return what a key has, or None if it is not kept. Nothing is made."""
        return self._table.get(key)

    def counts(self) -> KeyCounts:
        """Return how many keys are kept, were evicted, and found no room."""
        from holdfast.manager.snapshot import KeyCounts

        (evicted, overflowed), _ = read(self._meter)
        return KeyCounts(
            living=len(self._table), most=self.most, evicted=evicted, overflowed=overflowed
        )

    def snapshot(self) -> KeysSnapshot:
        """Return the states of the policies of all keys."""
        from holdfast.manager.snapshot import KeysSnapshot

        return KeysSnapshot(
            operation=self._name,
            counts=self.counts(),
            keys={one.key: one.snapshot() for one in self._living()},
            overflow=self._overflow.snapshot(),
        )

    def reset_all(self) -> None:
        """Put the policies of all keys back to where they began; see ``Policy.reset``.

        Raises:
            ExceptionGroup: What any of them raised, after all had their turn.
        """
        errors: list[Exception] = []
        for one in (*self._living(), self._overflow):
            try:
                one.reset()
            except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"resetting the keys of operation {self._name!r}", errors)

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._table))

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __repr__(self) -> str:
        return f"<Keys of {self._name!r} of {self._scope!r}: {len(self._table)}>"

    def _living(self) -> list[KeyedOperation]:
        return list(self._table.values())

    def _policies(self) -> list[Policy]:
        """Return all policies that keys have for themselves."""
        return [policy for one in (*self._living(), self._overflow) for _, policy in one._own]

    # ---- finding and making ----

    def _find(self, key: Hashable) -> KeyedOperation:
        """Return what a key has, made if there is room for it."""
        try:
            hash(key)
        except TypeError:
            problems = Problems("keys of operation", self._name)
            problems.refuse("key", key, "what can be a key of a dict, such as a text or a tuple")
            problems.done()
        settle()
        gone: list[KeyedOperation] = []  # freed without the lock: keys may have finalisers
        template = self._template or self._learn()
        most = self.most
        with self._lock:
            there = self._table.get(key)
            if there is not None:
                there._recent = True
                return there
            if not self._make_room(most, gone):
                self._meter.count(OVERFLOWED)
                return self._overflow
        made, new = self._made(key, template)
        self._enter(new, template)  # before any call passes it: metrics miss none
        with self._lock:
            there = self._table.get(key)
            if there is not None:  # another thread was faster
                return there
            if not self._make_room(most, gone):
                self._meter.count(OVERFLOWED)
                return self._overflow
            if template is not self._template:  # its first call follows the operation
                made._turn_to(None)
            self._put(key, made)
            self._show(most)
            return made

    def _made(self, key: Hashable, template: _Template) -> tuple[KeyedOperation, list[Policy]]:
        """Return what a new key has, and its policies, which metrics do not know yet."""
        made = KeyedOperation(self._name, key, self._me)
        made._own, new, gate = template.compose(self._scope, self._name, ())
        made._alone = template.alone
        made._generation = template.generation
        made._turn_to(gate)
        return made, new

    def _renew(self, keyed: KeyedOperation, template: _Template | None = None) -> Pipeline:
        """Have what a key has follow the operation, which was compiled anew, and return its gate.

        If it is compiled anew once more meanwhile, the gate is that of this call, which has begun
        before; the next one follows. So no call waits for an end of registering.

        Raises:
            UnprotectedError: The operation has nothing any more.
        """
        settle()
        with self._lock:
            began = self._generation if template is None else template.generation
            self._renewing += 1
        try:
            # Another round only if a call that has begun before a later registration was faster.
            while True:
                there: Any = keyed._gate
                if there is not None:
                    break
                before = keyed._own
                template = template or self._template or self._learn()
                own, new, gate = template.compose(self._scope, self._name, before)
                self._enter(new, template, is_first=keyed is self._overflow)
                with self._lock:
                    there = keyed._gate
                    if there is not None:
                        break
                    generation, latest = self._latest.get(keyed, (-1, gate))
                    if generation >= began:
                        return latest
                    if template.generation < keyed._generation:  # of the overflow key
                        return gate
                    if keyed._own is before:
                        keyed._own, keyed._alone = own, template.alone
                        keyed._generation = template.generation
                        if template is self._template:
                            keyed._turn_to(gate)
                        else:
                            self._latest[keyed] = template.generation, gate
                        return gate
            current: Pipeline = there
            return current
        finally:
            gone = None
            with self._lock:
                self._renewing = max(self._renewing - 1, 0)  # less in a child forked amid it
                if not self._renewing:
                    gone, self._latest = self._latest, {}
            del gone  # freed without the lock

    def _learn(self) -> _Template:
        """Return what keys are made of at this moment, or later."""
        manager = self._manager()
        if manager is None:
            raise UnprotectedError(
                f"manager {self._scope!r}, which operation {self._name!r} is of, is gone"
            )
        while True:
            generation = self._generation
            operation = manager.operation(self._name)
            policies: tuple[Policy, ...] = operation.policies
            if policies:  # else everything was unregistered after it was found: it raises
                break
        template = _Template(policies, operation._ends, self._durations(), generation)
        template.alone = _references([self._made(None, template)[0]], 0)
        with self._lock:
            if self._template is not None:
                return self._template  # another thread was faster
            if generation == self._generation:
                self._template = template
        # It keeps the name alive, under which metrics have what evicted keys have counted.
        self._renew(self._overflow, template)
        return template

    def _outdate(self) -> None:
        """Have all keys follow the operation, which was compiled anew, at their next call."""
        with self._lock:
            for one in (*self._living(), self._overflow):
                there: Any = one._gate
                if self._renewing and there is not None:
                    self._latest[one] = self._generation, there
                one._turn_to(None)
            self._generation += 1
            self._template = None

    def _durations(self) -> Histogram:
        """Return where keys record durations: that of the overflow key, which metrics know."""
        there = (getattr(one, "_histogram", None) for _, one in self._overflow._own)
        return next((one for one in there if one is not None), self._first_durations)

    def _enter(self, new: list[Policy], template: _Template, *, is_first: bool = False) -> None:
        """Have metrics know new policies, and the durations of all keys by the first."""
        manager = self._manager()
        for policy in new:
            breaker: Any = policy if records_with_others(policy) else None
            if breaker is not None and is_first:
                breaker._keep_histogram(template.durations)
            enter(policy, is_listed=False)
            if breaker is not None and not is_first:
                breaker._keep_histogram(template.durations)
            if manager is not None:
                manager._listen_to_key(policy)

    # ---- coming and going ----

    def _put(self, key: Hashable, made: KeyedOperation) -> None:
        """Keep what a key has. The lock is held.

        It stands where the last one went: all others are looked at before it.
        """
        self._table[key] = made
        if self._holes:
            self._ring[self._holes.pop()] = made
        else:
            self._ring.append(made)
        self._looks_left = min(self._looks_left + 1, len(self._ring))

    def _show(self, most: int) -> None:
        """Have metrics show how many keys there are and may be."""
        self._meter.set(0, len(self._table))
        self._meter.set(1, most)

    def _make_room(self, most: int, gone: list[KeyedOperation]) -> bool:
        """Have fewer keys than ``most``, if some may go. The lock is held.

        The hand goes round (CLOCK): who was asked for since its last visit gets another round. Who
        may not go costs a look, and there are as many as there are keys, and a few for each new
        key: so that a new key costs the same, however many may not go.
        """
        ring = self._ring
        if len(self._table) < most:
            return True
        if self._looking:  # a finaliser amid it
            return False
        self._looking = True
        try:
            self._looks_left = min(self._looks_left + LOOKS, len(ring))
            for _ in range(2 * len(ring)):
                if self._hand >= len(ring):
                    self._hand = 0
                at = self._hand
                self._hand += 1
                if _is_recent(ring, at):
                    continue
                if not self._looks_left:
                    self._hand = at
                    return False
                self._looks_left -= 1
                if self._goes(at, gone) and len(self._table) < most:
                    return True
            return False
        finally:
            self._looking = False

    def _goes(self, at: int, gone: list[KeyedOperation]) -> bool:
        """Let the key go that stands there, if it may. The lock is held."""
        ring: list[Any] = self._ring
        table = self._table
        if not ring[at]._rests():
            return False
        key = ring[at].key
        goes = False
        # Nobody finds it from here on. If nobody holds it either, its state can change no more.
        table.pop(key, None)
        try:
            goes = _is_alone(ring, at) and ring[at]._rests() and _is_alone(ring, at)
        finally:
            if not goes:
                table[key] = ring[at]
        if goes:
            self._meter.count(EVICTED)
            gone.append(ring[at])
            ring[at] = None
            self._holes.append(at)
        return goes

    def _after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and counts of its own."""
        self._lock = RLock()
        self._looking = False
        self._renewing = 0
        self._latest = {}
        for one in self._ring:
            if one is not None:
                self._table.setdefault(one.key, one)
        self._ring = [*self._living()]
        self._holes = []
        self._show(self.most)


def _is_recent(ring: list[KeyedOperation | None], at: int) -> bool:
    """Return whether nothing is to be looked at there: a key was asked for lately, or has gone."""
    keyed = ring[at]
    if keyed is None:
        return True
    was, keyed._recent = keyed._recent, False
    return was


def _references(box: list[Any], at: int) -> list[int]:
    """Return how often something refers to what a key has: its handle, its gate, its policies.

    Compared with what the same function has found for one that nobody holds.
    """
    keyed = box[at]
    gate = keyed._gate
    first = [getrefcount(keyed), 0 if gate is None else getrefcount(gate)]
    return first + [getrefcount(pair[1]) for pair in keyed._own]


def _is_alone(ring: list[Any], at: int) -> bool:
    """Return whether nobody holds what the key has that stands there."""
    alone = ring[at]._alone
    return all(map(int.__le__, _references(ring, at), alone))
