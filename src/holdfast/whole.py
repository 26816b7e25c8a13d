"""What belongs to one process as a whole: a copy is the object itself, and it is not pickled.

It has locks, threads or counts that a second one would share by halves. Copies are made where
nobody asks for one: of the default values of pydantic's models, and by ``dataclasses.asdict``.
Elsewhere: policies, which say the same (``policies.base``).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Self, SupportsIndex

__all__ = ["Whole"]


class Whole:
    """A base of classes whose objects are copied as themselves and not pickled."""

    __slots__ = ()

    def __copy__(self) -> "Self":
        return self

    def __deepcopy__(self, memo: object, /) -> "Self":
        return self

    def __reduce_ex__(self, protocol: "SupportsIndex", /) -> "NoReturn":
        raise TypeError(
            f"cannot pickle {self!r}: it belongs to one process. Make it in the other process"
        )
