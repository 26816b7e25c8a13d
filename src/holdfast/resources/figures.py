"""What a manager of resources counts, where metrics and other workers see it.

Elsewhere: what is registered and what happens to it (``manager``), how it is counted
(``hf_resource.h``), and names of metrics (``telemetry``).
"""

from __future__ import annotations

from holdfast._native.resource import FULL, HIGH, Resource
from holdfast.stores.figures import KINDS, RESOURCE, RESOURCES, pair
from holdfast.stores.ledger import ledger
from holdfast.validation import is_checking

__all__ = ["TOTAL", "KindFigures", "TotalFigures"]

#: How metrics call all kinds together; no kind may be called so.
TOTAL = "total"


class _Figures:
    """Enters what a kernel counts in the ledger, for as long as this object lives.

    In a forked child nothing is registered, and all counts are 0; the limit is as it was.

    Attributes:
        kernel: What counts. Registering and unregistering call it directly::

            answer = kind.kernel.add(amount, total.kernel)
            kind.kernel.remove(CLEANED, amount, total.kernel)

    Safe to use from any thread; one at a time changes limits.
    """

    __slots__ = ("__weakref__", "kernel", "name")

    kind: str
    _role: int

    def __init__(self, manager: str, of: str, limit: int | None) -> None:
        ledger.prepare()  # first: from here on a kernel stands where other workers see it
        self.name = pair(manager, of)
        self.kernel = Resource(limit)
        if not is_checking():
            ledger.enter(self, 0, ((self._role, self.kernel, 0),))

    @property
    def active(self) -> int:
        """How much is registered."""
        return self.kernel.active()

    @property
    def limit(self) -> int | None:
        """How much may be registered; None for any amount."""
        return self.kernel.limit()

    @property
    def refused(self) -> int:
        """Registrations that found no room."""
        return self.kernel.counted()[6]

    def limit_to(self, limit: int | None) -> bool | None:
        """Have another limit, for what is registered from here on.

        Returns:
            None if more than that is registered, and nothing has changed. Else whether what is
            registered is above 80 % by that, and was not.
        """
        answer = self.kernel.resize(limit)
        return None if answer == FULL else bool(answer & HIGH)


class TotalFigures(_Figures):
    """What is registered of all kinds together.

    Args:
        manager: The name of the manager.
        limit: How many may be registered.
    """

    __slots__ = ()

    kind = KINDS[RESOURCES]
    _role = RESOURCES

    def __init__(self, manager: str, limit: int) -> None:
        super().__init__(manager, TOTAL, limit)


class KindFigures(_Figures):
    """What is registered of one kind.

    Args:
        manager: The name of the manager.
        of: The name of the kind, without a slash: metrics put that between both names.
        limit: How much may be registered; None for any amount.
    """

    __slots__ = ()

    kind = KINDS[RESOURCE]
    _role = RESOURCE

    def __init__(self, manager: str, of: str, limit: int | None = None) -> None:
        super().__init__(manager, of, limit)

    def show_limit(self, limit: int | None) -> None:
        """Have metrics show this limit, that of all kinds, while this kind has none of its own.

        None shows no limit, nor does any once an amount other than 1 was registered: all kinds
        count resources.
        """
        self.kernel.show(limit or 0)

    @property
    def cleaned(self) -> int:
        """Resources that were cleaned by the manager."""
        return self.kernel.counted()[0]

    @property
    def released(self) -> int:
        """Resources that their owners have unregistered."""
        return self.kernel.counted()[1]

    @property
    def collected(self) -> int:
        """Resources that died without having been unregistered."""
        return self.kernel.counted()[2]

    @property
    def leaks(self) -> int:
        """Resources that were suspected to be leaks."""
        return self.kernel.counted()[3]

    @property
    def cleanup_errors(self) -> int:
        """Clean-ups that failed."""
        return self.kernel.counted()[4]

    @property
    def created(self) -> int:
        """Resources that were registered."""
        return self.kernel.counted()[5]
