"""What a resource manager must do, in plain lists: it knows nothing of threads, locks or kernels.

A clean-up is a name, and what it does: nothing, fail, register a child, or unregister another.
"""

from dataclasses import dataclass, field

IDLE, LEAK_AGE, LEAK_IDLE = 300, 600, 300


@dataclass
class Held:
    """A resource that is registered."""

    id: object
    kind: str
    amount: int
    cleanup: tuple[str, str] | None  # its name, and what it does
    created: int
    tracked: bool = False
    used: int | None = None
    uses: int = 0
    is_leak: bool = False


@dataclass
class Counts:
    created: int = 0
    cleaned: int = 0
    unregistered: int = 0
    collected: int = 0
    refused: int = 0
    leaks: int = 0
    cleanup_errors: int = 0


@dataclass
class Resources:
    limits: dict[str, int | None]
    most: int
    now: int = 0
    held: list[Held] = field(default_factory=list)  # oldest first
    owed: list[Held] = field(default_factory=list)  # died; to be cleaned
    refused: int = 0  # by ``most``
    accepts: bool = True
    ran: list[str] = field(default_factory=list)  # names of clean-ups, in their order

    def __post_init__(self) -> None:
        self.counts = {kind: Counts() for kind in self.limits}

    def find(self, id_: object) -> Held | None:
        return next((one for one in self.held if one.id == id_), None)

    def active(self, kind: str) -> int:
        return sum(one.amount for one in self.held if one.kind == kind)

    # ---- what is done ----

    def register(self, one: Held) -> str:
        if not self.accepts:
            return "stopped"
        if self.find(one.id) is not None:
            return "taken"
        limit = self.limits[one.kind]
        if limit is not None and self.active(one.kind) + one.amount > limit:
            self.counts[one.kind].refused += 1
            return "limit"
        if len(self.held) >= self.most:
            self.refused += 1
            return "limit"
        self.counts[one.kind].created += 1
        self.held.append(one)
        return "registered"

    def unregister(self, id_: object) -> bool:
        one = self.find(id_)
        if one is None:
            return False
        self.held.remove(one)
        self.counts[one.kind].unregistered += 1
        return True

    def cleanup(self, id_: object) -> bool:
        one = self.find(id_)
        if one is None:
            return False
        self._take([one])
        return self._clean([one])

    def cleanup_all(self) -> int:
        found = [*reversed(self.held)]
        self._take(found)
        found += self._take_owed()
        self._clean(found)
        return len(found)

    def stop(self) -> None:
        self.accepts = False
        self.cleanup_all()

    def die(self, one: Held) -> None:
        """A tracked object has died."""
        if one in self.held:
            self.held.remove(one)
            self.counts[one.kind].collected += 1
            if one.cleanup is not None:
                self.owed.append(one)

    def clean_idle(self) -> int:
        idle = [
            one
            for one in self.held
            if one.used is not None and not one.uses and self.now - one.used >= IDLE
        ]
        for one in idle:
            if self._is_old(one):
                self._leak(one)
        self._take(idle)
        self._clean([*idle, *self._take_owed()])
        return len(idle)

    def find_leaks(self) -> list[object]:
        found = [one for one in self.held if self._is_old(one) and not one.uses]
        for one in found:
            self._leak(one)
        return [one.id for one in found]

    def resize(self, kind: str, limit: int | None) -> bool:
        if limit is not None and self.active(kind) > limit:
            return False
        self.limits[kind] = limit
        return True

    # ---- how ----

    def _is_old(self, one: Held) -> bool:
        last = one.created if one.used is None else max(one.used, one.created)
        return self.now - one.created > LEAK_AGE and self.now - last > LEAK_IDLE

    def _leak(self, one: Held) -> None:
        if not one.is_leak:
            one.is_leak = True
            self.counts[one.kind].leaks += 1

    def _take(self, found: list[Held]) -> None:
        for one in found:
            self.held.remove(one)
            self.counts[one.kind].cleaned += 1

    def _take_owed(self) -> list[Held]:
        found, self.owed = self.owed, []
        return found

    def _clean(self, found: list[Held]) -> bool:
        well = True
        for one in found:
            if one.cleanup is None:
                continue
            name, act = one.cleanup
            self.ran.append(name)
            if act == "fails":
                self.counts[one.kind].cleanup_errors += 1
                well = False
            elif act == "registers":
                self.register(Held(f"child of {name}", one.kind, 1, None, self.now))
            elif act == "unregisters":
                self.unregister(0)
        return well
